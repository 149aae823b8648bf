"""Writes the report of an experiment: one HTML file, and pictures of its bits.

    python report.py --quant_info quant_info.json --results results.json --logs logs \
        --config best_ckpt/NAME.json --images_dir ../images --out report.html
"""

import datetime
import json
import os
import platform
import sys

import matplotlib
import numpy as np

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

import tensorflow.compat.v1 as tf

from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.errors import ArgumentParser, UserError, exits_with_status
from scripts.files import (
    check_result, check_writable, read_json, write_file, write_new_file)
from scripts.quant_info import flatten, read_quant_info
from scripts.reporting import charts, drawing
from scripts.reporting.history import read_logs, short_names
from scripts.reporting.network import network_report
from scripts.reporting.page import Report, check_report, render
from scripts.reporting.results import read_results
from scripts.reporting.table import format_markdown, format_table, model_bytes


def parse(argv):
  """Flags of a report."""
  parser = ArgumentParser(
      'Writes the report of an experiment: one self-contained HTML file with bits by layer and '
      'channel, cost by part and layer, and, if given, results, training curves and '
      'configuration.')
  parser.add_argument('--quant_info', required=True, metavar='FILE',
                      help='bits of every channel, a quant_info.json of eval.py')
  parser.add_argument('--out', required=True, metavar='FILE', help='the report to write (.html)')
  parser.add_argument('--results', metavar='FILE',
                      help='networks to compare: a JSON list of objects with model, top1 '
                           '(percent), correct, images, mean_weight_bits, mean_act_bits, '
                           'published_metric, official_metric (null if there is none) and '
                           'optionally size_bytes and hits (a text with 1 for each correct image '
                           'and 0 for the others, in the same order); also prints them as a table')
  parser.add_argument('--markdown', action='store_true', help='print the table as Markdown')
  parser.add_argument('--logs', action='append', default=[], metavar='DIR',
                      help='folder with TensorBoard event files; several are drawn one after '
                           'the other')
  parser.add_argument('--config', action='append', default=[], metavar='FILE',
                      help='flags to show: a JSON object, or its "train" if it has one, such as '
                           'the file beside a checkpoint; may be repeated')
  parser.add_argument('--title', default='Adjustable quantisation', help='title (%(default)s)')
  parser.add_argument('--images_dir', metavar='DIR',
                      help='also write PREFIXweights_bits.png and PREFIXactivations_bits.png here')
  parser.add_argument('--overwrite', action='store_true',
                      help='replace other pictures, and at --out a file that is not a report')
  parser.add_argument('--images_prefix', default='', metavar='PREFIX',
                      help='prefix of the names of these pictures (empty)')
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Reads everything, then writes the report and the pictures, prints the table."""
  prepare_tensorflow()
  args = parse(argv)
  _check_outputs(args)
  info = read_quant_info(args.quant_info)
  network = network_report(info)
  rows = read_results(args.results) if args.results else None
  size = model_bytes(*info, architecture=ARCHITECTURES[info.settings.architecture])
  report = Report(
      title=args.title, network=network, size_bytes=size, rows=rows, phases=read_logs(args.logs),
      configs=_read_configs(args.config), environment=environment())
  write_file(args.out, render(report))
  if args.images_dir:
    _write_pictures(network, os.path.join(args.images_dir, args.images_prefix), args.overwrite)
  if rows:
    print((format_markdown if args.markdown else format_table)(rows))
  print('report -> %s' % args.out)


def _check_outputs(args):
  """Refuses what would fail at the end."""
  if args.markdown and not args.results:
    raise UserError('--markdown prints the table of --results, which is missing')
  if os.path.basename(args.images_prefix) != args.images_prefix:
    raise UserError('--images_prefix %s: must be part of a file name; --images_dir names the folder'
                    % args.images_prefix)
  if args.images_prefix and not args.images_dir:
    raise UserError('--images_prefix names pictures in --images_dir, which is missing')
  check_result(args.out, check_report, args.overwrite)
  if args.images_dir:
    check_writable(args.images_dir)


def _read_configs(paths):
  """Dict short name of a file -> its flags, flag -> text."""
  values = {}
  for path, name in zip(paths, short_names(paths)):
    content = read_json(path, 'configuration')
    flags = content['train'] if isinstance(content.get('train'), dict) else content
    values[name] = {flag: value if isinstance(value, str) else json.dumps(value)
                    for flag, value in sorted(flatten(flags).items())}
  return values


def _write_pictures(network, start, overwrite):
  for role in charts.ROLES:
    path = '%s%s_bits.png' % (start, role)
    write_new_file(path, drawing.as_png(charts.bits_chart(network, role)), overwrite)
    print('picture -> %s' % path)


def environment():
  """Dict name -> text: what the report was made with."""
  return {'made': datetime.datetime.now().strftime('%Y-%m-%d %H:%M'),
          'Python': platform.python_version(),
          'TensorFlow': tf.version.VERSION,
          'NumPy': np.__version__,
          'Matplotlib': matplotlib.__version__,
          'system': '%s %s' % (platform.system(), platform.machine()),
          'CPUs': str(os.cpu_count())}


if __name__ == '__main__':
  sys.exit(main())
