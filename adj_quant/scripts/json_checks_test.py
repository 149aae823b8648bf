"""Tests of the rules of JSON objects."""

import pytest

from scripts import json_checks as checks
from scripts.errors import UserError
from scripts.json_checks import check_object

RULES = {'name': checks.TEXT, 'count': checks.whole(1)}


@pytest.mark.parametrize('rule, right, wrong', [
    (checks.whole(1), [1, 2**53], [0, 1.0, True, '1', None, 2**53 + 1]),
    (checks.whole(2, 8), [2, 8], [1, 9]),
    (checks.number('a share', 0, 1), [0, 1, 0.5], [-0.1, 1.1, True, '0', None]),
    (checks.one_of({'a': 1, 'b': 2}), ['a', 'b'], ['c', 1, None, ['a']]),
    (checks.optional(checks.whole(1)), [None, 1], [0, 'x']),
    (checks.list_of(checks.FLAG, 'flags'), [[], [True, False]], [[1], True, None, {}]),
    (checks.dict_of(checks.whole(1), 'counts'), [{}, {'a': 1}], [{'a': 0}, [1], None]),
    (checks.TEXT, ['x', ' x'], ['', ' ', 'x\0', 1, None]),
    (checks.FLAG, [True, False], [0, 1, None]),
    (checks.OBJECT, [{}], [[], None])])
def test_rules(rule, right, wrong):
  assert [value for value in right if not rule.holds(value)] == []
  assert [value for value in wrong if rule.holds(value)] == []


@pytest.mark.parametrize('content, fault', [
    ([], 'row 3 must be an object'), (None, 'row 3 must be an object'),
    ({'count': 1}, 'row 3: "name" is missing'),
    ({'name': 'x', 'count': 1, 'sum': 1}, 'row 3: "sum" is unknown; known are name, count'),
    ({'name': 'x', 'count': True}, 'row 3: "count" must be a whole number of at least 1, not true'),
    ({'name': [1] * 100, 'count': 1},
     'row 3: "name" must be a text, not [' + '1, ' * 18 + '1,...')])
def test_the_first_fault_is_named(content, fault):
  with pytest.raises(UserError) as error:
    check_object(content, RULES, 'row 3')
  assert str(error.value) == fault


def test_what_may_be_otherwise():
  assert check_object({'name': 'x'}, RULES, 'row', ('count',)) == {'name': 'x'}
  assert check_object({}, RULES, 'row', may_lack=True) == {}
  others = {'name': 'x', 'count': 2, 'sum': None}
  assert check_object(others, RULES, 'row', may_have_others=True) == others
