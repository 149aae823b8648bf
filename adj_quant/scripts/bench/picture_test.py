"""The picture of growth: its lines, and those that are missing without the fused ops."""

import pytest

from scripts.bench import picture
from scripts.bench import workloads
from scripts.testing.bench import example_results


def test_lines():
  over_batch, over_size = picture.growth_chart(example_results().growth, workloads.Plan()).axes
  assert over_batch.get_xticks().tolist() == [2, 4, 8, 16]
  assert over_size.get_xticks().tolist() == [32, 64, 128, 224]
  titles = [text.get_text() for text in over_batch.get_legend().get_texts()]
  assert titles == ['float step + float forward', 'adjustable step, fused ops',
                    'adjustable step, TensorFlow ops']
  heights = [line[0].get_ydata().tolist() for line in over_size.containers]
  assert heights == [pytest.approx([1.0] * 4), [1.5] * 4, [3.0] * 4]


def test_without_the_fused_kernel():
  over_batch, _ = picture.growth_chart(example_results(('ops',)).growth, workloads.Plan()).axes
  assert len(over_batch.containers) == 2


def test_needed_tasks():
  assert picture.TASKS == {'float_step', 'float_forward', 'step_fused', 'step_ops'}
