"""Freezes a graph with the values of a checkpoint: every variable becomes a constant.

    python freeze_graph.py --input_graph=GRAPH.pb --input_checkpoint=CKPT --output_graph=FROZEN.pb
"""

import collections
import os
import sys

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
  sys.path[0:1] = [os.path.normpath(os.path.join(ROOT, part)) for part in ('slim', 'adj_quant')]

from scripts.runtime import new_session, prepare_tensorflow  # Before TensorFlow is imported.

import tensorflow.compat.v1 as tf

from command_line import CommandLine
from scripts.checkpoint_files import DAMAGED, open_checkpoint, reason
from scripts.checkpoint_paths import find_checkpoint
from scripts.effnetb0.frozen_graph import read_graph
from scripts.errors import UserError, exits_with_status
from scripts.files import check_file, write_new_file
from training.initialization import plan_reading

_OUTPUTS = 5  # Nodes in a message.
OUTPUT = 'efficientnet_b0/Predictions/Reshape_1'
DESCRIPTION = '''\
Freezes a graph of export_inference_graph.py with the values of a checkpoint: every variable \
becomes a constant of the same name. prepare_weights.py of adj_quant extracts a weights pickle \
from the result.'''


def _command_line():
  line = CommandLine(__file__, DESCRIPTION)
  line.string('input_graph', None, 'GraphDef of export_inference_graph.py')
  line.boolean('input_binary', True, 'the graph is binary, as export_inference_graph.py writes it; '
                                     '--noinput_binary: text format')
  line.string('input_checkpoint', None, 'checkpoint, one of its files, or a folder (its latest)')
  line.string('output_graph', None, 'binary GraphDef to write')
  line.string('output_node_names', OUTPUT, 'output nodes of the graph, separated by commas')
  line.boolean('moving_average', None, 'use the moving averages of the weights (default: if the '
                                       'checkpoint has them); --nomoving_average: the weights of '
                                       'the last step')
  line.boolean('overwrite', False, 'replace another graph at --output_graph')
  return line


def freeze(graph_def, outputs, path, moving_average):
  """The part of a graph that computes some nodes, with the values of a checkpoint as constants.

  Args:
    graph_def: tf.GraphDef.
    outputs: list of names of nodes.
    path: checkpoint.
    moving_average: as for `plan_reading`.

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
      raise UserError('the graph is incomplete (%s): export it again' % reason(error))
    variables = {op.name: op.outputs[0] for op in graph.get_operations() if op.type == 'VariableV2'}
    shapes = {name: variable.shape.as_list() for name, variable in variables.items()}
    stored = plan_reading(shapes, checkpoint, path, moving_average,
                          'make the graph with export_inference_graph.py --checkpoint_path=' + path)
    try:
      tf.train.Saver({stored[name]: variables[name] for name in variables}).restore(session, path)
    except DAMAGED as error:
      raise UserError('checkpoint %s is damaged: %s' % (path, reason(error)))
    return tf.graph_util.convert_variables_to_constants(session, needed, outputs), stored


def _output_names(flags, graph):
  """The nodes of --output_node_names, "name" or "name:0", that are in the graph."""
  names = [name.strip() for name in flags.output_node_names.split(',') if name.strip()]
  names = [name[:-len(':0')] if name.endswith(':0') else name for name in names]
  known = {node.name for node in graph.node}
  for name in names or ['']:
    if name not in known:
      raise UserError('--output_node_names: %s has no node "%s"; its output is %s'
                      % (flags.input_graph, name, ', '.join(_outputs(graph)) or 'unknown'))
  return names


def _outputs(graph):
  """Names of nodes of a tf.GraphDef that depend on its input and that none reads, a few."""
  readers = collections.defaultdict(list)
  for node in graph.node:
    for name in node.input:
      readers[name.lstrip('^').partition(':')[0]].append(node.name)
  reached, left = set(), [node.name for node in graph.node if node.op == 'Placeholder']
  while left:
    name = left.pop()
    if name not in reached:
      reached.add(name)
      left.extend(readers.get(name, ()))
  return [node.name for node in graph.node
          if node.name in reached and node.name not in readers][:_OUTPUTS]


@exits_with_status
def main(argv=None):
  """Reads, freezes and writes."""
  prepare_tensorflow()
  flags, _ = _command_line().parse(sys.argv[1:] if argv is None else argv)
  for name in ('input_graph', 'input_checkpoint', 'output_graph'):
    if not getattr(flags, name):
      raise UserError('--%s is needed (see freeze_graph.py --help)' % name)
  check_file(flags.output_graph)
  if os.path.realpath(flags.output_graph) == os.path.realpath(flags.input_graph):
    raise UserError('--output_graph and --input_graph name one file, %s: choose two'
                    % flags.output_graph)
  graph = read_graph(flags.input_graph, 'graph', flags.input_binary)
  outputs = _output_names(flags, graph)
  path = find_checkpoint(flags.input_checkpoint)
  frozen, stored = freeze(graph, outputs, path, flags.moving_average)
  write_new_file(flags.output_graph, frozen.SerializeToString(deterministic=True), flags.overwrite)
  print('%d variables of %s, %d of them as moving averages, in %d nodes -> %s'
        % (len(stored), path, sum(name != stored_name for name, stored_name in stored.items()),
           len(frozen.node), flags.output_graph))


if __name__ == '__main__':
  sys.exit(main())
