"""bench.json and the table: all keys, ratios by hand, nothing where nothing was measured."""

import json

import pytest

from scripts.bench import summary
from scripts.bench import workloads
from scripts.testing.bench import MACHINE, SMALL, example_results

HEADLINE_KEYS = ['step_ratio', 'step_ratio_fixed_bits', 'forward_ratio', 'graph_nodes',
                 'memory_ratio']
SCRIPT_KEYS = ['first_step_s', 'first_eval_batch_s', 'scripts_implementation']
OTHER_KEYS = ['shapes', 'growth', 'training_processes', 'starts_s', 'implementations', 'machine',
              'notes']


def test_keys_are_complete():
  for implementations in (('fused', 'ops'), ('ops',)):
    actual = summary.as_json(example_results(implementations))
    assert sorted(actual) == sorted(
        HEADLINE_KEYS + [key + '_ops' for key in HEADLINE_KEYS] + SCRIPT_KEYS + OTHER_KEYS)


def test_figures_by_hand():
  actual = summary.as_json(example_results())
  assert actual['step_ratio'] == pytest.approx(1.5 / (0.75 + 0.25))
  assert actual['step_ratio_ops'] == pytest.approx(3.0 / (0.75 + 0.25))
  assert actual['step_ratio_fixed_bits'] == pytest.approx(1.2)
  assert actual['step_ratio_fixed_bits_ops'] == pytest.approx(2.4)
  assert actual['forward_ratio'] == pytest.approx(1.5 / 4 / 0.25)
  assert actual['forward_ratio_ops'] == pytest.approx(3.0 / 4 / 0.25)
  assert (actual['graph_nodes'], actual['graph_nodes_ops']) == (500, 1000)
  assert (actual['memory_ratio'], actual['memory_ratio_ops']) == (1.25, 2.5)
  assert (actual['first_step_s'], actual['first_eval_batch_s']) == (21.0, 8.0)
  assert actual['scripts_implementation'] == 'fused'
  assert (actual['machine'], actual['notes']) == (MACHINE, [])


def test_every_shape_has_its_times_and_ratios():
  actual = summary.as_json(example_results())
  assert list(actual['shapes']) == ['224px_batch8', '32px_batch64']
  small = actual['shapes']['32px_batch64']
  assert small['float_forward'] == {'median_s': 0.25, 'iqr_s': pytest.approx(0.05), 'rounds': 3}
  assert small['step_ratio']['value'] == pytest.approx(1.5)
  assert small['step_ratio']['low'] == pytest.approx(1.45)
  assert small['step_ratio']['high'] == pytest.approx(1.55)
  assert len(actual['growth']) == len(workloads.Plan().growth)


def test_a_missing_kernel_gives_null_and_a_note():
  actual = json.loads(json.dumps(summary.as_json(example_results(('ops',)))))
  assert [actual[key] for key in HEADLINE_KEYS] == [None] * len(HEADLINE_KEYS)
  assert all(actual[key + '_ops'] is not None for key in HEADLINE_KEYS)
  assert actual['shapes']['224px_batch8']['step_ratio'] is None
  assert 'step_fused' not in actual['shapes']['224px_batch8']
  assert actual['notes'] == [summary.NOT_BUILT]
  assert actual['scripts_implementation'] == 'ops'


def test_ratios_without_a_shape_are_of_no_other_shape():
  actual = summary.as_json(example_results(shapes=(SMALL,))._replace(memory={}, starts={}))
  for key in HEADLINE_KEYS:
    assert actual[key] is None and actual[key + '_ops'] is None
  assert actual['first_step_s'] is actual['first_eval_batch_s'] is None
  assert '224 px, batch 8' in actual['notes'][0]


def test_table():
  lines = summary.as_markdown(example_results()).splitlines()
  rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[:10]]
  assert {len(row) for row in rows} == {5}
  assert rows[0][1:3] == ['224 px, batch 8: median (quartiles) in ms', 'ratio']
  assert rows[2] == ['float forward'] + ['250 (225 to 275)', ''] * 2
  assert rows[4][:3] == ['quantised forward, fused ops', '375 (375 to 375)',
                         '1.50 (1.38 to 1.69)']
  assert [row[0] for row in rows[6:8]] == [
      'adjustable step, bit-widths trained, ' + title for title in ('fused ops',
                                                                    'TensorFlow ops')]
  text = '\n'.join(lines[10:])
  assert 'fused ops: 500 graph nodes, 1.25 GB at most, 1.25 of float' in text
  assert 'train.py: first step after 20.0 s, 22.0 s' in text and 'some cpu, 2 cores' in text


def test_table_without_the_kernel():
  text = summary.as_markdown(example_results(('ops',)))
  assert 'fused ops |' not in text
  assert text.splitlines()[-1] == 'note: ' + summary.NOT_BUILT


@pytest.mark.parametrize('load, noted', [(None, False), (0.9, False), (2.6, True)])
def test_a_busy_machine_is_noted(load, noted):
  results = example_results()._replace(machine=dict(MACHINE, load_average=load))
  assert any('load average was 2.6' in note for note in summary.notes(results)) == noted
