"""results.json: the networks of an experiment, each measured on counted images.

    [{"model": "float", "top1": 91.4, "correct": 914, "images": 1000, "mean_weight_bits": null,
      "mean_act_bits": null, "published_metric": null, "official_metric": null},
     {"model": "adjustable", ..., "size_bytes": 2650000, "hits": "1101..."}]

A row whose weights have no bits, or 32, is a float network; the others are compared with the
first one. `top1` is in percent and follows from the counts. `hits` has a character for each image,
1 where the network is correct, in an order that all rows share.
"""

import math

from scripts.effnetb0.nodes import FLOAT
from scripts.errors import UserError
from scripts.files import read_json
from scripts.json_checks import TEXT, Rule, check_object, number, optional, whole

RESULTS = 'results.json'
_Z = 1.959964  # Of the normal distribution, for 95 %.
_ROUNDING = 0.0051  # Percent by which a `top1` may differ from its counts.


def read_results(path):
  """The checked rows of the file at `path`, a list of dicts.

  Raises:
    UserError: the file cannot be read, or naming the row and key that are wrong.
  """
  rows = read_json(path, 'results file', list)
  if not rows:
    raise UserError('results file %s holds no row' % path)
  for place, row in enumerate(rows, 1):
    _check_row(row, 'results file %s: row %d' % (path, place))
  names = [row['model'] for row in rows]
  for name in names:
    if names.count(name) > 1:
      raise UserError('results file %s: two rows are called %r' % (path, name))
  lengths = {len(row['hits']) for row in rows if row.get('hits')}
  if len(lengths) > 1:
    raise UserError('results file %s: "hits" are of %s images, but must be of the same ones in all '
                    'rows' % (path, ' and '.join(map(str, sorted(lengths)))))
  return rows


def _check_row(row, where):
  check_object(row, _RULES, where, _MAY_LACK)
  hits = row.get('hits')
  if hits is not None and (len(hits), hits.count('1')) != (row['images'], row['correct']):
    raise UserError('%s: "hits" has %d of %d images correct, "correct" and "images" are %d of %d'
                    % (where, hits.count('1'), len(hits), row['correct'], row['images']))
  share = 100.0 * row['correct'] / row['images']
  if row['correct'] > row['images'] or abs(share - row['top1']) > _ROUNDING:
    raise UserError('%s: "top1" is %s, but %d of %d images are %.2f %%'
                    % (where, row['top1'], row['correct'], row['images'], share))


_BITS = optional(number('a number from 1 to %d' % FLOAT, 1, FLOAT))
_METRIC = optional(number('a number of at least 0', 0))
_RULES = {
    'model': TEXT,
    'top1': number('a percentage', 0, 100),
    'correct': whole(0),
    'images': whole(1),
    'mean_weight_bits': _BITS,
    'mean_act_bits': _BITS,
    'published_metric': _METRIC,
    'official_metric': _METRIC,
    'size_bytes': optional(number('a number above 0', 1e-9)),
    'hits': optional(Rule('a text of 0 and 1',
                          lambda value: isinstance(value, str) and not value.strip('01'))),
}
_MAY_LACK = ('size_bytes', 'hits')


def accuracy_part(evaluation, prefix=''):
  """The part of a row that tells its accuracy.

  Args:
    evaluation: dict, what `eval.py --json_out` wrote.
    prefix: of its keys, `float_` for the float network.

  Returns:
    Dict of top1, correct, images and hits, which are None where an earlier version wrote none.
  """
  return {'top1': evaluation[prefix + 'top1'], 'correct': evaluation[prefix + 'correct'],
          'images': evaluation['images'], 'hits': evaluation.get(prefix + 'hits')}


def float_row(rows):
  """The row that others are compared with, None where there is none."""
  return next((row for row in rows if row['mean_weight_bits'] in (None, FLOAT)), None)


def wilson_interval(correct, images):
  """(low, high) in 0..1: 95 % confidence interval of a share.

  Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
  """
  share, spread = correct / images, _Z ** 2 / images
  centre = share + spread / 2
  width = math.sqrt(spread * (share * (1 - share) + spread / 4))
  return (max(0.0, (centre - width) / (1 + spread)), min(1.0, (centre + width) / (1 + spread)))


def difference(row, reference):
  """(difference, low, high) of top-1 in points: `row` minus `reference` with its 95 % interval.

  Where both rows have `hits`, which must be of the same images in the same order, the interval is
  that of paired samples: narrower where the networks are correct on the same images more often than
  by chance. Else it is that of independent samples, which for the same images is
  rather too wide. It covers the choice of the images, not the chance in two trainings.

  Source: Newcombe, "Improved confidence intervals for the difference between binomial proportions
  based on paired data", 1998, and "Interval estimation for the difference between independent
  proportions", 1998, method 10 of both.
  """
  correlation = 0.0
  if _are_paired(row, reference):
    correlation = _correlation(row['hits'], reference['hits'])
  shares, lows, highs = [], [], []
  for each in (row, reference):
    shares.append(each['correct'] / each['images'])
    low, high = wilson_interval(each['correct'], each['images'])
    lows.append(shares[-1] - low)
    highs.append(high - shares[-1])
  delta = shares[0] - shares[1]
  return (100 * delta, 100 * (delta - _spread(lows[0], highs[1], correlation)),
          100 * (delta + _spread(highs[0], lows[1], correlation)))


def describe_difference(row, reference):
  """What `difference` gives as text, with the kind of its interval."""
  kind = 'paired 95 %' if _are_paired(row, reference) else '95 %, from the counts alone,'
  delta, low, high = difference(row, reference)
  return '%+.2f points (%s %+.2f to %+.2f)' % (delta, kind, low, high)


def _are_paired(row, reference):
  return bool(row.get('hits') and reference.get('hits'))


def _spread(one, other, correlation):
  """The deviation of a difference of two numbers with these deviations."""
  # Not below 0, which rounding could make it.
  return math.sqrt(max(0.0, one ** 2 - 2 * correlation * one * other + other ** 2))


def _correlation(hits, others):
  """Of two networks' hits, -1..1; a positive one with Newcombe's correction for continuity."""
  count = len(hits)
  both = sum(pair == ('1', '1') for pair in zip(hits, others))
  one, other = hits.count('1'), others.count('1')
  product = one * (count - one) * other * (count - other)
  if not product:
    return 0.0
  covariance = both * count - one * other  # Times the number of images squared.
  if covariance > 0:
    covariance = max(0.0, covariance - count / 2)
  return covariance / math.sqrt(product)
