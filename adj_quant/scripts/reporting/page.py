"""The report as one self-contained HTML file: no network, no other file."""

import base64
import io
import os
from typing import Any, NamedTuple, Optional

import jinja2
import markupsafe
import numpy as np
from PIL import Image
from matplotlib.colors import to_rgb

from scripts.effnetb0.nodes import FLOAT, MIN_BITS
from scripts.errors import UserError
from scripts.files import read_file
from scripts.reporting import charts, curves, drawing
from scripts.reporting.network import NetworkReport, bit_counts
from scripts.reporting.table import NONE, table_cells

_TEMPLATE = 'page.html.j2'
GENERATOR = 'report.py of Adjustable Quantization'  # Tells a report from other pages.
_LARGEST = 2**26  # Bytes of a report.
_GROUP = 10  # Channels between two spaces.


class Report(NamedTuple):
  """All that a page shows."""
  title: str
  network: NetworkReport
  size_bytes: int  # Of the network.
  rows: Optional[list]  # Of results.json.
  phases: list  # Of history.Phase.
  configs: dict  # Name -> dict of flags.
  environment: dict  # Name -> text.


class Picture(NamedTuple):
  """An inline picture."""
  svg: Any  # Markup.
  text: str  # What it shows, for who cannot see it.


def render(report):
  """The HTML of a `Report`."""
  loader = jinja2.FileSystemLoader(os.path.dirname(os.path.abspath(__file__)))
  environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True,
                                   lstrip_blocks=True, undefined=jinja2.StrictUndefined)
  columns, cells = table_cells(report.rows) if report.rows else ([], [])
  network = report.network
  return environment.get_template(_TEMPLATE).render(
      generator=GENERATOR, report=report, network=network, columns=columns, cells=cells,
      facts=facts(network, report.size_bytes),
      bits=bits_pictures(network), costs=cost_pictures(network),
      history=history_pictures(report.phases),
      layers=layer_rows(network),
      channels=[layer_channels(layer) for layer in network.layers],
      bit_colours=list(zip(charts.BITS_LABELS, drawing.BIT_COLOURS)))


def check_report(path):
  """Raises UserError where the file at `path` is not a report."""
  if GENERATOR.encode() not in read_file(path, 'report', _LARGEST):
    raise UserError('%s is not a report' % path)


def facts(network, size_bytes):
  """(label, value, remark) of what is most worth knowing of a network."""
  mean = network.mean
  values = sum(layer.params + len(layer.weight) for layer in network.layers)
  return [
      ('mean bits, weights', '%.2f' % mean.mean_weight_bits,
       '%.2f weighted by parameters' % mean.mean_weight_bits_by_params),
      ('mean bits, activations', '%.2f' % mean.mean_act_bits,
       '%.2f weighted by operations' % mean.mean_act_bits_by_ops),
      ('published metric', '%.6f' % network.published.count.metric, 'lower is better'),
      ('official metric', '%.6f' % network.official.count.metric, 'lower is better'),
      ('model size', '%.2f MB' % (size_bytes / 1e6),
       '%.1f %% of float32' % (100.0 * size_bytes / (FLOAT / 8 * values))),
  ]


def bits_pictures(network):
  """Pictures of the bits: means of both roles, shares."""
  return [_picture(charts.bits_chart(network, role), 'Bar chart: mean bits per layer, ' + role)
          for role in charts.ROLES] + [
      _picture(charts.shares_chart(network), 'Stacked bars: channels of each layer by their bits')]


def cost_pictures(network):
  """Pictures of the cost by part and by layer."""
  return [_picture(charts.parts_chart(network), 'Bar chart: both metrics by part'),
          _picture(charts.layer_costs_chart(network), 'Bar charts: both metrics by layer')]


def history_pictures(phases):
  """(pictures of known scalars, pictures of others); empty lists where there are none."""
  drawn = []
  for panels, text in ((curves.known_panels(phases), 'Curves over the steps of training'),
                       (curves.other_panels(phases), 'Curves of all other scalars')):
    drawn.append([_picture(curves.history_chart(phases, panels), text)] if panels else [])
  return drawn


def _picture(figure, text):
  return Picture(markupsafe.Markup(drawing.as_svg(figure, text)), text)


def layer_rows(network):
  """A list for each layer: (text, what to sort by) of every cell of the table of layers."""
  rows = []
  for place, layer in enumerate(network.layers):
    shares = [100 * getattr(layer, name).count.metric / getattr(network, name).count.metric
              for name in ('published', 'official')]
    means = [None if bits is None else bits.mean() for bits in (layer.weight, layer.act)]
    rows.append([(layer.name, place), (layer.kind, layer.kind)]
                + [('{:,}'.format(number), number) for number in (layer.params, layer.macs)]
                + [(NONE, -1) if mean is None else ('%.2f' % mean, mean) for mean in means]
                + [('%.2f %%' % share, share) for share in shares])
  return rows


def layer_channels(layer):
  """Everything about the bits of a layer's channels, as the template shows it."""
  roles = []
  for role, field in charts.ROLES.items():
    bits = getattr(layer, field)
    if bits is not None:
      roles.append({'role': role, 'mean': '%.2f' % bits.mean(), 'channels': len(bits),
                    'counts': [(label, count) for label, count in zip(
                        charts.BITS_LABELS, bit_counts(bits)) if count],
                    'strip': channel_strip(bits), 'digits': digits(bits)})
  return {'name': layer.name, 'roles': roles}


def channel_strip(bits):
  """A data URI: the channels side by side, each a pixel in the colour of its bits."""
  colours = np.uint8(np.rint(255 * np.array([to_rgb(c) for c in drawing.BIT_COLOURS])))
  places = np.where(bits == FLOAT, len(colours) - 1, bits - MIN_BITS)
  stream = io.BytesIO()
  Image.fromarray(colours[places][np.newaxis]).save(stream, 'png', optimize=True)
  return 'data:image/png;base64,' + base64.b64encode(stream.getvalue()).decode('ascii')


def digits(bits):
  """The bits of all channels in order, a character each, f for float: '3342 ...'."""
  text = ''.join('f' if value == FLOAT else str(value) for value in bits)
  return ' '.join(text[start:start + _GROUP] for start in range(0, len(text), _GROUP))
