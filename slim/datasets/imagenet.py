"""ImageNet (ILSVRC 2012): 1000 classes, labels 1..1000 in the alphabetical order of the synsets.

Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge" (2015). Label 0 is left to
a background class, which no record carries.
"""

import re

from imagenet import IMAGENET
from scripts.errors import UserError
from scripts.files import read_file

INFO = IMAGENET
_MOST_BYTES = 2 ** 26  # Of a file of labels; that of all training images has 13 MB.
_NUMBER = re.compile(r'[0-9]{1,9}\Z')
_SYNSET = re.compile(r'n[0-9]{8}\Z')


def is_synset(name):
  """True for names like n01440764."""
  return bool(_SYNSET.match(name))


def read_synsets(path):
  """The synsets of a file with one a line; what follows a space or tab on a line is ignored.

  Raises:
    UserError: the file cannot be read, or a line holds no synset or one that came before.
  """
  synsets = []
  for number, words in _lines(path):
    if not is_synset(words[0]) or words[0] in synsets:
      raise UserError('%s line %d must start with a synset like n01440764 that comes once, not %s'
                      % (path, number, _quoted(words)))
    synsets.append(words[0])
  return synsets


def read_ground_truth(path, synsets=None):
  """The synset of each image of a split that has no folders.

  Args:
    path: file with a line for each image in the sorted order of their names: its synset, or the
      number 1.. of it in `synsets`. Numbers of the challenge are in the order of its development
      kit, which is not the alphabetical one.
    synsets: list of synsets in the order of the numbers, None where there is none.

  Returns:
    (list of synsets, 'synsets' or 'numbers': what the file holds).

  Raises:
    UserError: the file cannot be read, mixes both, or holds numbers outside of `synsets`.
  """
  lines = list(_lines(path))
  kind = 'synsets' if is_synset(lines[0][1][0]) else 'numbers'
  if kind == 'numbers' and synsets is None:
    raise UserError('%s holds numbers (%s ...), not synsets: give the file with the synsets in the '
                    'order of these numbers as --synsets' % (path, _quoted(lines[0][1][:1])))
  truth = []
  for number, words in lines:
    if kind == 'synsets':
      good = is_synset(words[0])
    else:
      good = _NUMBER.match(words[0]) and 1 <= int(words[0]) <= len(synsets)
    if not good or len(words) > 1:
      expected = 'a synset' if kind == 'synsets' else 'a number of 1 to %d' % len(synsets)
      raise UserError('%s line %d must be %s, not %s' % (path, number, expected, _quoted(words)))
    truth.append(words[0] if kind == 'synsets' else synsets[int(words[0]) - 1])
  return truth, kind


def _quoted(words):
  """The words of a line for an error message, cut off where they are many."""
  text = ' '.join(words)
  return text if len(text) <= 40 and text.isprintable() else ascii(text[:40]) + ' ...'


def _lines(path):
  """List of (number from 1, words) of the lines of a text file, apart from empty ones.

  A byte order mark is skipped. Bytes that are not UTF-8, as in comments in Latin-1, are kept as
  Python's surrogate escapes.
  """
  data = read_file(path, 'text file', _MOST_BYTES)
  if b'\0' in data:  # UTF-16 as well.
    raise UserError('%s is not a text file in ASCII or UTF-8' % path)
  text = data.decode('utf-8-sig', 'surrogateescape')
  lines = [(number, line.split()) for number, line in enumerate(re.split('\r\n|\r|\n', text), 1)
           if line.strip()]
  if not lines:
    raise UserError('%s is empty' % path)
  return lines
