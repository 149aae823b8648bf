"""The page: complete, escaped, free of references to anything outside."""

import base64
import html.parser
import io
import re

from PIL import Image
import numpy as np
import pytest

from scripts.reporting import drawing, page
from scripts.reporting.history import Phase, Series
from scripts.testing.reports import row, tiny_report

NETWORK = tiny_report(seed=5)
VOID = {'meta', 'link', 'img'}


class Reader(html.parser.HTMLParser):
  """Collects tags, ids and references; fails where a tag is closed that is not open."""

  def __init__(self, text):
    super(Reader, self).__init__()
    self.open, self.tags, self.ids, self.references = [], [], [], []
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.ids += [value for name, value in attrs if name == 'id']
    self.references += [value for name, value in attrs if name in ('href', 'src', 'xlink:href')]
    if tag not in VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.handle_starttag(tag, attrs)
    self.handle_endtag(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag


def report(**changed):
  phases = [Phase('run <1>', {'loss': Series(np.arange(3), np.ones(3)),
                              'odd': Series(np.arange(3), np.ones(3))})]
  return page.Report('A <b>title</b>', NETWORK, 1500, [row('float', 914, None), row('<i>', 909)],
                     phases, {'best.json': {'lr': '3e-06', 'dataset': '<x>'}},
                     {'Python': '3.x'})._replace(**changed)


@pytest.fixture(name='text', scope='module')
def rendered():
  return page.render(report())


def test_page_is_well_formed_and_alone(text):
  reader = Reader(text)
  assert not reader.open
  assert len(set(reader.ids)) == len(reader.ids)
  for reference in reader.references:
    assert reference.startswith('data:') or reference[1:] in reader.ids, reference
  assert not re.search(r'@import|url\((?!#)', text)


def test_what_users_wrote_is_escaped(text):
  assert '<title>A &lt;b&gt;title&lt;/b&gt;</title>' in text
  assert '<td>&lt;i&gt;</td>' in text and '&lt;x&gt;' in text and 'run &lt;1&gt;' in text
  assert not re.search(r'<b>title|<i>|<x>|<1>', text)


def test_content(text):
  for part in ('Results', 'Bits', 'Cost', 'Training', 'Layers', 'Channels', 'Configuration',
               'Environment'):
    assert '<h2>%s</h2>' % part in text and 'href="#%s"' % part.lower() in text
  assert '%.6f' % NETWORK.published.count.metric in text
  assert '-0.50<small>-3.01 to +2.00</small>' in text and 'It is paired (Newcombe' in text
  assert text.count('<details class="layer">') == len(NETWORK.layers)
  assert text.count('<svg ') == 7


def test_no_row_of_results_is_emphasised(text):
  style = text[:text.index('</style>')]
  rules = re.findall(r'^ *(\.results[^{]*)\{([^}]*)\}', style, re.MULTILINE)
  assert rules and len(rules) == len(set(rules))
  assert not any('background' in rule or 'font-weight: 6' in rule for _, rule in rules)


def test_optional_parts_are_left_out():
  text = page.render(report(rows=None, phases=[], configs={}))
  for part in ('results', 'training', 'configuration'):
    assert 'id="%s"' % part not in text and 'href="#%s"' % part not in text
  assert not Reader(text).open
  assert text.count('<svg ') == 5


def test_layer_rows():
  rows = page.layer_rows(NETWORK)
  stem, last = rows[0], rows[-1]
  assert [text for text, _ in stem[:4]] == ['Conv', 'stem', '216', '55,296']
  assert stem[4] == ('%.2f' % NETWORK.layers[0].weight.mean(), NETWORK.layers[0].weight.mean())
  assert last[5] == ('-', -1)  # No activation behind the classifier.
  for column in (6, 7):
    assert sum(line[column][1] for line in rows) == pytest.approx(100.0)


def test_facts():
  actual = {label: (value, remark) for label, value, remark in page.facts(NETWORK, 2500000)}
  assert actual['model size'][0] == '2.50 MB'
  assert actual['official metric'][0] == '%.6f' % NETWORK.official.count.metric


def test_channels():
  bits = np.array([2, 3] * 6 + [32])
  assert page.digits(bits) == '2323232323 23f'
  kind, _, data = page.channel_strip(bits).partition(',')
  assert kind == 'data:image/png;base64'
  strip = Image.open(io.BytesIO(base64.b64decode(data)))
  assert strip.size == (13, 1)
  colours = ['#%02x%02x%02x' % strip.convert('RGB').getpixel((x, 0)) for x in (0, 1, 12)]
  assert colours == [drawing.BIT_COLOURS[0], drawing.BIT_COLOURS[1], drawing.BIT_COLOURS[-1]]
  shown = page.layer_channels(NETWORK.layers[-1])
  assert [role['role'] for role in shown['roles']] == ['weights']
  assert sum(count for _, count in shown['roles'][0]['counts']) == 4
