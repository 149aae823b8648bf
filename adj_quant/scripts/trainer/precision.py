"""The precision that follows from flags and checkpoint."""

from typing import NamedTuple

from scripts.effnetb0.nodes import MAX_BITS, MIN_BITS, Precision
from scripts.errors import UserError
from scripts.trainer.config import need


class _Kind(NamedTuple):
  """Tensors whose bit-widths can be learnt."""
  flag: str  # Their field of `Precision` as well.
  learnt: str  # Field of `Precision`.
  tensors: str
  learnt_by: str  # The flag that learns their bit-widths from the given bits on.
  advice: str


_TRAINABLE = '--bits_trainable'
_KINDS = (_Kind('weight_bits', 'learnt_weights', 'kernels', _TRAINABLE, 'add ' + _TRAINABLE),
          _Kind('act_bits', 'learnt_acts', 'activations', _TRAINABLE, 'add ' + _TRAINABLE),
          _Kind('swish_bits', 'learnt_swish', 'inputs of swish and sigmoid', '--swish_bits 0',
                'give --swish_bits 0'))


def requested_precision(args):
  """Fields of `Precision` that parsed flags decide, as a dict."""
  fields = {}
  for kind in _KINDS:
    bits = getattr(args, kind.flag)
    if bits is not None:
      need(kind.flag, bits in (0, -1) or MIN_BITS <= bits <= MAX_BITS, bits, '2..8, 0 or -1')
      fields[kind.flag] = bits or MAX_BITS
      fields[kind.learnt] = bits == 0
    if args.bits_trainable and kind.learnt_by == _TRAINABLE:
      fields[kind.learnt] = bits != -1
  if args.bits_trainable and not (fields['learnt_weights'] or fields['learnt_acts']):
    raise UserError('--bits_trainable cannot be used with --weight_bits -1 and --act_bits -1')
  if args.bias_bits is not None:
    need('bias_bits', args.bias_bits == 0 or MIN_BITS <= args.bias_bits <= MAX_BITS,
         args.bias_bits, '2..8 or 0')
    fields['bias_bits'] = args.bias_bits or -1
  if args.mix_prec:
    fields['float_ends'] = True
  return fields


def resolve_precision(fields, saved, may_learn):
  """The `Precision` to use: the flags' where there is no checkpoint, else the checkpoint's.

  Any difference is refused, but for bit-widths that were fixed and may become learnt. What the
  checkpoint leaves in float stays so with --bits_trainable.

  Args:
    fields: see `requested_precision`.
    saved: `Precision` of the checkpoint, None without one.
    may_learn: True where training continues.

  Raises:
    UserError: the flags differ from the checkpoint.
  """
  if saved is None:
    return Precision(**fields)
  for kind in _KINDS:
    _check_kind(kind, fields, saved, may_learn)
  if fields.get('bias_bits', saved.bias_bits) != saved.bias_bits:
    raise _differs('bias_bits', _fixed('biases', saved.bias_bits))
  if fields.get('float_ends', saved.float_ends) != saved.float_ends:
    raise _differs('mix_prec', 'quantised kernels of stem, squeeze-excite and classifier')
  becomes_learnt = {kind.learnt: True for kind in _KINDS
                    if fields.get(kind.learnt) and getattr(saved, kind.flag) != -1}
  return saved._replace(**becomes_learnt)


def _check_kind(kind, fields, saved, may_learn):
  """Raises UserError where the fields of a kind of tensors differ from the checkpoint's."""
  first, learns = getattr(saved, kind.flag), getattr(saved, kind.learnt)
  bits, wants = fields.get(kind.flag), fields.get(kind.learnt)
  if bits not in (None, first):
    raise _differs(kind.flag, _learnt(kind, first) if learns else _fixed(kind.tensors, first))
  if bits is not None and learns and not wants:
    raise UserError('--%s %d: the checkpoint has %s: %s, or leave --%s out' % (
        kind.flag, bits, _learnt(kind, first), kind.advice, kind.flag))
  if wants and not learns and first != -1 and not may_learn:
    flag = kind.learnt_by if bits is None else '--%s with bits to learn' % kind.flag
    raise UserError('%s: the checkpoint has %s, and only train.py makes bit-widths learnt: leave '
                    'the flag out' % (flag, _fixed(kind.tensors, first)))


def _differs(flag, what):
  return UserError('--%s: the checkpoint has %s: leave the flag out or start without --ckpt_path'
                   % (flag, what))


def _fixed(tensors, bits):
  return '%s in float' % tensors if bits == -1 else '%s of %d bits' % (tensors, bits)


def _learnt(kind, first):
  return 'learnt bit-widths of %s, from %d bits on' % (kind.tensors, first)
