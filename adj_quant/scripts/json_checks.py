"""Rules for the values of a JSON object, and a check that names the offending key."""

import json
import math
from typing import Any, Callable, NamedTuple

from scripts.errors import UserError


class Rule(NamedTuple):
  """What a value must be."""
  text: str  # 'a whole number from 1 to 8', in the message of a UserError.
  holds: Callable[[Any], bool]


def whole(low, high=2**53):
  """A whole number; true and false are none."""
  text = 'a whole number of at least %d' % low if high == 2**53 else (
      'a whole number from %d to %d' % (low, high))
  return Rule(text, lambda value: type(value) is int and low <= value <= high)


def number(text, low=-math.inf, high=math.inf):
  """A number from `low` to `high`, which `text` says."""
  return Rule(text, lambda value: type(value) in (int, float) and low <= value <= high)


def one_of(values):
  """One of some texts."""
  return Rule('one of ' + ', '.join(sorted(values)),
              lambda value: isinstance(value, str) and value in values)


def list_of(rule, text):
  """A list of values for each of which `rule` holds."""
  return Rule(text, lambda value: isinstance(value, list) and all(map(rule.holds, value)))


def dict_of(rule, text):
  """An object whose values all obey `rule`."""
  return Rule(text, lambda value: isinstance(value, dict) and all(map(rule.holds, value.values())))


def optional(rule):
  """What `rule` says, or null."""
  return Rule(rule.text + ', or null', lambda value: value is None or rule.holds(value))


TEXT = Rule('a text',
            lambda value: isinstance(value, str) and bool(value.strip()) and '\0' not in value)
FLAG = Rule('true or false', lambda value: isinstance(value, bool))
OBJECT = Rule('an object', lambda value: isinstance(value, dict))


def check_object(content, rules, where, may_lack=(), may_have_others=False):
  """Checks the keys and the values of a JSON object.

  Args:
    content: what JSON holds in place of an object.
    rules: dict key -> `Rule`.
    where: opens the message: 'results file PATH: row 3'.
    may_lack: keys that need not be there; True: none need.
    may_have_others: whether keys without a rule are passed over.

  Returns:
    `content`.

  Raises:
    UserError: naming the first key that is missing, unknown or breaks its rule.
  """
  if not isinstance(content, dict):
    raise UserError('%s must be an object' % where)
  missing = [key for key in rules if key not in content and may_lack is not True
             and key not in may_lack]
  unknown = [] if may_have_others else sorted(set(content) - set(rules))
  if missing:
    raise UserError('%s: "%s" is missing' % (where, missing[0]))
  if unknown:
    raise UserError('%s: "%.60s" is unknown; known are %s' % (where, unknown[0], ', '.join(rules)))
  for key, rule in rules.items():
    if key in content and not rule.holds(content[key]):
      raise UserError('%s: "%s" must be %s, not %s'
                      % (where, key, rule.text, _shortened(json.dumps(content[key]))))
  return content


def _shortened(text):
  return text if len(text) <= 60 else text[:57] + '...'
