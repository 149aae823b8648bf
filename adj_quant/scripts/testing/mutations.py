"""Files that were damaged or made up: a real file with random changes, the same ones each time."""

import copy
import json
import random

_VALUES = (None, True, False, -1, 0, 1, 2.5, 1e300, -1e300, 2**40, 10**17, '', 'x', '\0', '\udce9',
           '\ud800', '../x', 'x' * 1000, [], {}, [[]], [None], {'': 0}, {'a': {'b': []}})
_TEXTS = (b'NaN', b'-Infinity', b'1e999', b'9' * 5000, b'[' * 5000, b'{"a":' * 5000, b'\\ud800',
          b'\xff\xfe', b'\xef\xbb\xbf', b'null', b'"', b'\x00', b',', b'0x10', b'')


def mutations(content, count, seed=0):
  """Yields `count` variants of `content` (bytes); of JSON, every other one is valid JSON."""
  source = random.Random(seed)
  try:
    tree = json.loads(content.decode('utf-8'))
  except ValueError:
    tree = None
  for number in range(count):
    if tree is not None and number % 2:
      yield json.dumps(_changed_tree(source, copy.deepcopy(tree))).encode('utf-8')
    else:
      yield _changed_bytes(source, content)


def _changed_bytes(source, content):
  changed = bytearray(content)
  for _ in range(source.choice((1, 1, 1, 2, 5))):
    start = source.randrange(len(changed) + 1)
    end = min(len(changed), start + source.choice((1, 1, 2, 4, 8, 100)))
    kind = source.randrange(7)
    if kind == 0 and start < len(changed):
      changed[start] ^= 1 << source.randrange(8)
    elif kind == 1:
      changed[start:end] = bytes(source.randrange(256) for _ in range(end - start))
    elif kind == 2:
      del changed[start:end]
    elif kind == 3:
      changed[start:start] = changed[start:end]
    elif kind == 4:
      changed[start:end] = source.choice(_TEXTS)
    elif kind == 5:
      changed[start:end] = source.choice((b'\0', b'\xff', b'\x7f')) * (end - start)
    else:
      del changed[start:]
  return bytes(changed)


def _changed_tree(source, tree):
  for _ in range(source.choice((1, 1, 2))):
    places = list(_places(tree))
    if not places:
      return source.choice(_VALUES)
    # Every depth counts the same, however many places it has.
    depth = source.choice(sorted({depth for depth, _, _ in places}))
    _, parent, key = source.choice([place for place in places if place[0] == depth])
    kind = source.randrange(5)
    if kind == 0:
      del parent[key]
    elif kind == 1 and isinstance(parent, dict):
      parent[source.choice(('x', key + '/x', '', key.upper() + '_'))] = parent.pop(key)
    elif kind == 2 and isinstance(parent, list):
      parent.insert(key, source.choice(_VALUES))
    else:
      parent[key] = source.choice(_VALUES)
  return tree


def _places(tree, depth=0):
  """Yields (depth, parent, key) of every value in objects and lists."""
  for key in (list(tree) if isinstance(tree, dict) else range(len(tree))
              if isinstance(tree, list) else ()):
    yield depth, tree, key
    yield from _places(tree[key], depth + 1)
