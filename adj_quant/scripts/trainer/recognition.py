"""Identifies a checkpoint without a description by its tensors."""

from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.effnetb0.nodes import MAX_BITS, Precision, nodes
from scripts.errors import UserError

_FIELDS = (('weights', 'weight_bits', 'learnt_weights'), ('act', 'act_bits', 'learnt_acts'),
           ('swish', 'swish_bits', 'learnt_swish'), ('bias', 'bias_bits', None))


def recognise(tensors, options, path):
  """The network that a checkpoint is of.

  Which tensors are quantised and which bit-widths are learnt follows from the tensors. The fixed
  and first bit-widths and the range set are not in them: these are the flags', or the defaults.

  Args:
    tensors: dict name -> shape of the checkpoint.
    options: `flags.ModelOptions`.
    path: the checkpoint, for messages.

  Returns:
    `student.ModelSpec`.

  Raises:
    UserError: it is no checkpoint of this method, or of another architecture than --model.
  """
  classes = tensors.get('output/bias', [0])[0]
  for name in [options.model] if options.model else sorted(ARCHITECTURES):
    architecture = ARCHITECTURES[name]
    shapes = students.weight_shapes(architecture, classes)
    if all(tuple(tensors.get(each, ())) == tuple(shape) for each, shape in shapes.items()):
      precision = _precision(tensors, architecture, classes, options.precision)
      return students.ModelSpec(architecture, classes, precision, options.range_set or 5)
  raise UserError('%s is not a checkpoint of %s, by its tensors, and there is no %s.json' % (
      path, options.model or ' or '.join(sorted(ARCHITECTURES)), path))


def _precision(tensors, architecture, classes, given):
  """`Precision` of a dict of tensors and a dict of the fields that flags decide."""
  every = nodes(architecture, classes, Precision())
  fields = {}
  for kind, bits, learnt in _FIELDS:
    names = [node.name for node in every if node.kind == kind]
    is_quantised = any(name + '/alpha' in tensors for name in names)
    wanted = given.get(bits, MAX_BITS)
    fields[bits] = (wanted if wanted != -1 else MAX_BITS) if is_quantised else -1
    if learnt:
      fields[learnt] = any(name + '/bits_scale' in tensors for name in names)
  ends = fields['weight_bits'] != -1 and 'output/weights/alpha' not in tensors
  return Precision(float_ends=ends, **fields)


def describe(spec):
  """A `student.ModelSpec` in words."""
  precision = spec.precision
  parts = []
  for (_, bits, learnt), what in zip(_FIELDS, ('weights', 'activations', 'swish inputs', 'biases')):
    width = getattr(precision, bits)
    parts.append('%s %s' % (what, 'float' if width == -1 else '%d%s' % (
        width, ' (learnt)' if learnt and getattr(precision, learnt) else '')))
  return '%s, %d classes, bits: %s; range %d' % (
      spec.architecture.name, spec.classes, ', '.join(parts), spec.range_set)
