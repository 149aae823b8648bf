"""bench.py: a quick run of a tiny network writes all it should; bad flags are refused."""

import json

import pytest

import bench
from scripts.bench import programs, summary
from scripts.bench import workloads
from scripts.testing.bench import tiny_networks
from scripts.testing.network import run_script


@pytest.fixture(name='quick', scope='module')
def quick_run(tmp_path_factory):
  """(`Outcome`, output folder)."""
  folder = tmp_path_factory.mktemp('bench')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(programs, 'shipped_networks', tiny_networks)
    patch.setattr(programs, 'implementations', lambda: ('ops',))
    outcome = run_script(bench.main, ['--quick', '--profile', '--rounds', '3', '--out', folder])
  assert outcome.status == 0, outcome.err
  return outcome, folder


def test_files(quick):
  results = json.loads((quick[1] / 'bench.json').read_text())
  shape, = results['shapes'].values()
  assert shape['step_ops']['rounds'] == 3 and shape['step_ops']['median_s'] > 0
  assert shape['step_ratio_ops']['value'] > 0 and shape['step_ratio'] is None
  assert results['step_ratio'] is results['step_ratio_ops'] is None  # Those of 224 px.
  assert summary.NOT_BUILT in results['notes']
  assert set(results['growth']) == {shape.key for shape in workloads.QUICK.growth}
  assert (quick[1] / 'bench.png').read_bytes().startswith(b'\x89PNG')


def test_output(quick):
  lines = quick[0].out.splitlines()
  assert lines[0].startswith('building the graph, float ... ')
  assert '| what | 32 px, batch 64: median (quartiles) in ms | ratio |' in lines
  assert 'note: ' + summary.NOT_BUILT in lines
  assert any(line.startswith('step_ops at 32 px, batch 64: ') for line in lines)  # The profile.
  assert lines[-2:] == [str(quick[1] / name) for name in ('bench.json', 'bench.png')]
  assert 'measuring at 32 px, batch 64' in quick[0].err


@pytest.mark.parametrize('argv, said', [
    (['--rounds', '0'], '--rounds 0: must be 1 or more'),
    (['--rounds', 'many'], 'invalid int value'),
    (['--quik'], 'unrecognized arguments'),
    (['--out', '/proc/none'], 'cannot write to the folder /proc/none')])
def test_bad_flags(argv, said):
  outcome = run_script(bench.main, argv)
  assert outcome.status == 2 and len(outcome.err.splitlines()) == 1
  assert outcome.err.startswith('error: ') and said in outcome.err


def test_every_shape_of_a_plan_is_measured_once():
  plan = workloads.Plan()
  assert len(set(plan.all_shapes)) == len(plan.all_shapes) == 8
  assert set(plan.over_batch + plan.over_size + plan.shapes) == set(plan.all_shapes)
  assert plan.shapes[0] == workloads.HEADLINE
