"""The fused ops against TensorFlow's own, and against `first_sigmoid`, which both stacks have."""

import hashlib
import os
import subprocess
import sys
from unittest import mock

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts import runtime, stack
from scripts.effnetb0 import network_quantizers
from scripts.effnetb0.network_quantizers import FusedQuantizer, GridQuantizer
from scripts.effnetb0.quantizers import Grid
from scripts.errors import UserError, exits_with_status
from scripts.ops import choice, compilation, fused

pytestmark = pytest.mark.skipif(not fused.available(), reason='the fused ops are not compiled')
PROGRAM = os.path.abspath(__file__)
# What tf.sigmoid of a current TensorFlow differs by from that of 1.13.1 (measured on 400 million
# floats: it is exactly this at 16.635714), and x * tf.sigmoid(x) as a multiple of x.
SIGMOID_ERROR = 0.0 if stack.HAS_BITS_OF_FUSED_OPS else 2.0 ** -22
SWISH_ERROR = 1.25 * SIGMOID_ERROR  # The product is rounded as well.


@pytest.fixture(autouse=True)
def graph():
  with tf.Graph().as_default():
    yield


@tf.custom_gradient
def first_sigmoid(x):
  """tf.sigmoid of TensorFlow 1.13.1, of ops that compute the same bits on every stack.

  Source: Eigen of 2018, functors for neural networks, scalar_logistic_op.
  """
  x = tf.clip_by_value(x, -18.0, 18.0)
  x2 = x * x
  p = x2 * 4.37031012579801e-11 + 1.15627324459942e-07
  for factor in (6.08574864600143e-05, 8.51377133304701e-03, 2.48287947061529e-01):
    p = x2 * p + factor
  q = x2 * 6.10247389755681e-13 + 5.76102136993427e-09
  for factor in (6.29106785017040e-06, 1.70198817374094e-03, 1.16817656904453e-01,
                 9.93151921023180e-01):
    q = x2 * q + factor
  y = tf.clip_by_value(x * p / q + 0.5, 0.0, 1.0)
  return y, lambda dy: dy * y * (1.0 - y)


FIRST = {'sigmoid': first_sigmoid, 'swish': lambda x: x * first_sigmoid(x)}


def random_grid(random, channels, bits):
  """[3, C] of ranges that hold 0 or do not, and that x of size 1 saturates or hardly fills."""
  width = np.exp(random.uniform(-4, 2, channels))
  step = np.float32(width / (2.0 ** bits - 1))
  lowest = np.rint(np.float32(random.uniform(-1.2, 0.4, channels) * width) / step)
  return np.float32([step, lowest, lowest + np.float32(2.0 ** bits - 1)])


def with_ties(random, x, step):
  """x with a third of its values on the boundaries between codes, and some zeros."""
  on_tie = (np.floor(x / step) + np.float32(0.5)) * step
  drawn = random.rand(*x.shape)
  return np.float32(np.where(drawn < 0.33, on_tie, np.where(drawn < 0.4, 0.0, x)))


class Case:
  """Random operands of one shape [N, H, W, C]."""

  def __init__(self, seed, shape):
    random = np.random.RandomState(seed)
    channels = shape[-1]
    self.arrays = {'in': random_grid(random, channels, random.randint(2, 9, channels)),
                   'out': random_grid(random, channels, random.randint(2, 9, channels))}
    x = np.float32(random.randn(*shape) * random.choice([0.3, 1, 4]))
    self.arrays.update(
        x=with_ties(random, x, self.arrays['in'][0]),
        bias=np.float32(random.randn(channels)) * random.randint(2),
        skip=np.float32(random.randn(*shape)),
        gate=np.float32(random.rand(shape[0], 1, 1, channels)))
    self.upstream = {name: np.float32(random.randn(*s)) for name, s in (
        ('y', shape), ('mean', (shape[0], 1, 1, channels)))}

  def both(self, function):
    """Compares `function(quantizer, tensors)`, a list of results, and all gradients.

    The ops compute the sigmoid of TensorFlow 1.13.1.
    """
    outcomes = []
    for kind in (FusedQuantizer, GridQuantizer):
      tensors = {name: tf.placeholder_with_default(a, a.shape) for name, a in self.arrays.items()}
      grids = {name: tensors[name] for name in ('in', 'out')}
      if kind is GridQuantizer:
        quantizer = GridQuantizer({n: Grid(*tf.unstack(g)) for n, g in grids.items()}, None)
      else:
        quantizer = FusedQuantizer(fused, grids, None)
      with mock.patch.dict(network_quantizers.FUNCTIONS, FIRST):
        results = function(quantizer, tensors)
      upstream = [self.upstream['mean' if r.shape[1] == 1 and self.is_pooled(r) else 'y']
                  for r in results]
      used = [n for n in sorted(tensors) if tf.gradients(results, tensors[n])[0] is not None]
      outcomes.append((results, tf.gradients(results, [tensors[n] for n in used], upstream)))
    with runtime.new_session() as session:
      (have, have_slopes), (want, want_slopes) = session.run(outcomes)
    for a, b, tensor in zip(have, want, results):
      if self.is_pooled(tensor) and not stack.HAS_BITS_OF_FUSED_OPS:
        assert np.all(np.abs(a - b) <= self.mean_error())
      else:  # A zero may have either sign, as that of tf.rint.
        np.testing.assert_array_equal(a, b)
    for name, a, b in zip(used, have_slopes, want_slopes):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(b).max(),
                                                                  self.largest_term(name)),
                                 err_msg=name)

  def largest_term(self, name):
    """What one value may add to the gradient of the operand: such terms cancel each other.

    Beyond the range a value hands its gradient to the step, times the code of the bound.
    """
    largest_slope = max(np.abs(slope).max() for slope in self.upstream.values())
    return largest_slope * (np.abs(self.arrays[name][1:]).max() if name in ('in', 'out') else 1)

  def mean_error(self):
    """What two orders of addition make of a mean over the pixels, of values on the grid 'in'."""
    pixels = self.arrays['x'][0, ..., 0].size
    largest = np.abs(self.arrays['in'][1:] * self.arrays['in'][0]).max(axis=0)
    return 2 * pixels * 2.0 ** -24 * largest  # A rounding for each value in either order.

  def is_pooled(self, result):
    return tuple(result.shape.as_list()) != self.arrays['x'].shape


SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.sampled_from([8, 16]),
                   st.sampled_from([1, 3, 4, 6, 8, 10, 16, 20, 24, 40, 48]))
PROPERTY = hypothesis.settings(max_examples=15, deadline=None)


@PROPERTY
@hypothesis.given(st.integers(0, 2**31 - 1), SHAPES, st.sampled_from(['swish', 'sigmoid', 'relu6']))
def test_function_between_two_quantisers(seed, shape, function):
  with tf.Graph().as_default():
    Case(seed, shape).both(lambda q, t: [q.activate(t['x'], t['bias'], function, 'in', 'out')])


@PROPERTY
@hypothesis.given(st.integers(0, 2**31 - 1), SHAPES, st.booleans())
def test_sum_with_a_skip(seed, shape, has_skip):
  with tf.Graph().as_default():
    Case(seed, shape).both(lambda q, t: [q.activate(
        t['x'], t['bias'], 'identity', skip=t['skip'] if has_skip else None, sum_node='sum',
        out_node='out')])


@PROPERTY
@hypothesis.given(st.integers(0, 2**31 - 1), SHAPES)
def test_gate(seed, shape):
  with tf.Graph().as_default():
    Case(seed, shape).both(lambda q, t: [q.scale(t['x'], t['gate'], 'out')])


@PROPERTY
@hypothesis.given(st.integers(0, 2**31 - 1), st.integers(2, 9), st.sampled_from([8, 32, 40]),
                  st.booleans())
def test_mean_over_the_pixels(seed, height, channels, keep):
  def results(quantizer, t):
    y, mean = quantizer.activate_and_pool(t['x'], t['bias'], 'swish', 'in', keep)
    return [y, mean] if keep else [mean]

  with tf.Graph().as_default():
    Case(seed, (2, height, 8, channels)).both(results)


def test_float_activation_of_any_kind():
  case = Case(3, (2, 5, 8, 24))
  for function in ('identity', 'relu6', 'swish', 'sigmoid'):
    case.both(lambda q, t, f=function: [q.activate(t['x'], t['bias'], f)])


def floats_of_every_size():
  """float32 [N, 16]: of both signs, from 1e-12 to 200, the nearer to each other the smaller."""
  low, high = np.float32([1e-12, 200.0]).view(np.int32)
  positive = np.arange(low, high, 211, dtype=np.int32).view(np.float32)
  return np.resize(np.concatenate([positive, -positive]), [len(positive) // 8, 16])


def test_sigmoid_of_this_tensorflow():
  x = floats_of_every_size()
  fed = tf.placeholder(tf.float32, x.shape)
  with runtime.new_session() as session:
    have, swish, want, first = session.run(
        [fused.activate(fed, function='sigmoid'), fused.activate(fed, function='swish'),
         tf.sigmoid(fed), first_sigmoid(fed)], {fed: x})
  np.testing.assert_array_equal(have, first)
  assert np.abs(have - want).max() <= SIGMOID_ERROR
  np.testing.assert_array_equal(swish, x * first)
  assert np.all(np.abs(swish - x * want) <= SWISH_ERROR * np.abs(x))


@PROPERTY
@hypothesis.given(st.integers(0, 2**31 - 1), SHAPES, st.sampled_from(['swish', 'sigmoid']))
def test_codes_of_this_sigmoid_differ_only_beside_a_boundary(seed, shape, function):
  case, error = Case(seed, shape), SWISH_ERROR if function == 'swish' else SIGMOID_ERROR
  with tf.Graph().as_default(), runtime.new_session() as session:
    x, step, low, high = (tf.constant(array) for array in (case.arrays['x'], *case.arrays['out']))
    exact = network_quantizers.FUNCTIONS[function](x)
    have, want, scaled = session.run([
        fused.activate(x, function=function, out_grid=tf.stack([step, low, high])) / step,
        GridQuantizer({'out': Grid(step, low, high)}, None).activation(exact, 'out') / step,
        exact / step])
  apart = np.abs(np.rint(have) - np.rint(want))
  assert apart.max() <= 1
  beside = np.abs(np.abs(scaled - np.floor(scaled)) - 0.5)  # Steps to the boundary of two codes.
  reach = error * np.maximum(1.0, np.abs(case.arrays['x'])) / case.arrays['out'][0]
  # Nothing differs where the sigmoids do not.
  assert np.all((apart == 0) | (beside <= reach + 2.0 ** -23 * np.abs(scaled)) & (error > 0))


def test_by_hand():
  # Range [-1, 2] at 2 bits: step 1, codes -1, 0, 1, 2.
  x = tf.constant([[-9.0], [-1.2], [-0.4], [0.5], [1.5], [1.6], [9.0]])
  grid = tf.constant([[1.0], [-1.0], [2.0]])
  y = fused.activate(x, out_grid=grid)
  with tf.Session() as session:
    values, slopes = session.run([y, tf.gradients(y, [x, grid])])
  assert values[:, 0].tolist() == [-1, -1, 0, 0, 2, 2, 2]
  assert slopes[0][:, 0].tolist() == [0, 1, 1, 1, 1, 1, 0]
  # Inside code - x / step, outside the bound itself: -1 + 2 and 0.2, 0.4, -0.5, 0.5, 0.4.
  np.testing.assert_allclose(slopes[1][:, 0], [2.0, 1.0, 1.0], atol=1e-6)


def test_nan_stays_nan():
  grid = tf.constant([[1.0], [-1.0], [2.0]])
  with tf.Session() as session:
    y = session.run(fused.activate(tf.constant([[np.nan], [1.0]]), out_grid=grid))
  assert np.isnan(y[0, 0]) and y[1, 0] == 1.0


def test_infinity_is_clipped_as_by_the_ops():
  case = Case(7, (2, 3, 8, 16))
  case.arrays['x'].reshape(-1)[::5] = np.resize([np.inf, -np.inf, 3e38, -3e38], 154)
  for name in ('in', 'out'):
    case.both(lambda q, t, n=name: [q.activation(t['x'], n)])
  case.both(lambda q, t: [q.activate(t['x'], t['bias'], 'swish', 'in', 'out')])


@pytest.mark.parametrize('size', [1, 3, 4, 5])
@pytest.mark.parametrize('stride', [1, 2, 3])
def test_depthwise_convolution(size, stride):
  for height, width, channels in ((9, 12, 16), (7, 3, 40), (1, 2, 3), (2, 16, 33)):
    random = np.random.RandomState(size * 10 + stride)
    x = tf.constant(np.float32(random.randn(2, height, width, channels)))
    kernel = tf.constant(np.float32(random.randn(size, size, channels, 1)))
    results = [fused.depthwise(x, kernel, stride),
               tf.nn.depthwise_conv2d_native(x, kernel, [1, stride, stride, 1], 'SAME')]
    upstream = np.float32(random.randn(*results[1].shape.as_list()))
    slopes = [tf.gradients(r, [x, kernel], upstream) for r in results]
    assert results[0].shape.as_list() == results[1].shape.as_list()
    with tf.Session() as session:
      (have, want), (have_slopes, want_slopes) = session.run([results, slopes])
    np.testing.assert_array_equal(have, want)
    for a, b in zip(have_slopes, want_slopes):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


def test_pieces_of_a_vector():
  random = np.random.RandomState(5)
  pieces = [fused.Piece(3000, 24, 4), fused.Piece(7, 1, 0), fused.Piece(2, 3, -1),
            fused.Piece(25, 40, 28)]
  grid = random_grid(random, 70, random.randint(2, 9, 70))
  parts = [np.float32(random.randn(p.rows, p.channels)) for p in pieces]
  vector, whole = tf.constant(np.concatenate([p.reshape(-1) for p in parts])), tf.constant(grid)
  quantizer = GridQuantizer({str(i): None if p.first_channel < 0 else Grid(*tf.unstack(
      whole[:, p.first_channel:p.first_channel + p.channels])) for i, p in enumerate(pieces)}, None)
  starts = np.cumsum([0] + [p.rows * p.channels for p in pieces])
  expected = tf.concat([tf.reshape(quantizer.activation(tf.reshape(
      vector[starts[i]:starts[i + 1]], [p.rows, p.channels]), str(i)), [-1])
                        for i, p in enumerate(pieces)], 0)
  upstream = np.float32(random.randn(starts[-1]))
  results = [fused.quantize_pieces(vector, whole, pieces), expected]
  slopes = [tf.gradients(r, [vector, whole], upstream) for r in results]
  with tf.Session() as session:
    (have, want), (have_slopes, want_slopes) = session.run([results, slopes])
  np.testing.assert_array_equal(have, want)
  for a, b in zip(have_slopes, want_slopes):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


def test_an_imported_graph_still_trains():
  def loss_and_slope():
    x = tf.constant(np.float32(np.random.RandomState(0).randn(2, 4, 4, 16)), name='x')
    case = Case(0, (2, 4, 4, 16))
    y = FusedQuantizer(fused, {n: tf.constant(case.arrays[n]) for n in ('in', 'out')}, None)
    y = y.activate(fused.depthwise(x, tf.ones([3, 3, 16, 1]), 1), tf.zeros([16]), 'swish', 'in',
                   'out')
    return tf.identity(tf.reduce_sum(y * y), 'loss'), x

  loss, x = loss_and_slope()
  with tf.Session() as session:
    expected = session.run(tf.gradients(loss, x)[0])
  definition = tf.get_default_graph().as_graph_def()
  with tf.Graph().as_default(), tf.Session() as session:
    loss, x = tf.import_graph_def(definition, return_elements=['loss:0', 'x:0'], name='')
    np.testing.assert_array_equal(session.run(tf.gradients(loss, x)[0]), expected)


@pytest.mark.parametrize('call, told', [
    (lambda x: fused.activate(x, out_grid=tf.zeros([3, 5])), 'a grid must be'),
    (lambda x: fused.activate(x, tf.zeros([3])), 'bias must be'),
    (lambda x: fused.activate(x, skip=tf.zeros([1, 2, 2, 4])), 'skip must have the shape of x'),
    (lambda x: fused.scale(x, tf.zeros([1, 1, 1, 4]), None), 'gate must be'),
    (lambda x: fused.depthwise(x, tf.zeros([3, 3, 5, 1]), 1), 'the kernel must be'),
    (lambda x: fused.quantize_pieces(tf.zeros([9]), tf.zeros([3, 4]), [fused.Piece(2, 4, 0)]),
     'the pieces have 8 values')])
def test_operands_that_do_not_fit_are_refused(call, told):
  x = tf.placeholder_with_default(np.ones([2, 2, 2, 4], np.float32), [2, 2, 2, 4])
  with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match=told):
    session.run(call(x))


def digest(threads):
  """A digest of results and gradients large enough to be shared by threads, by fused ops alone."""
  case = Case(1, (3, 33, 32, 72))
  t = {name: tf.constant(array) for name, array in case.arrays.items()}
  q = FusedQuantizer(fused, {n: t[n] for n in ('in', 'out')}, None)
  kernel = tf.constant(np.float32(np.random.RandomState(2).randn(5, 5, 72, 1)))
  y, mean = q.activate_and_pool(q.depthwise(t['x'], kernel, 2), t['bias'], 'swish', 'in')
  results = [q.activate(y, t['bias'], 'identity', out_node='out'), mean]
  upstream = [np.float32(np.random.RandomState(3).randn(*r.shape.as_list())) for r in results]
  slopes = tf.gradients(results, [t['x'], kernel, t['bias'], t['in'], t['out']], upstream)
  config = tf.ConfigProto(intra_op_parallelism_threads=threads)
  with tf.Session(config=config) as session:
    arrays = session.run(results + slopes)
  return hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest()


@pytest.mark.parametrize('threads', [2, 3, 7])
def test_results_do_not_depend_on_the_number_of_threads(threads):
  assert digest(threads) == digest(1)


def test_results_do_not_depend_on_the_stack():
  """The digest is that of TensorFlow 1.13.1 and of 2.21.0."""
  assert digest(2) == (
      '86d5d72bd84f24e9f2a2f7780a31395f511ffba275b3ec57a4783c6ca86e2e97')


@pytest.fixture(name='restored')
def restored_instructions():
  """Lets a test choose the instructions of this process."""
  yield
  for name in compilation.INSTRUCTIONS:  # The best comes last.
    fused.use(name)
  fused.load.cache_clear()
  fused.load()  # Back to those of the environment.


def test_results_do_not_depend_on_the_instructions(restored):
  digests = {name: digest(2) for name in compilation.INSTRUCTIONS if fused.use(name)}
  assert 'baseline' in digests and len(set(digests.values())) == 1, digests


@pytest.mark.parametrize('name', compilation.INSTRUCTIONS)
def test_the_environment_holds_the_ops_to_instructions(name, restored, monkeypatch):
  called = []
  monkeypatch.setattr(fused, 'use', lambda wanted: called.append(wanted) or name != 'avx2')
  monkeypatch.setenv('ADJ_QUANT_INSTRUCTIONS', name)
  fused.load.cache_clear()
  if name == 'avx2':
    with pytest.raises(UserError, match='^ADJ_QUANT_INSTRUCTIONS=avx2: this processor does not'):
      fused.load()
  else:
    fused.load()
  assert called == [name]


def test_unknown_instructions_are_refused_in_one_line():
  environment = dict(os.environ, ADJ_QUANT_INSTRUCTIONS='mmx',
                     PYTHONPATH=os.pathsep.join(sys.path))
  process = subprocess.run([sys.executable, PROGRAM], env=environment, timeout=120,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  assert (process.returncode, process.stdout) == (2, b'')
  assert process.stderr.decode().splitlines()[-1] == (
      'error: ADJ_QUANT_INSTRUCTIONS=mmx: must be one of baseline, avx2, avx512')


@exits_with_status
def main(argv):
  """Prints the name of a choice, as the product's scripts make it."""
  del argv
  print(choice.choose('auto'))


if __name__ == '__main__':
  sys.exit(main())
