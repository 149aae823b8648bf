"""Checkpoints and logits along the chain from slim to adj_quant, for tests."""

import contextlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from contrib import slim
from conversion.checkpoint import load_variables
from nets.float_layers import FloatLayers
from nets.mobilenet.efficientnet_b0 import ARCHITECTURES
from nets.nets_factory import get_network
from quantization.scheme import evaluation_layers, training_layers
from scripts.effnetb0 import student as students
from scripts.testing import network as testing_network
from scripts.testing.network import CLASSES, TINY
from training.model_file import Model, write_model

MODEL = Model('tiny', CLASSES, TINY.image_size, labels_offset=1)
LOGITS = 'efficientnet_b0/Logits/SpatialSqueeze:0'


@contextlib.contextmanager
def known():
  """Makes the scripts of both halves know the tiny network."""
  with testing_network.known(), pytest.MonkeyPatch.context() as patch:
    patch.setitem(ARCHITECTURES, TINY.name, TINY)
    yield


def write_arrays(path, arrays):
  """Writes a checkpoint with one variable for each array of a dict."""
  with tf.Graph().as_default(), tf.Session() as session:
    for name, value in arrays.items():
      tf.get_variable(name, initializer=value)
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, str(path), write_meta_graph=False)


def write_qat_checkpoint(folder, model, values, images=None):
  """Writes model.ckpt-0 and model.json of a network with the variables of the dict `values`.

  Its ranges are those that training steps on `images` give; without images the first ones.
  """
  is_training = images is not None
  with tf.Graph().as_default() as graph, tf.Session() as session:
    batch = tf.constant(images if is_training else 0.0, tf.float32,
                        [len(images) if is_training else 1] + [model.image_size] * 2 + [3])
    network = get_network(model.model_name)
    layers = (training_layers if is_training else evaluation_layers)()
    network.build(batch, model.num_classes, is_training, dropout=0.0, drop_connect=0.0,
                  layers=layers)
    variables = slim.get_model_variables()
    layers.finish(graph)
    session.run(tf.global_variables_initializer())
    for _ in range(3 if is_training else 0):
      session.run([graph.get_tensor_by_name(LOGITS), tf.get_collection(tf.GraphKeys.UPDATE_OPS)])
    load_variables(session, variables, values)
    tf.train.Saver().save(session, str(folder / 'model.ckpt-0'), write_meta_graph=False)
  write_model(str(folder), model._replace(quantized=True))


def slim_logits(model, checkpoint, images, quantize=False):
  """Logits [N, K] of slim's evaluation graph with a checkpoint's variables."""
  with tf.Graph().as_default() as graph, tf.Session() as session:
    batch = tf.placeholder(tf.float32, [None] + list(images.shape[1:]))
    layers = evaluation_layers() if quantize else FloatLayers()
    get_network(model.model_name).build(batch, model.num_classes, is_training=False, layers=layers)
    layers.finish(graph)
    logits = graph.get_tensor_by_name(LOGITS)
    tf.train.Saver().restore(session, str(checkpoint))
    return session.run(logits, {batch: images})


def frozen_logits(path, images):
  """Logits [N, K] of a frozen graph."""
  definition = tf.GraphDef()
  with open(str(path), 'rb') as stream:
    definition.ParseFromString(stream.read())
  with tf.Graph().as_default(), tf.Session() as session:
    logits, = tf.import_graph_def(definition, return_elements=[LOGITS])
    return session.run(logits, {'import/input:0': images})


def float_logits(architecture, weights, images):
  """Logits [N, K] of adj_quant's float network with a dict layer -> `LayerWeights`."""
  classes = len(weights['output'].bias)
  with tf.Graph().as_default(), tf.Session() as session:
    flat = students.create_weights('float', architecture, classes, False)
    logits, _ = students.build_float(tf.constant(images, tf.float32), architecture, flat, 'float')
    flat.variable.load(students.weight_vector(weights, architecture, classes), session)
    return session.run(logits)


def largest_difference(actual, expected):
  """Of two arrays."""
  return float(np.max(np.abs(actual - expected)))
