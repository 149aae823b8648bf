"""What a benchmark measures, how often and at which sizes."""

from typing import NamedTuple, Tuple

# Tasks of the float network.
FLOAT_FORWARD, FLOAT_STEP = 'float_forward', 'float_step'
# Tasks of the quantised network; each ends with `_fused` or `_ops`.
FORWARD, STEP, STEP_FIXED_BITS = 'forward', 'step', 'step_fixed_bits'
IMPLEMENTATIONS = ('fused', 'ops')


def task_name(role, impl):
  """'step_fused' of 'step' and 'fused'."""
  return '%s_%s' % (role, impl)


class Shape(NamedTuple):
  """A batch of square images."""
  size: int  # Pixels a side.
  batch: int

  @property
  def key(self):
    """As a key of JSON: '224px_batch8'."""
    return '%dpx_batch%d' % self

  def __str__(self):
    return '%d px, batch %d' % self


class Plan(NamedTuple):
  """A benchmark. The defaults are those of `make bench`."""
  rounds: int = 8
  shapes: Tuple[Shape, ...] = (Shape(224, 8), Shape(32, 64))
  over_batch: Tuple[Shape, ...] = tuple(Shape(224, batch) for batch in (2, 4, 8, 16))
  over_size: Tuple[Shape, ...] = tuple(Shape(size, 8) for size in (32, 64, 128, 224))
  growth_rounds: int = 3
  growth_seconds: float = 150.0  # No round of the growth begins later.
  starts: int = 2  # How often train.py and eval.py are started; 0: no process is started.
  memory_steps: int = 5  # Training steps of the processes whose memory is measured.
  profile: bool = False

  @property
  def growth(self):
    """All shapes of the picture, each once."""
    return self.over_batch + tuple(s for s in self.over_size if s not in self.over_batch)

  @property
  def all_shapes(self):
    """Every shape that is measured, each once."""
    return self.shapes + tuple(shape for shape in self.growth if shape not in self.shapes)


HEADLINE = Plan().shapes[0]  # The shape of the ratios without a shape in their names.
QUICK = Plan(rounds=2, shapes=(Shape(32, 64),), growth_rounds=1, starts=0,
             over_batch=(Shape(32, 2), Shape(32, 8)), over_size=(Shape(32, 8),))
