"""The machine's description."""

import re

from scripts.bench import machine


def test_cpu_model(tmp_path):
  (tmp_path / 'cpuinfo').write_text('processor\t: 0\nmodel name\t: Some CPU: 3 GHz\nflags\t: x\n')
  assert machine.cpu_model(str(tmp_path / 'cpuinfo')) == 'Some CPU: 3 GHz'
  assert machine.cpu_model(str(tmp_path / 'none'))


def test_description():
  actual = machine.describe()
  assert re.match(r'\d+\.\d+\.\d+$', actual['tensorflow']) and actual['cores'] >= 1
