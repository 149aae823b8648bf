"""A checkpoint's tensors and the flags tell its network."""

import pytest
import tensorflow.compat.v1 as tf

from scripts.effnetb0 import student as students
from scripts.effnetb0.nodes import Precision
from scripts.errors import UserError
from scripts.testing import network as testing_network
from scripts.testing.network import TINY
from scripts.trainer import flags
from scripts.trainer.recognition import describe, recognise

OPTIONS = flags.ModelOptions(None, None, {}, None, None, None, False, None, 500, 100.0, False)


@pytest.fixture(autouse=True, scope='module')
def tiny_is_known():
  with testing_network.known():
    yield


def tensors(spec):
  """Dict name -> shape of what a checkpoint of `spec` holds."""
  with tf.Graph().as_default():
    return {name: shape for flat in students.create_parameters(spec) if flat is not None
            for name, shape in flat.shapes.items()}


@pytest.mark.parametrize('precision', [
    Precision(), Precision(learnt_weights=True, learnt_acts=True),
    Precision(weight_bits=-1, learnt_acts=True), Precision(act_bits=-1, swish_bits=-1),
    Precision(bias_bits=-1, learnt_swish=True), Precision(float_ends=True, learnt_weights=True)])
def test_tensors_tell_what_is_quantised_and_what_is_learnt(precision):
  spec = students.ModelSpec(TINY, 7, precision)
  assert recognise(tensors(spec), OPTIONS, 'c') == spec


def test_flags_tell_bits_and_range_set():
  spec = students.ModelSpec(TINY, 4, Precision(weight_bits=3, act_bits=-1, learnt_weights=True), 2)
  options = OPTIONS._replace(precision={'weight_bits': 3, 'swish_bits': 8}, range_set=2)
  assert recognise(tensors(spec), options, 'c') == spec
  assert describe(spec) == ('tiny, 4 classes, bits: weights 3 (learnt), activations float, swish '
                            'inputs 8, biases 8; range 2')


@pytest.mark.parametrize('model, told', [
    (None, 'eff_b0 or .*'), ('tiny', 'tiny'), ('eff_b0', 'eff_b0')])
def test_another_network(model, told):
  shapes = dict(tensors(students.ModelSpec(TINY, 4, Precision())), **{'Conv/weights': [1]})
  for known in (shapes, {}):
    with pytest.raises(UserError, match='^c is not a checkpoint of %s, by its tensors, and there '
                                        'is no c.json$' % told):
      recognise(known, OPTIONS._replace(model=model), 'c')
