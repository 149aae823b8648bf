"""Pictures of a network: what the bars are, measured on the shapes that are drawn."""

import io
import re
import xml.etree.ElementTree as xml

from PIL import Image
import numpy as np
import pytest

from scripts import cost
from scripts.effnetb0.architecture import EFFICIENTNET_B0
from scripts.reporting import charts, drawing
from scripts.reporting.network import network_report
from scripts.testing.network import known
from scripts.testing.reports import tiny_info, tiny_report

NETWORK = tiny_report(seed=3)


def bars(axes):
  """Shapes with a hint: dict hint -> shape."""
  return {shape.get_gid(): shape for shape in axes.patches if shape.get_gid()}


@pytest.mark.parametrize('role, field', sorted(charts.ROLES.items()))
def test_bits_chart(role, field):
  axes, = charts.bits_chart(NETWORK, role).axes
  layers = [layer for layer in NETWORK.layers if getattr(layer, field) is not None]
  heights = list(bars(axes).values())
  np.testing.assert_allclose([bar.get_height() for bar in heights],
                             [getattr(layer, field).mean() for layer in layers])
  assert [drawing.KIND_COLOURS[layer.kind] for layer in layers] == [
      '#%02x%02x%02x' % tuple(int(round(255 * part)) for part in bar.get_facecolor()[:3])
      for bar in heights]
  mean = getattr(NETWORK.mean, 'mean_%s_bits' % field)
  assert any(text.get_text() == 'mean\n%.2f' % mean for text in axes.texts)
  assert [text.get_text() for text in axes.get_legend().get_texts()] == (
      ['stem', 'expand', 'dws', 'se', 'project', 'head']
      + (['classifier'] if role == 'weights' else []))


def test_float_layers_stay_in_the_picture():
  info = tiny_info(4, 5)
  info.bits['Conv'].weight[:] = 32
  with known():
    network = network_report(info)
  axes, = charts.bits_chart(network, 'weights').axes
  stem, depthwise = list(bars(axes).values())[:2]
  assert (stem.get_height(), stem.get_hatch()) == (8, '///')
  assert (depthwise.get_height(), depthwise.get_hatch()) == (4, None)


def test_shares_chart():
  weights, acts = charts.shares_chart(NETWORK).axes
  for axes, field in ((weights, 'weight'), (acts, 'act')):
    heights = {}
    for bar in bars(axes).values():
      place = int(round(bar.get_x() + bar.get_width() / 2))
      heights[place] = heights.get(place, 0) + bar.get_height()
    layers = [layer for layer in NETWORK.layers if getattr(layer, field) is not None]
    assert sorted(heights) == list(range(len(layers)))
    np.testing.assert_allclose(list(heights.values()), 100.0)
  stem = NETWORK.layers[0].weight
  first = stem.min()
  assert 'hint Conv: %d of 8 channels at %d bits' % (np.sum(stem == first), first) in bars(weights)


def test_parts_chart():
  axes, = charts.parts_chart(NETWORK).axes
  widths = {}
  for text, bar in bars(axes).items():
    count = text.split(', ')[-1].split(':')[0]
    widths[count] = widths.get(count, 0) + bar.get_width()
  assert widths == pytest.approx({'published': NETWORK.published.count.metric,
                                  'official': NETWORK.official.count.metric})


def test_part_metrics_add_up_to_the_metric():
  parts = cost.Parts(*range(1, 10))
  metrics = charts.part_metrics(parts)
  assert metrics.quantizers == 3 / 6.9e6 and metrics.multiplications == 4 / 1170e6
  assert sum(metrics) == pytest.approx(parts.count.metric)


def test_layer_costs_chart():
  for axes, name in zip(charts.layer_costs_chart(NETWORK).axes, ('published', 'official')):
    heights = [bar.get_height() for bar in axes.patches if bar.get_gid()]
    assert sum(heights) == pytest.approx(getattr(NETWORK, name).count.metric)


def test_svg_fits_a_page():
  figure = charts.bits_chart(NETWORK, 'weights')
  svg = drawing.as_svg(figure, 'a')
  root = xml.fromstring(svg)
  assert 'viewBox' in root.attrib and 'width' not in root.attrib  # It scales.
  assert drawing.INK not in svg and 'currentColor' in svg  # It takes the page's colour.
  assert 'Conv: mean %.2f bits' % NETWORK.layers[0].weight.mean() in svg  # Under the mouse.
  assert not re.search(r'<g id=|<metadata|<!--|<\?xml|font-family', svg)
  assert svg == drawing.as_svg(figure, 'a')
  ids = [set(re.findall(r' id="([^"]*)"', drawing.as_svg(figure, name))) for name in 'ab']
  assert ids[0] and not ids[0] & ids[1]  # Two pictures of one page do not share an id.


def test_png_of_a_readme():
  network = tiny_report(seed=0, architecture=EFFICIENTNET_B0, classes=10)
  image = Image.open(io.BytesIO(drawing.as_png(charts.bits_chart(network, 'weights'))))
  assert image.format == 'PNG' and image.width == 1540
  assert image.convert('RGB').getpixel((2, 2)) == (255, 255, 255)
