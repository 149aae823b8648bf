"""Tests of the precision that flags ask for, alone and beside a checkpoint."""

import pytest

from scripts.effnetb0.nodes import Precision
from scripts.errors import ArgumentParser, UserError
from scripts.trainer import flags
from scripts.trainer.precision import requested_precision, resolve_precision

LEARNT = Precision(learnt_weights=True, learnt_acts=True)


def requested(*argv):
  """The fields that a command line decides."""
  parser = ArgumentParser('A test.')
  flags.add_model_flags(parser)
  return requested_precision(parser.parse_args(list(argv)))


@pytest.mark.parametrize('argv, expected', [
    ([], Precision()),
    (['--bits_trainable'], Precision(learnt_weights=True, learnt_acts=True)),
    (['--bits_trainable', '--weight_bits', '4', '--act_bits', '6'],
     Precision(4, 6, learnt_weights=True, learnt_acts=True)),
    (['--bits_trainable', '--act_bits', '-1'], Precision(act_bits=-1, learnt_weights=True)),
    (['--weight_bits', '3', '--act_bits', '5'], Precision(3, 5)),
    (['--weight_bits', '0'], Precision(learnt_weights=True)),
    (['--act_bits', '0'], Precision(learnt_acts=True)),
    (['--swish_bits', '0'], Precision(learnt_swish=True)),
    (['--swish_bits', '-1', '--bias_bits', '0'], Precision(swish_bits=-1, bias_bits=-1)),
    (['--bias_bits', '6', '--mix_prec'], Precision(bias_bits=6, float_ends=True)),
])
def test_precision(argv, expected):
  assert resolve_precision(requested(*argv), None, False) == expected


def test_nothing_is_decided_without_flags():
  assert requested() == {}


def test_bits_that_are_to_be_learnt_where_there_are_none():
  with pytest.raises(UserError, match='^--bits_trainable cannot be used with --weight_bits -1 and '
                                      '--act_bits -1$'):
    requested('--bits_trainable', '--weight_bits', '-1', '--act_bits', '-1')


FROM_4 = Precision(weight_bits=4, learnt_weights=True, learnt_acts=True)
ORIGINAL = ['--weight_bits', '8', '--act_bits', '8', '--swish_bits', '8', '--bias_bits', '8']


@pytest.mark.parametrize('saved, argv, expected', [
    (FROM_4, [], FROM_4),
    (FROM_4, ['--weight_bits', '4', '--bits_trainable'], FROM_4),
    (LEARNT, ORIGINAL + ['--bits_trainable'], LEARNT),  # Of the original document.
    (LEARNT, ['--weight_bits', '0', '--act_bits', '0'], LEARNT),
    (Precision(), ['--bits_trainable'], LEARNT),
    (Precision(), ['--swish_bits', '0'], Precision(learnt_swish=True)),
    (Precision(act_bits=-1), ['--bits_trainable'], Precision(act_bits=-1, learnt_weights=True)),
    (Precision(bias_bits=-1, float_ends=True), ['--bias_bits', '0', '--mix_prec'],
     Precision(bias_bits=-1, float_ends=True)),
])
def test_checkpoint_decides_the_precision_but_fixed_bits_may_become_learnt(saved, argv, expected):
  assert resolve_precision(requested(*argv), saved, True) == expected


@pytest.mark.parametrize('saved, argv, told', [
    (LEARNT, ORIGINAL, '--weight_bits 8: the checkpoint has learnt bit-widths of kernels, from 8 '
     'bits on: add --bits_trainable, or leave --weight_bits out'),
    (LEARNT, ['--act_bits', '8'], '--act_bits 8: the checkpoint has learnt bit-widths of '
     'activations, from 8 bits on: add --bits_trainable, or leave --act_bits out'),
    (Precision(learnt_swish=True), ['--swish_bits', '8'], '--swish_bits 8: the checkpoint has '
     'learnt bit-widths of inputs of swish and sigmoid, from 8 bits on: give --swish_bits 0, or '
     'leave --swish_bits out'),
    (FROM_4, ['--weight_bits', '8', '--bits_trainable'], '--weight_bits: the checkpoint has learnt '
     'bit-widths of kernels, from 4 bits on: leave the flag out or start without --ckpt_path'),
    (LEARNT, ['--weight_bits', '-1'], '--weight_bits: the checkpoint has learnt bit-widths of '
     'kernels, from 8 bits on: leave the flag out or start without --ckpt_path'),
    (Precision(3), ['--weight_bits', '8'], '--weight_bits: the checkpoint has kernels of 3 bits: '
     'leave the flag out or start without --ckpt_path'),
    (Precision(swish_bits=-1), ['--swish_bits', '8'], '--swish_bits: the checkpoint has inputs of '
     'swish and sigmoid in float: leave the flag out or start without --ckpt_path'),
    (Precision(), ['--bias_bits', '0'], '--bias_bits: the checkpoint has biases of 8 bits: leave '
     'the flag out or start without --ckpt_path'),
    (Precision(), ['--mix_prec'], '--mix_prec: the checkpoint has quantised kernels of stem, '
     'squeeze-excite and classifier: leave the flag out or start without --ckpt_path'),
    (Precision(), ['--bits_trainable'], '--bits_trainable: the checkpoint has kernels of 8 bits, '
     'and only train.py makes bit-widths learnt: leave the flag out'),
    (Precision(), ['--act_bits', '0'], '--act_bits with bits to learn: the checkpoint has '
     'activations of 8 bits, and only train.py makes bit-widths learnt: leave the flag out'),
])
def test_precision_other_than_the_checkpoints_is_refused(saved, argv, told):
  with pytest.raises(UserError) as error:
    resolve_precision(requested(*argv), saved, False)
  assert str(error.value) == told
