"""Pictures of training: scalars of consecutive runs over their steps."""

from typing import NamedTuple, Tuple

import numpy as np

from scripts.reporting import drawing

_FEW = 60  # Points up to here are marked one by one.
_SMOOTHED = 200  # Points from here on are noisy losses: their running mean is drawn over them.


class Panel(NamedTuple):
  """One diagram."""
  title: str
  tags: Tuple[str, ...]  # Scalars drawn in it.


_PANELS = (
    Panel('Accuracy in %', ('validation/top1', 'validation/top5', 'top1', 'top5', 'accuracy')),
    Panel('Metric', ('metric/published', 'metric/official')),
    Panel('Mean bits', ('mean_bits/weights', 'mean_bits/activations')),
    Panel('Loss', ('loss/total', 'loss/distillation', 'loss/classification', 'total_loss', 'loss')),
)


def known_panels(phases):
  """The diagrams of accuracy, metrics, bits and loss, with the scalars that any run has."""
  present = _tags(phases)
  panels = [panel._replace(tags=tuple(tag for tag in panel.tags if tag in present))
            for panel in _PANELS]
  return [panel for panel in panels if panel.tags]


def other_panels(phases):
  """A diagram for each scalar that `known_panels` leaves out."""
  known = {tag for panel in _PANELS for tag in panel.tags}
  return [Panel(tag, (tag,)) for tag in sorted(_tags(phases) - known)]


def history_chart(phases, panels, height=1.7):
  """The diagrams below each other over one axis of steps, runs one after another.

  Args:
    phases: list of `history.Phase`.
    panels: list of `Panel`, one or more.
    height: of a diagram, in inches.

  Returns:
    A figure.
  """
  figure, every = drawing.new_axes(height, rows=len(panels), gap=0.65, below=0.7, sharex=True)
  starts = np.concatenate([[0], np.cumsum([max(1, phase.last_step) for phase in phases])])
  for axes, panel in zip(every, panels):
    for colour, tag in zip(_colours(len(panel.tags)), panel.tags):
      _draw(axes, tag, colour, phases, starts)
    for start in starts[1:-1]:
      axes.axvline(start, color=drawing.INK, linewidth=0.8, linestyle=':')
    axes.margins(y=0.12)
    drawing.title(axes, panel.title)
    if panel.tags != (panel.title,):
      drawing.legend(axes)
  every[0].set_xlim(0, starts[-1] * 1.01)
  _name_phases(every[-1], phases, starts)
  return figure


def _tags(phases):
  return {tag for phase in phases for tag in phase.series}


def _colours(count):
  return [drawing.CYCLE[index % len(drawing.CYCLE)] for index in range(count)]


def _draw(axes, tag, colour, phases, starts):
  """One scalar in all runs that have it."""
  label = drawing.plain(tag)
  for phase, start in zip(phases, starts):
    if tag not in phase.series:
      continue
    steps, values = phase.series[tag]
    values = np.where(np.isfinite(values), values, np.nan)
    noisy = len(values) >= _SMOOTHED
    axes.plot(start + steps, values, color=colour, linewidth=1.0 if noisy else 1.6,
              alpha=0.35 if noisy else 1.0, label=None if noisy else label,
              marker='o' if len(values) <= _FEW else None, markersize=3)
    if noisy:
      axes.plot(start + steps, running_mean(values, len(values) // 25), color=colour,
                linewidth=1.8, label=label)
    label = None  # One entry in the legend.


def running_mean(values, window):
  """Mean of the values up to `window` // 2 places away; fewer at the ends, NaN are left out."""
  finite = np.isfinite(values)
  ones = np.ones(window // 2 * 2 + 1)
  sums = np.convolve(np.where(finite, values, 0.0), ones, 'same')
  counts = np.convolve(finite.astype(float), ones, 'same')
  return sums / np.where(counts > 0, counts, np.nan)


def _name_phases(axes, phases, starts):
  """The runs' names below the lowest axes."""
  axes.set_xlabel('step', color=drawing.INK, fontsize=9)
  for phase, start, end in zip(phases, starts, starts[1:]):
    axes.annotate(drawing.plain(phase.name), ((start + end) / 2, 0.0),
                  xycoords=axes.get_xaxis_transform(), xytext=(0, -34),
                  textcoords='offset points', ha='center', va='top', color=drawing.INK,
                  fontsize=9, fontweight='bold', annotation_clip=False)
