"""Checks a folder of TFRecords.

    python check_records.py DIR --decode
"""

import json
import os
import sys

import numpy as np

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  _SLIM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  sys.path[0:1] = [_SLIM, os.path.join(os.path.dirname(_SLIM), 'adj_quant')]

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from command_line import CommandLine
from datasets.images import ImageChecker
from datasets.record_check import check_folder
from scripts.errors import exits_with_status
from scripts.files import check_file, write_file

_SHOWN = 20  # Lines of a list on the terminal; --json_out has them all.
_DESCRIPTION = '''\
Reads all records of a folder, counts the images by split and class, and lists all faults.
Faults are: missing, empty or truncated files, records that fail their checksum or lack a key, \
wrong labels and, with --decode, images that cannot be decoded. The script continues after a fault \
and ends with status 2 if there was one. Records with the same image are listed as well, but are \
not a fault: published sets have some.'''


def summary(split):
  """Dict of the figures of a `SplitReport`, for JSON."""
  counts = split.class_counts
  return {'files': split.files, 'records': split.records, 'images': int(np.sum(counts)),
          'images_per_class': {'min': int(np.min(counts)), 'max': int(np.max(counts)),
                               'mean': float(np.mean(counts))},
          'class_counts': counts.tolist()}


def describe(name, split, info):
  """Lines on a `SplitReport`."""
  entry = summary(split)
  absent = np.flatnonzero(split.class_counts == 0) + info.first_label
  spread = entry['images_per_class']
  lines = ['%s: %d good images of %d records in %d files'
           % (name, entry['images'], entry['records'], entry['files']),
           '  classes with images: %d of %d; images a class: %d to %d, %.2f on average'
           % (info.classes - len(absent), info.classes, spread['min'], spread['max'],
              spread['mean'])]
  if len(absent):
    lines.append('  labels without images: ' + ', '.join(
        [str(label) for label in absent[:_SHOWN]] + ['...'] * (len(absent) > _SHOWN)))
  return lines


def _listed(title, lines):
  """The title with the number of lines, and the first of them."""
  shown = ['  ' + line for line in lines[:_SHOWN]]
  if len(lines) > _SHOWN:
    shown.append('  ... and %d more (--json_out lists all)' % (len(lines) - _SHOWN))
  return ['%s: %d' % (title, len(lines))] + shown


def _command_line():
  line = CommandLine(__file__, _DESCRIPTION, ['DIR'])
  line.boolean('decode', False, 'also decode every image, which takes much longer')
  line.integer('num_threads', os.cpu_count(), 'files read in parallel', least=1)
  line.string('json_out', None, 'file to write all counts and lists to')
  return line


@exits_with_status
def main(argv=None):
  """Reads the flags and the records, prints what they hold and returns 2 if that is wrong."""
  prepare_tensorflow()
  flags, (folder,) = _command_line().parse(sys.argv[1:] if argv is None else argv)
  if flags.json_out:
    check_file(flags.json_out)
  with ImageChecker() as checker:
    report = check_folder(folder, checker if flags.decode else None, flags.num_threads)
  lines = ['%s: "%s", labels %d to %d' % (folder, report.info.name, report.info.first_label,
                                          report.info.last_label)]
  for name, split in report.splits.items():
    lines.extend(describe(name, split, report.info))
  for kind, pairs in report.duplicates.items():
    lines.extend(_listed('same images ' + kind, pairs))
  print('\n'.join(lines + _listed('faults', report.faults)))
  if flags.json_out:
    write_file(flags.json_out, json.dumps({
        'info': report.info._asdict(),
        'splits': {name: summary(split) for name, split in report.splits.items()},
        'faults': report.faults, 'duplicates': report.duplicates}, indent=2) + '\n')
  return 2 if report.faults else 0


if __name__ == '__main__':
  sys.exit(main())
