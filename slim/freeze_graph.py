"""Puts the values of a checkpoint into a graph: every variable becomes a constant of its name.

    python freeze_graph.py --input_graph=GRAPH.pb --input_checkpoint=CKPT --output_graph=FROZEN.pb
"""

import os
import sys

import tensorflow.compat.v1 as tf

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
  sys.path[0:1] = [os.path.normpath(os.path.join(ROOT, part)) for part in ('slim', 'adj_quant')]

from command_line import CommandLine
from prepare_weights import read_graph
from scripts.errors import UserError, exits_with_status
from scripts.files import check_file, write_file
from scripts.runtime import prepare_tensorflow
from scripts.trainer.checkpoints import new_session, open_checkpoint, reason
from training.averages import SUFFIX, stored_names
from training.initialization import find_checkpoint
from training.model_file import read_model

OUTPUT = 'efficientnet_b0/Predictions/Reshape_1'
DESCRIPTION = '''\
Puts the values of a checkpoint into a graph of export_inference_graph.py: every variable becomes \
a constant under its own name. prepare_weights.py of adj_quant makes a weights file out of the \
result.'''


def _command_line():
  line = CommandLine(__file__, DESCRIPTION)
  line.string('input_graph', None, 'binary GraphDef of export_inference_graph.py')
  line.string('input_checkpoint', None, 'checkpoint, or folder of which the latest one is taken')
  line.string('output_graph', None, 'binary GraphDef to write')
  line.string('output_node_names', OUTPUT, 'nodes to keep with all they need, separated by commas')
  line.boolean('moving_average', None, 'take the moving average of each variable that has one; not '
                                       'given: if the training kept them (model.json)')
  return line


def plan_values(shapes, checkpoint, path, averages):
  """Under which name of a checkpoint the value of each variable is.

  Args:
    shapes: dict name of a variable -> shape.
    checkpoint: dict name -> shape.
    path: the checkpoint, for messages.
    averages: take moving averages where there are such.

  Returns:
    Dict name of a variable -> name in the checkpoint.

  Raises:
    UserError: a variable is missing or has another shape, or there are no averages at all.
  """
  stored = stored_names(shapes, checkpoint, averages)
  advice = 'make the graph with export_inference_graph.py --checkpoint_path=%s' % path
  for name, shape in shapes.items():
    if name not in stored:
      raise UserError('checkpoint %s has no %s, which the graph needs: %s' % (path, name, advice))
    if list(checkpoint[stored[name]]) != list(shape):
      raise UserError('%s has the shape %s in checkpoint %s, %s in the graph: %s'
                      % (stored[name], list(checkpoint[stored[name]]), path, list(shape), advice))
  if averages and not any(name.endswith(SUFFIX) for name in stored.values()):
    raise UserError('checkpoint %s has no moving averages: use --nomoving_average' % path)
  return stored


def freeze(graph_def, outputs, path, averages):
  """The part of a graph that computes some nodes, with the values of a checkpoint as constants.

  Args:
    graph_def: tf.GraphDef.
    outputs: list of names of nodes.
    path: checkpoint.
    averages: see `plan_values`.

  Returns:
    tf.GraphDef, and dict name of a variable -> its name in the checkpoint.

  Raises:
    UserError: the checkpoint does not fit.
  """
  checkpoint = open_checkpoint(path).get_variable_to_shape_map()
  with tf.Graph().as_default() as graph, new_session() as session:
    try:
      needed = tf.graph_util.extract_sub_graph(graph_def, outputs)
      tf.import_graph_def(needed, name='')
    except (AssertionError, KeyError, ValueError) as error:
      raise UserError('the graph is not whole (%s): export it again' % reason(error))
    variables = {op.name: op.outputs[0] for op in graph.get_operations() if op.type == 'VariableV2'}
    shapes = {name: variable.shape.as_list() for name, variable in variables.items()}
    stored = plan_values(shapes, checkpoint, path, averages)
    try:
      tf.train.Saver({stored[name]: variables[name] for name in variables}).restore(session, path)
    except (tf.errors.OpError, ValueError) as error:
      raise UserError('checkpoint %s is damaged: %s' % (path, reason(error)))
    return tf.graph_util.convert_variables_to_constants(session, needed, outputs), stored


def _take_averages(flag, path):
  """Whether moving averages are wanted: the flag, else what the training did."""
  if flag is not None:
    return flag
  found = read_model(path)
  return bool(found) and found[0].moving_average_decay is not None


@exits_with_status
def main(argv=None):
  """Reads, freezes and writes."""
  prepare_tensorflow()
  flags, _ = _command_line().parse(sys.argv[1:] if argv is None else argv)
  for name in ('input_graph', 'input_checkpoint', 'output_graph'):
    if not getattr(flags, name):
      raise UserError('--%s is needed (see freeze_graph.py --help)' % name)
  check_file(flags.output_graph)
  graph = read_graph(flags.input_graph, 'graph')
  outputs = [name.strip() for name in flags.output_node_names.split(',') if name.strip()]
  known = {node.name for node in graph.node}
  for name in outputs or ['']:
    if name not in known:
      raise UserError('--output_node_names: %s has no node "%s"; its last one is %s'
                      % (flags.input_graph, name, graph.node[-1].name))
  path = find_checkpoint(flags.input_checkpoint)
  frozen, stored = freeze(graph, outputs, path, _take_averages(flags.moving_average, path))
  write_file(flags.output_graph, frozen.SerializeToString())
  print('%d variables of %s, %d of them as moving averages, in %d nodes -> %s'
        % (len(stored), path, sum(name.endswith(SUFFIX) for name in stored.values()),
           len(frozen.node), flags.output_graph))


if __name__ == '__main__':
  sys.exit(main())
