"""Tests of the rules by which a mini-epoch is good or not, by hand."""

import math

import numpy as np
import pytest

from scripts.accuracy import Accuracy
from scripts.trainer.config import TrainConfig
from scripts.trainer.run import guard
from scripts.trainer.run.guard import Fault, Reference

# Four classes, 100 images: chance is 25 and 5 its deviation.
KNOWN = Reference(correct=46, images=100, cross_entropy=0.1)


def judge(correct, cross_entropy=0.1, reference=KNOWN, images=100):
  return guard.judge(Accuracy(correct, images, images), 4, cross_entropy, reference, 7)


@pytest.mark.parametrize('loss', [float('nan'), float('inf'), -float('inf')])
def test_a_loss_must_be_finite(loss):
  guard.check_loss(-1e30, 7)
  with pytest.raises(Fault, match='^the loss is not finite at step 7$'):
    guard.check_loss(loss, 7)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_values_must_be_finite(value):
  values = {'a': np.float32([1.0, 2.0]), 'b': np.float32([0.0, 1.0])}
  guard.check_values(values, 7)
  values['b'][1] = value
  with pytest.raises(Fault, match='^b is not finite after step 7$'):
    guard.check_values(values, 7)


def test_the_total_loss_explodes_through_distillation_alone():
  config = TrainConfig(alpha=2.0, kd_weight=1.0, kd_features=0.5, beta=1e9)
  limit = 100 * 3.5 * math.log(4)
  means = {'total': 1e9, 'distillation': limit - 0.21, 'classification': 0.1, 'metric': 1.0}
  guard.check_total(means, 4, config, 7)  # Whatever the metric costs.
  with pytest.raises(Fault, match='^the mean loss without the metric is 485.4 at step 7, over 100 '
                                  'times that of a network that knows nothing$'):
    guard.check_total(dict(means, distillation=limit), 4, config, 7)


def test_accuracy_collapses_from_clear_to_chance():
  with pytest.raises(Fault, match='^the accuracy fell to chance at step 7, from 46 of 100 images '
                                  'to 35 of 100$'):
    judge(35)
  judge(36)  # More than two deviations above chance.
  judge(35, reference=KNOWN._replace(correct=45))  # Was four above it, not more.


def test_accuracies_of_different_numbers_of_images_compare():
  with pytest.raises(Fault, match='from 92 of 200 images to 35 of 100'):
    judge(35, reference=KNOWN._replace(correct=92, images=200))


def test_loss_explodes_above_ten_times_the_lowest_and_twice_ignorance():
  ignorance = math.log(4)
  judge(50, 2.0 * ignorance - 1e-3)
  with pytest.raises(Fault, match='^the cross entropy rose from 0.1000 to 2.7736 up to step 7$'):
    judge(50, 2.0 * ignorance + 1e-3)
  judge(50, 9.9, reference=KNOWN._replace(cross_entropy=1.0))
  with pytest.raises(Fault):
    judge(50, 10.1, reference=KNOWN._replace(cross_entropy=1.0))
  judge(50, 1e3, reference=KNOWN._replace(cross_entropy=None))


@pytest.mark.parametrize('correct, cross_entropy, expected', [
    (47, 0.2, (47, 0.1)), (45, 0.05, (46, 0.05)), (45, 0.2, (46, 0.1))])
def test_the_reference_is_the_best_so_far(correct, cross_entropy, expected):
  assert judge(correct, cross_entropy) == Reference(expected[0], 100, expected[1])


def test_the_first_reference():
  assert Reference().after(Accuracy(3, 3, 4), None) == Reference(3, 4, None)
  assert judge(3, 0.5, Reference(3, 4, None), images=4) == Reference(3, 4, 0.5)
