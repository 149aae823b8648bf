"""Results of the comparison: a table, results.json and the plot of accuracy over metric."""

import json
import os

from scripts.effnetb0.nodes import FLOAT
from scripts.files import read_json, write_file
from scripts.headline.comparisons import BY_CHANNEL, OTHER, RANGES, UNIFORM
from scripts.reporting import drawing
from scripts.reporting.results import (
    RESULTS, accuracy_part, describe_difference, wilson_interval)
from scripts.reporting.table import format_markdown

SAME_METRIC = 0.01  # Relative difference of two metrics that are compared.
PICTURE = 'accuracy_over_metric.png'
_FAR = 20.0  # Points below the float network under which one would press all others together.
_FAMILIES = (  # Name, colour, where texts stand from their points.
    (UNIFORM, drawing.GREY, (7, -12, 'left')), (BY_CHANNEL, drawing.BLUE, (-7, 3, 'right')))


def finish(work, variants, images_dir):
  """Writes results.json and the picture, prints the table and the gains at one metric."""
  rows = rows_of(work, variants)
  path = os.path.join(work, RESULTS)
  write_file(path, json.dumps(rows, indent=1) + '\n')
  picture = os.path.join(images_dir, PICTURE)
  write_file(picture, drawing.as_png(chart(rows, variants)))
  print('\n%s\n\n%s\n\n%s\n%s' % (
      format_markdown(rows), describe_gains(rows, variants), path, picture))


def rows_of(work, variants):
  """Rows of the table: the float network, then every variant."""
  folders = [os.path.join(work, variant.name + '_evaluation') for variant in variants]
  evaluations = [read_json(os.path.join(folder, 'result.json'), 'evaluation')
                 for folder in folders]
  start = read_json(os.path.join(work, RANGES, 'result.json'), 'evaluation')
  rows = [dict(accuracy_part(start, 'float_'), model='float', mean_weight_bits=FLOAT,
               mean_act_bits=FLOAT, published_metric=None, official_metric=None)]
  costs = ('mean_weight_bits', 'mean_act_bits', 'published_metric', 'official_metric')
  return rows + [dict(accuracy_part(result), model=variant.title,
                      **{key: result[key] for key in costs})
                 for variant, result in zip(variants, evaluations)]


def describe_gains(rows, variants):
  """Lines with differences between networks.

  First of precision by channel to uniform precision at one metric, then of what differs in one way
  to the network that it differs from.
  """
  uniform, adjustable = (_of_family(rows, variants, family) for family in (UNIFORM, BY_CHANNEL))
  lines = [_describe(own, other) for own in adjustable for other in uniform
           if abs(_metric(own) / _metric(other) - 1) < SAME_METRIC]
  lines = lines or ['precision by channel and uniform precision have no metric in common']
  named = {variant.name: row for row, variant in zip(rows[1:], variants)}
  return '\n'.join(lines + [_describe(row, named[variant.reference])
                            for row, variant in zip(rows[1:], variants)
                            if variant.reference in named])


def _of_family(rows, variants, family):
  return [row for row, variant in zip(rows[1:], variants) if variant.family == family]


def _describe(row, reference):
  return '%s (metric %.6f) to %s (metric %.6f): %s' % (
      row['model'], _metric(row), reference['model'], _metric(reference),
      describe_difference(row, reference))


def chart(rows, variants):
  """Top-1 with 95 % intervals: over the published metric, and of what differs in one way.

  Args:
    rows: those of `rows_of`.
    variants: their `comparisons.Variant`s.

  Returns:
    A figure: above, a line for each family, with a mark at the lower end for what lies far below;
    below, if there are others, these and the networks that they differ from.
  """
  others = _of_family(rows, variants, OTHER)
  figure, axes = drawing.new_axes(4.2, rows=2 if others else 1, gap=1.1,
                                  left=3.3 if others else 0.8)
  axes[0].margins(x=0.25)  # Room for texts.
  lowest = rows[0]['top1'] - _FAR
  for family, colour, place in _FAMILIES:
    members = _of_family(rows, variants, family)
    _draw_family(axes[0], [row for row in members if row['top1'] >= lowest], family, colour, place)
    _draw_far(axes[0], [row for row in members if row['top1'] < lowest], lowest, colour)
  axes[0].axhline(rows[0]['top1'], color=drawing.INK, linestyle='--', linewidth=1, label='float')
  axes[0].set_xlabel('published metric', color=drawing.INK, fontsize=9)
  axes[0].set_ylabel('top-1 in %', color=drawing.INK, fontsize=9)
  drawing.title(axes[0], 'Accuracy over metric; correct photos of %d' % rows[0]['images'])
  drawing.legend(axes[0])
  if others:
    names = {variant.reference for variant in variants}
    _draw_others(axes[1], others, [row for row, variant in zip(rows[1:], variants)
                                   if variant.name in names])
  return figure


def _metric(row):
  return row['published_metric']


def _errors(rows):
  """[2, rows]: how far the 95 % interval reaches below and above top-1, in points."""
  bounds = [wilson_interval(row['correct'], row['images']) for row in rows]
  return [[row['top1'] - 100 * low for row, (low, _) in zip(rows, bounds)],
          [100 * high - row['top1'] for row, (_, high) in zip(rows, bounds)]]


def _draw_family(axes, rows, family, colour, place):
  if not rows:
    return
  rows = sorted(rows, key=_metric)
  axes.errorbar([_metric(row) for row in rows], [row['top1'] for row in rows], yerr=_errors(rows),
                color=colour, marker='o', markersize=4, capsize=3, label=family)
  for row in rows:
    _write(axes, '%s: %d' % (row['model'], row['correct']), (_metric(row), row['top1']), place)


def _draw_far(axes, rows, lowest, colour):
  """Marks networks below the axis at its lower end."""
  for row in rows:
    axes.set_ylim(bottom=lowest)
    axes.plot([_metric(row)], [lowest], color=colour, marker='v', markersize=6, clip_on=False)
    _write(axes, '%s: %d, below' % (row['model'], row['correct']), (_metric(row), lowest),
           (0, 8, 'center'))


def _write(axes, text, point, place):
  """Writes beside a point; `place` as in _FAMILIES."""
  axes.annotate(drawing.plain(text), point, xytext=place[:2], textcoords='offset points',
                horizontalalignment=place[2], color=drawing.INK, fontsize=7)


def _draw_others(axes, others, references):
  rows = sorted(others + references, key=lambda row: row['top1'])
  colours = [drawing.BLUE if row in references else drawing.ORANGE for row in rows]
  axes.barh(range(len(rows)), [row['top1'] for row in rows], xerr=_errors(rows), color=colours,
            height=0.6, capsize=3)
  axes.set_yticks(range(len(rows)))
  axes.set_yticklabels([drawing.plain('%s (%.4f)' % (row['model'], _metric(row))) for row in rows])
  for place, row in enumerate(rows):
    axes.annotate(str(row['correct']), (0, place), xytext=(6, -3), textcoords='offset points',
                  color='white', fontsize=8)
  axes.set_xlabel('top-1 in %', color=drawing.INK, fontsize=9)
  drawing.title(axes, 'What differs in one way from precision by channel (metric)')
