"""Times of ops: summed by type, longest first, shares by hand."""

import tensorflow.compat.v1 as tf

from scripts import runtime
from scripts.bench import op_times
from scripts.bench.op_times import OpTime


def metadata(*nodes):
  """A `RunMetadata` of (label, first microsecond, last one)."""
  traced = tf.RunMetadata()
  device = traced.step_stats.dev_stats.add()
  for label, start, end in nodes:
    device.node_stats.add(timeline_label=label, op_start_rel_micros=start, op_end_rel_micros=end)
  return traced


def test_sums_by_type():
  assert op_times.op_times(metadata(
      ('a = Mul(x, y)', 10, 1010), ('b = Conv2D(x, w)', 0, 5000), ('c = Mul(a, b)', 5, 2005),
      ('unknown', 0, 500))) == [
          OpTime('Conv2D', 5.0, 1), OpTime('Mul', 3.0, 2), OpTime('other', 0.5, 1)]


def test_table():
  times = [OpTime('Conv2D', 5.0, 1), OpTime('Mul', 3.0, 2), OpTime('Add', 1.5, 4),
           OpTime('Sum', 0.5, 1)]
  title, head, *rows = op_times.format_table('step', times, rows=2).splitlines()
  assert title == 'step: 10.0 ms in all ops together' and head.split()[0] == 'op'
  assert [row.split() for row in rows] == [
      ['Conv2D', '5.0', '50.0', '%', '1'], ['Mul', '3.0', '30.0', '%', '2'],
      ['2', 'other', 'types', '2.0', '20.0', '%', '5']]
  assert op_times.format_table('nothing', []).startswith('nothing: 0.0 ms')


def test_trace_of_a_run():
  with tf.Graph().as_default(), runtime.new_session() as session:
    x = tf.placeholder(tf.float32, [2, 2])
    actual = op_times.trace(session, tf.matmul(tf.matmul(x, x), x), {x: [[1, 2], [3, 4]]})
  # It ran as 'MatMul', or as '_MklMatMul' where TensorFlow computes it by oneDNN.
  assert sum(each.calls for each in op_times.op_times(actual) if 'MatMul' in each.kind) == 2
