"""The rules of imports that hold the rooms apart, read from the source of every module."""

import ast
import os
import re
import subprocess
import sys

import pytest

from scripts.paths import ROOT

FOLDERS = ('adj_quant', 'slim', 'pretrained')  # Those on `sys.path`.
RUNTIME = 'adj_quant/scripts/runtime.py'
PRIVATE_API = 'adj_quant/scripts/private_api.py'
# What NamedTuples are used by.
NAMED_TUPLE = ('_asdict', '_field_defaults', '_fields', '_make', '_replace')
TRAINER = 'adj_quant/scripts/trainer/'
TESTING = ('adj_quant/scripts/testing/', 'slim/testing/')
# The one module that is a script as well: the network, which counts itself.
LIBRARY_TOO = 'slim/nets/mobilenet/efficientnet_b0.py'


def module_files():
  """Dict dotted module name -> path of every Python file, relative to the root."""
  modules = {}
  for folder in FOLDERS:
    for parent, _, names in os.walk(os.path.join(ROOT, folder)):
      for name in names:
        if name.endswith('.py'):
          path = os.path.relpath(os.path.join(parent, name), ROOT).replace(os.sep, '/')
          dotted = path[len(folder) + 1:-len('.py')].replace('/', '.')
          modules[dotted.replace('.__init__', '')] = path
  return modules


def imported(path, modules):
  """List of what the module at `path` imports, at its top or inside a function, in that order.

  Each is the path of a module here or the name of one from elsewhere.
  """
  with open(os.path.join(ROOT, path), encoding='utf-8') as stream:
    tree = ast.parse(stream.read())
  names = []
  for node in sorted((node for node in ast.walk(tree)
                      if isinstance(node, (ast.Import, ast.ImportFrom))), key=lambda n: n.lineno):
    if isinstance(node, ast.Import):
      names.extend(alias.name for alias in node.names)
    elif node.module:
      inner = ['%s.%s' % (node.module, alias.name) for alias in node.names]
      names.extend([name for name in inner if name in modules] or [node.module])
  return [modules.get(name, name) for name in names]


@pytest.fixture(name='lists', scope='module')
def import_lists():
  """Dict path -> list of its imports, see `imported`."""
  modules = module_files()
  return {path: imported(path, modules) for path in modules.values()}


@pytest.fixture(name='graph', scope='module')
def import_graph(lists):
  """Dict path -> set of imported paths."""
  return {path: set(names) & set(lists) for path, names in lists.items()}


def is_test(path):
  return path.endswith('_test.py') or path.startswith(TESTING)


def is_script(path):
  with open(os.path.join(ROOT, path), encoding='utf-8') as stream:
    return "if __name__ == '__main__':" in stream.read() and path != LIBRARY_TOO


def arrows(graph, source, target):
  """List of 'a -> b' for the imports between modules for which the two functions are true."""
  return sorted('%s -> %s' % (path, other) for path, others in graph.items() if source(path)
                for other in others if target(other))


def test_slim_never_imports_the_trainer(graph):
  assert arrows(graph, lambda path: path.startswith(('slim/', 'pretrained/')),
                lambda path: path.startswith(TRAINER)) == []


def test_adj_quant_never_imports_slim(graph):
  assert arrows(graph, lambda path: path.startswith('adj_quant/'),
                lambda path: path.startswith('slim/')) == []


def test_no_module_imports_a_script(graph):
  assert arrows(graph, lambda path: not is_test(path), is_script) == []


def test_no_product_module_imports_tests_or_their_helpers(graph):
  assert arrows(graph, lambda path: not is_test(path), is_test) == []


def test_no_test_imports_another(graph):
  assert arrows(graph, lambda path: True, lambda path: path.endswith('_test.py')) == []


def test_rooms_below_know_nothing_of_those_above(graph):
  """The shared modules of scripts/ import no trainer, recipe or report."""
  above = tuple('adj_quant/scripts/%s/' % room for room in (
      'trainer', 'pipeline', 'demo', 'headline', 'bench', 'reporting'))

  def is_shared(path):
    return (path.startswith('adj_quant/') and path.count('/') <= 2 and not is_script(path)
            or path.startswith(tuple('adj_quant/scripts/%s/' % room
                                     for room in ('effnetb0', 'ops', 'cluster'))))

  assert arrows(graph, lambda path: is_shared(path) and not is_test(path),
                lambda path: path.startswith(above)) == []


def test_no_cycles(graph):
  remaining = {path: set(others) - {path} for path, others in graph.items()}
  while True:
    leaves = {path for path, others in remaining.items() if not others}
    if not leaves:
      break
    remaining = {path: others - leaves for path, others in remaining.items()
                 if path not in leaves}
  assert remaining == {}


def test_scripts_import_runtime_before_tensorflow(lists):
  """It sets what TensorFlow reads while it is imported."""
  def reaches_tensorflow(name, seen=()):
    return name.partition('.')[0] == 'tensorflow' or name not in seen and any(
        reaches_tensorflow(other, (*seen, name)) for other in lists.get(name, ()))

  first = {path: next((name for name in names if reaches_tensorflow(name)), None)
           for path, names in lists.items() if is_script(path) and not is_test(path)}
  wrong = {path: name for path, name in first.items() if name not in (None, RUNTIME)}
  assert RUNTIME in first.values() and wrong == {}


def private_names(path):
  """List of the names with an underscore that a module uses of others."""
  with open(os.path.join(ROOT, path), encoding='utf-8') as stream:
    tree = ast.parse(stream.read())
  return [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
          and re.match('_[a-z]', node.attr) and node.attr not in NAMED_TUPLE
          and not _is_own(node.value)]


def _is_own(node):
  """True for `self`, `cls` and `super(...)`."""
  if isinstance(node, ast.Call):
    return isinstance(node.func, ast.Name) and node.func.id == 'super'
  return isinstance(node, ast.Name) and node.id in ('self', 'cls')


def test_one_module_uses_private_parts_of_tensorflow(lists):
  """Each has its reason there, and a next version of TensorFlow may lack it."""
  users = {path for path, names in lists.items()
           if any(name.startswith(('tensorflow.python', 'tensorflow.core')) for name in names)
           or not is_test(path) and private_names(path)}
  assert users == {PRIVATE_API}


def test_importing_a_script_does_nothing():
  scripts = [name[:-len('.py')] for name in os.listdir(os.path.join(ROOT, 'adj_quant'))
             if name.endswith('.py') and not name.endswith('_test.py')]
  output = subprocess.check_output(
      ['env', 'PYTHONWARNINGS=ignore', sys.executable, '-c', 'import ' + ', '.join(scripts)],
      cwd=os.path.join(ROOT, 'adj_quant'), stderr=subprocess.STDOUT)
  assert output == b''
