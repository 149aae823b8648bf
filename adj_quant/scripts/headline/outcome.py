"""What the comparison found: a table, results.json and the picture of accuracy over metric."""

import json
import os

from scripts.demo.results import RESULTS
from scripts.effnetb0.nodes import FLOAT
from scripts.files import read_json, write_file
from scripts.headline.comparisons import RANGES
from scripts.reporting import drawing
from scripts.reporting.results import difference, wilson_interval
from scripts.reporting.table import format_markdown

SAME_METRIC = 0.01  # Relative difference of two metrics that are compared.
PICTURE = 'accuracy_over_metric.png'
_FAMILIES = (  # Name, colour, line, how far above the points their texts stand.
    ('uniform precision', drawing.GREY, '-', -12), ('precision by channel', drawing.BLUE, '-', 7),
    ('other', drawing.ORANGE, '', -3))


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
  found = [read_json(os.path.join(work, variant.name + '_evaluation', 'result.json'), 'evaluation')
           for variant in variants]
  start = read_json(os.path.join(work, RANGES, 'result.json'), 'evaluation')
  rows = [{'model': 'float', 'top1': start['float_top1'], 'correct': start['float_correct'],
           'images': start['images'], 'mean_weight_bits': FLOAT, 'mean_act_bits': FLOAT,
           'published_metric': None, 'official_metric': None}]
  keys = list(rows[0])[1:]
  return rows + [dict({key: result[key] for key in keys}, model=variant.title)
                 for variant, result in zip(variants, found)]


def describe_gains(rows, variants):
  """Lines with the difference between precision by channel and uniform precision at one metric."""
  uniform, adjustable = ([row for row, variant in zip(rows[1:], variants)
                          if variant.family == family] for family, _, _, _ in _FAMILIES[:2])
  lines = []
  for own in adjustable:
    for other in uniform:
      if abs(own['published_metric'] / other['published_metric'] - 1) < SAME_METRIC:
        lines.append('%s (metric %.6f) to %s (metric %.6f): %+.2f points, 95 %% interval %+.2f to '
                     '%+.2f' % ((own['model'], own['published_metric'], other['model'],
                                 other['published_metric']) + difference(own, other)))
  return '\n'.join(lines) or 'no two of the families have one metric: no comparison'


def chart(rows, variants):
  """Top-1 with its 95 % interval over the published metric, a line for each family.

  Args:
    rows: those of `rows_of`.
    variants: their `comparisons.Variant`s.

  Returns:
    A figure.
  """
  figure, (axes,) = drawing.new_axes(4.2)
  for family, colour, line, above in _FAMILIES:
    own = sorted(((row['published_metric'], row) for row, variant in zip(rows[1:], variants)
                 if variant.family == family), key=lambda pair: pair[0])
    if not own:
      continue
    metrics, own = [metric for metric, _ in own], [row for _, row in own]
    bounds = [wilson_interval(row['correct'], row['images']) for row in own]
    tops = [row['top1'] for row in own]
    axes.errorbar(metrics, tops, yerr=[[top - 100 * low for top, (low, _) in zip(tops, bounds)],
                                       [100 * high - top for top, (_, high) in zip(tops, bounds)]],
                  color=colour, linestyle=line, marker='o', markersize=4, capsize=3, label=family)
    for metric, row in zip(metrics, own):
      text = '%s: %d' % (row['model'], row['correct'])
      axes.annotate(drawing.plain(text), (metric, row['top1']), xytext=(6, above),
                    textcoords='offset points', color=drawing.INK, fontsize=7)
  axes.axhline(rows[0]['top1'], color=drawing.INK, linestyle='--', linewidth=1, label='float')
  axes.set_xlabel('published metric', color=drawing.INK, fontsize=9)
  axes.set_ylabel('top-1 in %', color=drawing.INK, fontsize=9)
  drawing.title(axes, 'Accuracy over metric; how many of %d images are right'
                % rows[0]['images'])
  drawing.legend(axes)
  return figure
