"""Graphs for use elsewhere: the frozen network, the training graph with its values."""

import os

import tensorflow.compat.v1 as tf

from scripts import runtime
from scripts.effnetb0 import student as students
from scripts.files import write_file
from scripts.trainer import checkpoints, loading


def export_inference_graph(network, options, folder):
  """Writes `inference_graph.pb`: images float32 [N, S, S, 3], RGB 0..255 -> logits [N, K].

  Args:
    network: `loading.Network`.
    options: `flags.ModelOptions`.
    folder: where the file goes.
  """
  path = os.path.join(folder, 'inference_graph.pb')
  size = network.image_size
  with tf.Graph().as_default() as graph:
    images = tf.placeholder(tf.float32, [None, size, size, 3], 'images')
    parameters = students.create_parameters(network.spec)
    student = students.build_student(images, network.spec, parameters, is_training=False)
    output = tf.identity(student.logits, 'logits')
    with runtime.new_session(options.allow_growth) as session:
      session.run(tf.global_variables_initializer())
      loading.start_student(session, parameters, network)
      frozen = tf.graph_util.convert_variables_to_constants(
          session, graph.as_graph_def(), [output.op.name])
  write_file(path, frozen.SerializeToString())
  print('frozen network: images -> logits, %d nodes -> %s' % (len(frozen.node), path))


def export_training_graph(session, graph, folder):
  """Writes `training_graph.meta` and a checkpoint of every variable, optimisers included.

  After `tf.train.import_meta_graph` and `restore`, run `start_data_train`, feed `learning_rate` and
  the value of `data_handle_train` as `data_source`, and run `train` or `train_with_bits`; `loss`
  and `metric` are there by name as well. Where the graph has fused ops,
  `scripts.ops.fused.load()` comes first; with --quantizer_impl ops it has none.
  """
  path = os.path.join(folder, 'training_graph')
  tf.identity(graph.losses.total, 'loss')
  tf.identity(graph.losses.metric, 'metric')
  for name in ('train', 'train_with_bits'):
    tf.group(getattr(graph.ops, name), name=name)
  for name, handle in graph.batches.handles.items():
    tf.identity(handle, 'data_handle_' + name)
    tf.group(graph.batches.initializers[name], name='start_data_' + name)
  checkpoints.save_graph(session, path)
  print('training graph with %d nodes -> %s.meta'
        % (len(tf.get_default_graph().get_operations()), path))
