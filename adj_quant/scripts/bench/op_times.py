"""Where the time of one run goes: the ops of a graph, summed by their type."""

import collections
import re
from typing import NamedTuple

import tensorflow.compat.v1 as tf

_TYPE = re.compile(r' = ([^(]+)\(')  # In 'name = Conv2D(input, filter)'.


class OpTime(NamedTuple):
  """All ops of one type."""
  kind: str
  milliseconds: float
  calls: int


def trace(session, fetches, feed):
  """Runs once with TensorFlow's tracer; returns the `RunMetadata`."""
  metadata = tf.RunMetadata()
  session.run(fetches, feed, tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), metadata)
  return metadata


def op_times(metadata):
  """List of `OpTime` of a `RunMetadata`, the longest first.

  Ops run beside each other, so the sum may be more than the time of the run.
  """
  spent, calls = collections.Counter(), collections.Counter()
  for device in metadata.step_stats.dev_stats:
    for node in device.node_stats:
      kind = _TYPE.search(node.timeline_label)
      kind = kind.group(1) if kind else 'other'
      spent[kind] += max(0, node.op_end_rel_micros - node.op_start_rel_micros)
      calls[kind] += 1
  return [OpTime(kind, micros / 1e3, calls[kind]) for kind, micros in spent.most_common()]


def format_table(title, times, rows=20):
  """The longest op types as aligned text; the others are one row."""
  total = sum(each.milliseconds for each in times)
  shown = list(times[:rows])
  rest = times[rows:]
  if rest:
    shown.append(OpTime('%d other types' % len(rest), sum(r.milliseconds for r in rest),
                        sum(r.calls for r in rest)))
  lines = ['%s: %.1f ms in all ops together' % (title, total),
           '%-40s %10s %8s %7s' % ('op', 'total ms', 'share', 'calls')]
  for each in shown:
    lines.append('%-40s %10.1f %6.1f %% %7d' % (
        each.kind, each.milliseconds, 100.0 * each.milliseconds / total if total else 0.0,
        each.calls))
  return '\n'.join(lines)
