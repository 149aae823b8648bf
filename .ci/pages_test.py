"""Tests of the Markdown pages: their links, the files they name, the length of the first one."""

import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MAP = 'adj_quant/README.md'
# Rooms whose pages or whose one line in the map describe them as a whole.
NOT_IN_MAP = ('adj_quant/scripts/bench/', 'adj_quant/scripts/reporting/',
              'adj_quant/scripts/testing/')


def files(ending):
  """Paths relative to the root of the files that git tracks or does not ignore."""
  output = subprocess.check_output(
      ['git', 'ls-files', '--cached', '--others', '--exclude-standard', '*' + ending], cwd=ROOT)
  return [path for path in output.decode('utf-8').splitlines()
          if os.path.exists(os.path.join(ROOT, path))]


def read(path):
  with open(os.path.join(ROOT, path), encoding='utf-8') as stream:
    return stream.read()


def anchors(text):
  """The names that GitHub gives to the headings of a page."""
  headings = re.findall(r'^#+ (.*)$', re.sub(r'^```.*?^```', '', text, flags=re.M | re.S), re.M)
  return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def broken_links(path):
  for link in re.findall(r'\]\(([^)\s]+)\)', read(path)):
    if '://' in link:
      continue
    name, _, anchor = link.partition('#')
    target = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
    if not os.path.exists(os.path.join(ROOT, target)):
      yield '%s: %s is missing' % (path, link)
    elif anchor and anchor not in anchors(read(target)):
      yield '%s: no heading for %s' % (path, link)


@pytest.fixture(name='pages', scope='module')
def tracked_pages():
  if not os.path.exists(os.path.join(ROOT, '.git')):
    pytest.skip('not a git checkout')
  return files('.md')


def test_links_lead_to_files_and_headings(pages):
  assert [fault for path in pages for fault in broken_links(path)] == []


def test_anchors_are_those_of_github():
  assert anchors('# A `b`, c\n```\n# no heading\n```\n## 8/8 bits\n') == {'a-b-c', '88-bits'}


def test_scripts_that_pages_name_exist(pages):
  existing = {'/' + path for path in files('.py')}
  missing = sorted(
      '%s: %s' % (path, name) for path in pages if path != 'CHANGELOG.md'
      for name in re.findall(r'[\w/]+\.py\b', read(path))
      if not any(other.endswith('/' + name) for other in existing))
  assert missing == []


def test_the_map_names_every_module(pages):
  text = read(MAP)
  missing = [path for path in files('.py')
             if path.startswith('adj_quant/') and not path.startswith(NOT_IN_MAP)
             and not path.endswith(('_test.py', '__init__.py'))
             and not re.search(r'`(\S*/)?%s(\.py)?`' % os.path.basename(path)[:-len('.py')], text)]
  assert missing == []


def test_the_first_page_is_short(pages):
  lines = read('README.md').splitlines()
  assert len(lines) <= 150
  assert [line for line in lines if len(line) > 100 and not line.startswith('|')] == []
