"""The picture of the time of a training step over batch size and image size."""

import numpy as np

from scripts.bench.workloads import FLOAT_FORWARD, FLOAT_STEP, STEP, task_name
from scripts.reporting import drawing

_LINES = (  # Label, colour, tasks whose medians are added up.
    ('float step + float forward', drawing.GREY, (FLOAT_STEP, FLOAT_FORWARD)),
    ('adjustable step, fused ops', drawing.BLUE, (task_name(STEP, 'fused'),)),
    ('adjustable step, TensorFlow ops', drawing.ORANGE, (task_name(STEP, 'ops'),)))
TASKS = frozenset(task for _, _, tasks in _LINES for task in tasks)  # What it needs.


def growth_chart(growth, plan):
  """Seconds over the batch and over the size of the images, below each other.

  Args:
    growth: dict workloads.Shape -> dict task -> list of seconds.
    plan: `workloads.Plan`, which says what is drawn.

  Returns:
    A figure.
  """
  figure, (over_batch, over_size) = drawing.new_axes(2.4, rows=2, gap=1.1, below=0.6)
  _draw(over_batch, growth, plan.over_batch, 'batch', 'images a batch')
  drawing.title(over_batch, 'Seconds per step at %d px' % plan.over_batch[0].size)
  _draw(over_size, growth, plan.over_size, 'size', 'pixels a side')
  drawing.title(over_size, 'Seconds per step of %d images' % plan.over_size[0].batch)
  return figure


def _draw(axes, growth, shapes, field, label):
  """The lines over one field of the shapes, with the quartiles as bars."""
  places = [getattr(shape, field) for shape in shapes]
  for title, colour, tasks in _LINES:
    if all(task in growth[shape] for shape in shapes for task in tasks):
      rounds = [np.sum([growth[shape][task] for task in tasks], axis=0) for shape in shapes]
      low, middle, high = np.transpose([np.percentile(each, [25, 50, 75]) for each in rounds])
      axes.errorbar(places, middle, yerr=[middle - low, high - middle], color=colour,
                    linewidth=1.6, marker='o', markersize=4, capsize=3, label=title)
  axes.set_xticks(places)
  axes.set_xlabel(label, color=drawing.INK, fontsize=9)
  axes.set_xlim(0, max(places) * 1.02)
  axes.set_ylim(bottom=0)
  drawing.legend(axes)
