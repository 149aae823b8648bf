"""results.json: what is read, what is refused, and the interval of a difference."""

import json

from hypothesis import given, settings as run_settings, strategies as st
import pytest

from scripts.errors import UserError
from scripts.reporting.results import (
    accuracy_part, describe_difference, difference, float_row, read_results, wilson_interval)
from scripts.testing.reports import hits, row

FLOAT, ADJUSTABLE = row('float', 914, None), row('adjustable', 909, size_bytes=1.5)


def write(tmp_path, content):
  path = tmp_path / 'results.json'
  path.write_text(content if isinstance(content, str) else json.dumps(content))
  return str(path)


def with_hits(model, right, wrong):
  images = right + wrong
  return row(model, right, top1=100.0 * right / images, images=images,
             hits=hits(right, images))


def test_rows_are_read(tmp_path):
  rows = [FLOAT, ADJUSTABLE]
  assert read_results(write(tmp_path, rows)) == rows


@pytest.mark.parametrize('content, fault', [
    ('', ' is not valid JSON'),
    ({}, ' must hold one JSON list'),
    ([], ' holds no row'),
    ([1], ': row 1 must be an object'),
    ([FLOAT, {}], ': row 2: "model" is missing'),
    ([dict(FLOAT, top_1=1)], ': row 1: "top_1" is unknown; known are model, top1'),
    ([dict(FLOAT, model=' ')], ': row 1: "model" must be a text, not " "'),
    ([dict(FLOAT, correct=True)],
     ': row 1: "correct" must be a whole number of at least 0, not true'),
    ([dict(FLOAT, images=0)], ': row 1: "images" must be a whole number of at least 1, not 0'),
    ([dict(FLOAT, top1=91)], ': row 1: "top1" is 91, but 914 of 1000 images are 91.40 %'),
    ([dict(FLOAT, correct=1001, top1=100.0)], ': row 1: "top1" is 100.0, but 1001 of 1000 images'),
    ([dict(ADJUSTABLE, mean_act_bits=33)],
     ': row 1: "mean_act_bits" must be a number from 1 to 32, or null, not 33'),
    ([dict(ADJUSTABLE, published_metric='low')],
     ': row 1: "published_metric" must be a number of at least 0, or null, not "low"'),
    ('[%s]' % json.dumps(ADJUSTABLE).replace('1.5', '-1.5'),
     ': row 1: "size_bytes" must be a number above 0, or null, not -1.5'),
    ([dict(ADJUSTABLE, seconds=1.5)], ': row 1: "seconds" is unknown'),
    ([dict(ADJUSTABLE, size_bytes=0)], ': row 1: "size_bytes" must be a number above 0, or null'),
    ([FLOAT, FLOAT], ': two rows are called \'float\''),
    ([dict(FLOAT, hits='12')], ': row 1: "hits" must be a text of 0 and 1, or null, not "12"'),
    ([dict(FLOAT, hits=[1])], ': row 1: "hits" must be a text of 0 and 1, or null, not [1]'),
    ([dict(FLOAT, hits='110')], ': row 1: "hits" has 2 of 3 images correct, "correct" and '
                                '"images" are 914 of 1000'),
    ([with_hits('one', 3, 1), FLOAT, with_hits('other', 3, 2)],
     ': "hits" are of 4 and 5 images, but must be of the same ones in all rows'),
])
def test_bad_results(tmp_path, content, fault):
  path = write(tmp_path, content)
  with pytest.raises(UserError) as error:
    read_results(path)
  assert str(error.value).startswith('results file ' + path + fault)


def test_rows_with_hits_are_read(tmp_path):
  rows = [with_hits('one', 3, 1), with_hits('other', 4, 0), dict(FLOAT, hits=None)]
  assert read_results(write(tmp_path, rows)) == rows


def test_accuracy_part():
  values = {'top1': 50.0, 'correct': 1, 'images': 2, 'hits': '01', 'top5': 50.0,
            'float_top1': 100.0, 'float_correct': 2, 'float_hits': '11'}
  assert accuracy_part(values) == {'top1': 50.0, 'correct': 1, 'images': 2, 'hits': '01'}
  assert accuracy_part(values, 'float_') == {
      'top1': 100.0, 'correct': 2, 'images': 2, 'hits': '11'}
  del values['hits']
  assert accuracy_part(values)['hits'] is None


def test_float_row():
  assert float_row([ADJUSTABLE, FLOAT]) is FLOAT
  assert float_row([ADJUSTABLE, row('float', 1, (32, 32))])['correct'] == 1
  assert float_row([ADJUSTABLE]) is None


def test_wilson_interval():
  # 81 of 263: Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table 1.
  assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
  assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_difference():
  # 56 of 70 and 48 of 80: Newcombe 1998 (see `difference`), table 2, row 10.
  one = {'correct': 56, 'images': 70}
  other = {'correct': 48, 'images': 80}
  assert difference(one, other) == pytest.approx((20.0, 5.24, 33.39), abs=5e-3)


@run_settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.data())
def test_difference_turns_its_sign_with_the_order(images, others, data):
  one = {'correct': data.draw(st.integers(0, images)), 'images': images}
  other = {'correct': data.draw(st.integers(0, others)), 'images': others}
  delta, low, high = difference(one, other)
  assert -100 - 1e-9 <= low <= delta + 1e-9 and delta - 1e-9 <= high <= 100 + 1e-9
  assert difference(other, one) == pytest.approx((-delta, -high, -low), abs=1e-9)


def pair(both, first, second, neither):
  """Two rows with so many images right in both, in the first, in the second, in neither."""
  texts = ['1' * both + '1' * first + '0' * second + '0' * neither,
           '1' * both + '0' * first + '1' * second + '0' * neither]
  return [{'correct': text.count('1'), 'images': len(text), 'hits': text} for text in texts]


@pytest.mark.parametrize('counts, expected', [
    # Newcombe 1998 (paired, see `difference`): right on the same images less often than by chance.
    ((36, 12, 2, 0), (20.0, 5.69, 34.04)),
    # Fagerland, Lydersen and Laake, "Recommended tests and confidence intervals for paired binomial
    # proportions", 2014, Bentur's and Cavo's data: more often, of which the correction for
    # continuity leaves nothing in the first.
    ((1, 1, 7, 12), (-28.57, -50.69, -2.56)),
    ((59, 6, 16, 80), (-6.21, -11.862, -0.463))])
def test_paired_difference(counts, expected):
  assert difference(*pair(*counts)) == pytest.approx(expected, abs=6e-3)


def test_pairs_narrow_the_interval_of_networks_that_are_right_on_the_same_images():
  row_, reference = pair(800, 20, 60, 120)
  paired = difference(row_, reference)
  unpaired = difference(dict(row_, hits=None), reference)
  assert paired[0] == unpaired[0] and unpaired[1] < paired[1] < paired[2] < unpaired[2]
  # Their difference is that of 20 and 60 images: sqrt(80 - 40^2 / 1000) of 1000 is its deviation.
  assert paired[2] - paired[1] == pytest.approx(2 * 1.96 * 0.885, rel=0.03)


@run_settings(deadline=None)
@given(st.lists(st.integers(0, 400), min_size=4, max_size=4).filter(any))
def test_paired_difference_turns_its_sign_with_the_order(counts):
  one, other = pair(*counts)
  delta, low, high = difference(one, other)
  assert -100 - 1e-9 <= low <= delta + 1e-9 and delta - 1e-9 <= high <= 100 + 1e-9
  assert difference(other, one) == pytest.approx((-delta, -high, -low), abs=1e-9)


def test_networks_that_agree_on_all_images_do_not_differ():
  one, other = pair(500, 0, 0, 500)
  assert difference(one, other) == pytest.approx((0, 0, 0), abs=0.2)
  one, other = pair(7, 0, 0, 0)  # All right: there is no correlation.
  assert difference(one, other) == difference(dict(one, hits=None), other)


def test_description_names_the_kind_of_interval():
  one, other = pair(59, 6, 16, 80)
  assert describe_difference(one, other) == '-6.21 points (paired 95 % -11.86 to -0.46)'
  said = describe_difference(one, dict(other, hits=None))
  assert said.startswith('-6.21 points (95 %, from the counts alone, -')
