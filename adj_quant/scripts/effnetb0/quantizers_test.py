import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts.effnetb0 import quantizers
from scripts.effnetb0.network_quantizers import GridQuantizer
from scripts.effnetb0.quantizers import Grid, Limits, Range

LIMITS = quantizers.LIMITS[5]


@pytest.fixture(autouse=True)
def fresh_graph():
  with tf.Graph().as_default():
    yield


def run(fetches, feed=None):
  with tf.Session() as session:
    return session.run(fetches, feed)


class Quantiser:
  """The whole composition for one tensor, with everything that learns as a placeholder."""

  def __init__(self, channels, first_bits=8.0, limits=LIMITS, x_shape=None):
    self.x = tf.placeholder(tf.float32, x_shape or [None, channels])
    self.parameters = {name: tf.placeholder(tf.float32, [channels]) for name in (
        'low', 'width', 'alpha', 'shift', 'bits_scale')}
    p = self.parameters
    self.bits = quantizers.learnt_bits(p['bits_scale'], first_bits)
    self.range = quantizers.learnt_range(p['alpha'], p['shift'], Range(p['low'], p['width']),
                                         limits)
    self.grid = quantizers.grid(self.range, self.bits)
    self.y = quantizers.fake_quantize(self.x, self.grid)

  def feed(self, x, low, width, alpha=1.0, shift=0.0, bits_scale=1.0):
    channels = self.parameters['low'].shape[0]
    values = dict(low=low, width=width, alpha=alpha, shift=shift, bits_scale=bits_scale)
    actual = {self.parameters[k]: np.full([channels], v, np.float32) if np.ndim(v) == 0 else v
              for k, v in values.items()}
    actual[self.x] = x
    return actual


def reference(x, low, width, alpha, shift, bits):
  """Section "Method" of adj_quant/README.md in NumPy, float32 like the graph."""
  f = np.float32
  levels = f(2) ** f(bits) - f(1)
  step = np.maximum(f(alpha) * f(width), f(1e-7)) / levels
  zero = np.rint((f(low) + f(shift) * f(width)) / step)
  code = np.clip(np.rint(f(x) / step) - zero, 0, levels)
  return (code + zero) * step


def test_by_hand():
  # Range [-1, 2] at 2 bits: step 1, codes -1, 0, 1, 2.
  q = Quantiser(1, first_bits=2.0)
  x = np.array([[-9.0], [-1.2], [-0.4], [0.5], [1.5], [1.6], [9.0]], np.float32)
  y = run(q.y, q.feed(x, -1.0, 3.0))
  np.testing.assert_array_equal(y[:, 0], [-1, -1, 0, 0, 2, 2, 2])


def test_zero_is_exact_though_the_range_does_not_meet_the_grid():
  # Range [-1, 2] at 8 bits: -1 / step = -85 exactly; [-1, 2.1]: -82.26 is rounded to -82.
  q = Quantiser(1)
  y, grid = run([q.y, q.grid], q.feed([[0.0], [-1.0]], -1.0, 3.1))
  assert y[0, 0] == 0.0
  assert grid.lowest[0] == -82
  assert y[1, 0] == np.float32(-82) * grid.step[0]


def test_bits_are_whole_and_clipped():
  scale = tf.constant([0.0, 0.3, 0.56, 0.57, 1.0, 1.6])
  np.testing.assert_array_equal(run(quantizers.learnt_bits(scale, 8.0)), [2, 2, 4, 5, 8, 8])


@pytest.mark.parametrize('number', sorted(quantizers.LIMITS))
def test_range_sets_clip_alpha_and_shift(number):
  limits = quantizers.LIMITS[number]
  start = Range(tf.constant([-1.0] * 2), tf.constant([4.0] * 2))
  actual = run(quantizers.learnt_range(tf.constant([-9.0, 9.0]), tf.constant([-9.0, 9.0]), start,
                                       limits))
  np.testing.assert_allclose(
      actual.low, [-1 + 4 * np.clip(v, *limits.shift) for v in (-9.0, 9.0)], rtol=1e-6)
  np.testing.assert_allclose(
      actual.width, [max(1e-7, 4 * np.clip(v, *limits.alpha)) for v in (-9.0, 9.0)], rtol=1e-6)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**31 - 1), bits=st.integers(2, 8),
                  alpha=st.floats(0.05, 2.0), shift=st.floats(-0.6, 1.2),
                  magnitude=st.floats(-4.0, 4.0))
def test_properties(seed, bits, alpha, shift, magnitude):
  random = np.random.RandomState(seed)
  scale = np.float32(10.0 ** magnitude)
  low = np.float32(-scale * random.rand())
  width = np.float32(scale * random.uniform(0.1, 3.0))
  x = np.sort(np.float32(scale * random.uniform(-4, 4, [200, 1])), axis=0)
  x[random.randint(200)] = 0.0
  x = np.sort(x, axis=0)
  with tf.Graph().as_default():
    q = Quantiser(1, first_bits=8.0)
    feed = q.feed(x, low, width, alpha, shift, bits / 8.0)
    y, grid = run([q.y, q.grid], feed)
    again = run(q.y, {**feed, q.x: y})
  np.testing.assert_array_equal(y, reference(x, low, width, alpha, shift, bits))
  np.testing.assert_array_equal(again, y)  # Idempotent.
  assert np.all(np.diff(y[:, 0]) >= 0)  # Monotone.
  assert len(np.unique(y)) <= 2 ** bits
  if grid.lowest[0] <= 0 <= grid.highest[0]:
    assert np.all(y[x == 0.0] == 0.0)
  inside = (y > grid.lowest[0] * grid.step[0]) & (y < grid.highest[0] * grid.step[0])
  assert np.all(np.abs(y - x)[inside] <= 0.5001 * grid.step[0])


@pytest.mark.parametrize('value', [0.0, 5.0, -3.0, 1e-12])
def test_constant_channels_survive(value):
  q = Quantiser(1)
  x = np.full([4, 1], value, np.float32)
  y = run(q.y, q.feed(x, value, 0.0))
  gradients = run(tf.gradients(q.y, [q.x] + list(q.parameters.values())), q.feed(x, value, 0.0))
  np.testing.assert_allclose(y, x, rtol=1e-6, atol=1e-9)
  assert all(np.all(np.isfinite(g)) for g in gradients)


def test_gradient_of_x_is_one_inside_and_zero_outside():
  q = Quantiser(1, first_bits=2.0)
  x = np.array([[-1.6], [-1.4], [0.3], [2.4], [2.6]], np.float32)
  gradient, = run(tf.gradients(q.y, q.x), q.feed(x, -1.0, 3.0))
  np.testing.assert_array_equal(gradient[:, 0], [0, 1, 1, 1, 0])


def test_gradients_of_the_range_by_hand():
  # Range [-1, 2] at 2 bits, step 1, zero -1. y = (round(x/S)) S inside: dy/dS = round(x/S) - x/S;
  # below: dy/dS = zero - m/S = 0 and dy/dm = 1; above y = (3 + zero) S: dy/dS = 3, dy/dm = 1.
  # dS/dalpha = T / 3 = 1 and dm/dshift = T = 3.
  q = Quantiser(1, first_bits=2.0)
  for x, alpha, shift in ((0.3, -0.3, 0.0), (0.8, 0.2, 0.0), (-5.0, 0.0, 3.0), (5.0, 3.0, 3.0)):
    actual = run(tf.gradients(q.y, [q.parameters['alpha'], q.parameters['shift']]),
                 q.feed([[x]], -1.0, 3.0))
    np.testing.assert_allclose(np.concatenate(actual), [alpha, shift], atol=1e-6)


def test_gradient_of_the_bits_by_hand():
  # n = 2**b - 1, dn/db = 2**b ln 2, db/dscale = 4. Inside: dy/dn = (round(x/S) - x/S) dS/dn with
  # dS/dn = -T / n**2. Above: y = (n + zero) S with zero straight through = m + T: no gradient.
  q = Quantiser(1, first_bits=4.0)
  low, width = -0.3, 1.0
  step = width / 15.0
  inside = -(np.rint(0.21 / step) - 0.21 / step) * width / 15.0**2 * 16 * np.log(2) * 4
  zero = np.rint(low / step)
  slope = -width / 15.0**2
  above = (step + (15 + zero) * slope - low / step * slope) * 16 * np.log(2) * 4
  for x, expected in ((0.21, inside), (5.0, above)):
    actual, = run(tf.gradients(q.y, q.parameters['bits_scale']), q.feed([[x]], low, width))
    np.testing.assert_allclose(actual, [expected], rtol=2e-4, atol=1e-6)


def test_gradients_agree_with_differences_of_the_relaxed_function():
  """The relaxed function keeps each rounding error constant, as straight-through pretends."""
  random = np.random.RandomState(3)
  low, width, alpha, shift, scale = -0.7, 2.0, 0.8, 0.1, 0.55
  x = random.uniform(-1.5, 2.0, [50]).astype(np.float64)
  # Away from the kinks: what rounds to the lowest or highest code is left out.
  y = reference(x, low, width, alpha, shift, 4)
  x = x[((y > y.min()) & (y < y.max())) | (np.abs(x - y) > 0.1)]
  first = 8.0

  def parts(x, alpha, shift, scale, errors=None):
    bits = scale * first + (errors[0] if errors else np.rint(scale * first) - scale * first)
    step = alpha * width / (2.0**bits - 1)
    m = (low + shift * width) / step
    zero = m + (errors[1] if errors else np.rint(m) - m)
    code = x / step + (errors[2] if errors else np.rint(x / step) - x / step)
    y = np.minimum(np.maximum(code, zero), zero + 2.0**bits - 1) * step
    return y, (np.rint(scale * first) - scale * first, np.rint(m) - m, np.rint(x / step) - x / step)

  errors = parts(x, alpha, shift, scale)[1]
  upstream = random.randn(len(x))
  expected = []
  for index in range(4):
    moved = []
    for sign in (1, -1):
      values = [x, alpha, shift, scale]
      values[index] = values[index] + sign * 1e-6
      moved.append(parts(*values, errors=errors)[0])
    slope = (moved[0] - moved[1]) / 2e-6 * upstream
    expected.append(slope if index == 0 else np.sum(slope))
  q = Quantiser(1, first_bits=first)
  sources = [q.x] + [q.parameters[k] for k in ('alpha', 'shift', 'bits_scale')]
  actual = run(tf.gradients(q.y, sources, upstream[:, np.newaxis].astype(np.float32)),
               q.feed(x[:, np.newaxis], low, width, alpha, shift, scale))
  np.testing.assert_allclose(actual[0][:, 0], expected[0], atol=1e-5)
  for have, want in zip(actual[1:], expected[1:]):
    np.testing.assert_allclose(have, [want], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('name, inside, outside', [
    ('alpha', 1.0, 2.5), ('shift', 0.2, -0.9), ('bits_scale', 0.6, 1.4)])
def test_a_clipped_parameter_gets_no_gradient(name, inside, outside):
  q = Quantiser(1)
  slope = tf.gradients(q.y, q.parameters[name])
  x = np.linspace(-3, 9, 40)[:, np.newaxis]
  for value, is_zero in ((inside, False), (outside, True)):
    gradient, = run(slope, q.feed(x, -1.0, 3.0, **{name: value}))
    assert (gradient[0] == 0.0) == is_zero


@pytest.mark.parametrize('name, end', [
    ('alpha', 0.0), ('alpha', 2.0), ('shift', -0.6), ('shift', 1.2),
    ('bits_scale', 2 / 8), ('bits_scale', 1.0)])
def test_a_parameter_at_an_end_of_its_interval_keeps_its_gradient(name, end):
  q = Quantiser(1)
  gradient, = run(tf.gradients(q.y, q.parameters[name]),
                  q.feed([[-2.9], [0.4], [1.3], [8.7]], 0.0, 3.0, **{name: end}))
  assert np.isfinite(gradient[0]) and gradient[0] != 0.0


def test_a_range_of_no_width_widens_where_values_lie_above_it():
  # y = m + alpha * T above the range, so d y / d alpha = T, at alpha = 0 as well.
  q = Quantiser(1, first_bits=4.0)
  y, gradient = run([q.y, tf.gradients(q.y, q.parameters['alpha'])[0]],
                    q.feed([[1.0], [2.0]], 0.0, 3.0, alpha=0.0))
  np.testing.assert_allclose(y, 1e-7, rtol=1e-6)
  np.testing.assert_allclose(gradient, [2 * 3.0], rtol=1e-6)


@pytest.mark.parametrize('is_training', [False, True])
def test_infinity_is_clipped_and_nan_stays_nan(is_training):
  x = tf.constant([[-np.inf], [-3e38], [0.6], [3e38], [np.inf], [np.nan]], tf.float32)
  grid = Grid(tf.constant([0.5]), tf.constant([-1.0]), tf.constant([2.0]))
  y = run(quantizers.fake_quantize(x, grid, is_training))
  np.testing.assert_array_equal(y[:, 0], [-0.5, -0.5, 0.5, 1.0, 1.0, np.nan])


def test_channels_are_independent():
  q = Quantiser(2)
  x = np.array([[0.2, 0.2], [0.9, 0.9]], np.float32)
  y = run(q.y, q.feed(x, np.array([0.0, -1.0]), np.array([1.0, 3.0]),
                      bits_scale=np.array([0.25, 1.0])))
  np.testing.assert_array_equal(y[:, 0], reference(x[:, 0], 0.0, 1.0, 1.0, 0.0, 2))
  np.testing.assert_array_equal(y[:, 1], reference(x[:, 1], -1.0, 3.0, 1.0, 0.0, 8))


def test_depthwise_kernels_are_quantised_along_axis_2():
  kernel = tf.constant(np.random.RandomState(0).randn(3, 3, 4, 1).astype(np.float32))
  step = np.array([0.1, 0.2, 0.4, 0.8], np.float32)
  grids = {'a': Grid(tf.constant(step), tf.constant([-9.0] * 4), tf.constant([9.0] * 4))}
  y, x = run([GridQuantizer(grids, None).weights(kernel, 'a', 2), kernel])
  np.testing.assert_array_equal(
      y, np.clip(np.rint(x / step[:, np.newaxis]), -9, 9) * step[:, np.newaxis])


def test_unknown_names_are_refused_and_float_nodes_pass():
  x = tf.constant([1.23])
  quantize = GridQuantizer({'known': None}, None)
  assert quantize.activation(x, 'known') is x
  with pytest.raises(KeyError, match='unknown'):
    quantize.activation(x, 'unknown')


def test_every_byte_of_the_image_keeps_a_code_of_its_own():
  from scripts.effnetb0.architecture import EFFICIENTNET_B0
  pixels = np.arange(256, dtype=np.float32)[:, np.newaxis]
  image = (pixels - np.float32(EFFICIENTNET_B0.mean)) / np.float32(EFFICIENTNET_B0.std)
  y = run(quantizers.fake_quantize(tf.constant(image), quantizers.image_grid(EFFICIENTNET_B0)))
  levels = y * np.float32(EFFICIENTNET_B0.std)
  np.testing.assert_allclose(np.diff(levels, axis=0), 1.0, atol=1e-4)
  assert np.max(np.abs(y - image) * np.float32(EFFICIENTNET_B0.std)) <= 0.5


def test_limits_are_intervals():
  assert all(isinstance(v, Limits) and v.alpha[0] < v.alpha[1] and v.shift[0] < v.shift[1]
             for v in quantizers.LIMITS.values())
