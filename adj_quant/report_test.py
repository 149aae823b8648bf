"""report.py: what it writes and prints, and what it refuses before it writes anything."""

import json
import os
import subprocess
import sys

import pytest

import report
from scripts.quant_info import write_quant_info
from scripts.testing.network import known, run_script
from scripts.testing.reports import row, tiny_info, write_events


@pytest.fixture(name='folder', scope='module')
def finished_experiment(tmp_path_factory):
  folder = tmp_path_factory.mktemp('experiment')
  write_events(folder / 'logs', {'validation/top1': {10: 50.0, 20: 60.0}, 'loss/total': {0: 1.0}})
  (folder / 'results.json').write_text(json.dumps([row('float', 914, None),
                                                   row('adjustable', 909)]))
  (folder / 'best.json').write_text(json.dumps({'train': {'lr': 3e-6, 'dataset': 'photos'},
                                                'step': 7}))
  with known():
    write_quant_info(str(folder / 'quant_info.json'), *tiny_info())
    yield folder


def arguments(folder, *argv, **changed):
  values = dict({'quant_info': folder / 'quant_info.json', 'out': folder / 'report.html'},
                **changed)
  return [part for flag, value in values.items() for part in ('--' + flag, value)] + list(argv)


def refused(folder, *argv, **changed):
  outcome = run_script(report.main, arguments(
      folder, *argv, **dict({'out': folder / 'refused.html'}, **changed)))
  assert outcome.status == 2 and not os.path.exists(str(folder / 'refused.html'))
  assert outcome.err.count('\n') == 1
  return outcome.error


def test_everything(folder):
  outcome = run_script(report.main, arguments(
      folder, '--logs', folder / 'logs', '--results', folder / 'results.json', '--config',
      folder / 'best.json', '--images_dir', folder / 'images', '--images_prefix', 'tiny_',
      '--title', 'Tiny & small'))
  assert outcome.status == 0, outcome.err
  assert outcome.out.startswith('picture -> ') and 'adjustable  90.90 % (909 of' in outcome.out
  text = (folder / 'report.html').read_text(encoding='utf-8')
  assert '<h1>Tiny &amp; small</h1>' in text and 'validation/top1' in text
  assert '<code>dataset</code> <span class="soft">photos</span>' in text
  assert '<code>lr</code>' in text and '<code>step</code>' not in text
  for name in ('weights', 'activations'):
    assert (folder / 'images' / ('tiny_%s_bits.png' % name)).read_bytes().startswith(b'\x89PNG')


def test_what_it_may_replace(folder):
  argv = ['--images_dir', folder / 'pictures']
  for _ in range(2):  # A report, and the same pictures.
    assert run_script(report.main, arguments(folder, *argv, out=folder / 'a.html')).status == 0
  picture = folder / 'pictures' / 'weights_bits.png'
  picture.write_bytes(b'mine')
  outcome = run_script(report.main, arguments(folder, *argv, out=folder / 'a.html'))
  assert outcome.status == 2 and 'weights_bits.png exists already: --over' in outcome.error
  assert picture.read_bytes() == b'mine'
  outcome = run_script(report.main, arguments(folder, *argv, '--overwrite', out=folder / 'a.html'))
  assert outcome.status == 0 and picture.read_bytes() != b'mine'
  results = (folder / 'results.json').read_bytes()
  outcome = run_script(report.main, arguments(folder, out=folder / 'results.json'))
  assert outcome.status == 2 and 'another kind of file: --overwrite replaces it' in outcome.error
  assert (folder / 'results.json').read_bytes() == results


def test_markdown(folder):
  outcome = run_script(report.main, arguments(folder, '--markdown', '--results',
                                              folder / 'results.json'))
  assert outcome.out.startswith('| model | top-1 |')


def test_refusals(folder):
  assert refused(folder, quant_info=folder / 'none.json').startswith(
      'error: cannot read quant_info file')
  assert refused(folder, '--results', folder / 'best.json').endswith('must hold one JSON list')
  assert 'no TensorBoard event files' in refused(folder, '--logs', folder)
  assert refused(folder, '--config', folder / 'results.json').endswith('must hold one JSON object')
  assert '--markdown prints the table of --results' in refused(folder, '--markdown')
  assert '--images_dir, which is missing' in refused(folder, '--images_prefix', 'a')
  assert 'must be part of a file name' in refused(
      folder, '--images_prefix', 'a/b', '--images_dir', folder)
  assert refused(folder, '--images_dir', folder / 'best.json').startswith(
      'error: cannot write to the folder')
  assert refused(folder, out=folder).endswith('it is a folder')


def test_help_from_another_folder(tmp_path):
  script = os.path.abspath(report.__file__)
  actual = subprocess.check_output([sys.executable, script, '--help'], cwd=str(tmp_path),
                                   stderr=subprocess.DEVNULL)
  assert b'--images_prefix' in actual
