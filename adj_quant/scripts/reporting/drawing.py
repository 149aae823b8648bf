"""Style of the pictures: figures, colours, output to files and pages.

Figures are made without pyplot, so nothing is kept between two of them. In an SVG, ink becomes the
colour of the text around the picture and the background stays clear, so that one picture suits a
light and a dark page; a shape that was given a hint shows it under the mouse.
"""

import hashlib
import io
import re

import matplotlib
from matplotlib.cm import viridis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
import numpy as np

INK = '#1f2937'  # Text and axes.
# Okabe and Ito's colours, which the colour-blind can tell apart and that show on white and black.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY = (
    '#2b83c4', '#e69f00', '#009e73', '#d55e00', '#cc79a7', '#56b4e9', '#8b93a1')
CYCLE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY)
KIND_COLOURS = {'stem': GREY, 'expand': BLUE, 'dws': ORANGE, 'se': PURPLE, 'project': GREEN,
                'head': VERMILION, 'classifier': SKY}
# Of 2 to 8 bits, and of float.
BIT_COLOURS = tuple(to_hex(viridis(place)) for place in np.linspace(
    0.15, 0.95, 7)) + (GREY,)
WIDTH = 14.0  # Inches, as the following ones.
_ABOVE = 0.45  # The highest axes: room for a title.
_RIGHT = 0.6
_DPI = 110  # Of PNG files.
_HINT = 'hint '


def new_axes(height, rows=1, gap=0.6, left=0.6, below=0.6, **options):
  """A figure with axes one below the other.

  The margins are given, not found by measuring all texts, which takes longer than drawing them.

  Args:
    height: of one of the axes; this and the others in inches.
    rows: how many axes.
    gap: between two of them, below the upper one's ticks.
    left: of the axes.
    below: the lowest axes.
    **options: of `Figure.subplots`.

  Returns:
    The figure and the list of its axes.
  """
  whole = _ABOVE + rows * height + (rows - 1) * gap + below
  figure = Figure(figsize=(WIDTH, whole))
  axes = figure.subplots(rows, 1, squeeze=False, gridspec_kw={
      'left': left / WIDTH, 'right': 1 - _RIGHT / WIDTH, 'top': 1 - _ABOVE / whole,
      'bottom': below / whole, 'hspace': gap / height}, **options)[:, 0]
  for each in axes:
    style(each)
  return figure, axes


def style(axes):
  """Gives axes their ink, a light grid and no frame."""
  axes.set_facecolor('none')
  axes.set_axisbelow(True)
  axes.grid(axis='y', color=GREY, alpha=0.3, linewidth=0.6)
  for side, spine in axes.spines.items():
    spine.set_visible(side in ('left', 'bottom'))
    spine.set_color(GREY)
  axes.tick_params(colors=INK, labelsize=9, length=3)
  axes.tick_params(axis='both', color=GREY)


def title(axes, text):
  """Puts a title over the left end of axes."""
  axes.set_title(plain(text), loc='left', color=INK, fontsize=12, fontweight='bold', pad=12)


def legend(axes, handles=None, **options):
  """A legend on one line over the right end of axes."""
  entries = axes.get_legend_handles_labels() if handles is None else (
      handles, [handle.get_label() for handle in handles])
  box = axes.legend(*entries, loc='lower right', bbox_to_anchor=(1.0, 1.0), ncol=len(entries[0]),
                    frameon=False, fontsize=9, handlelength=1.0, columnspacing=1.2,
                    borderaxespad=0.2, **options)
  for text in box.get_texts():
    text.set_color(INK)


def hint(shape, text):
  """Lets a shape show `text` under the mouse."""
  shape.set_gid(_HINT + text)


def plain(text):
  """`text` with the characters that would begin a formula made harmless."""
  return text.replace('$', r'\$')


def as_png(figure):
  """bytes: the figure on white, for a README."""
  stream = io.BytesIO()
  figure.savefig(stream, format='png', dpi=_DPI, facecolor='white')
  return stream.getvalue()


def as_svg(figure, name):
  """str: an <svg> element for a page, scaling with it; `name` keeps its ids from other pictures'.
  """
  stream = io.BytesIO()
  salt = hashlib.md5(name.encode('utf-8')).hexdigest()
  with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': salt}):
    figure.savefig(stream, format='svg', facecolor='none', metadata={'Date': None})
  svg = stream.getvalue().decode('utf-8')
  svg = svg[svg.index('<svg '):]
  svg = re.sub(r'<metadata>.*?</metadata>', '', svg, flags=re.DOTALL)
  svg = re.sub(r'<!--.*?-->', '', svg, flags=re.DOTALL)
  head, tag_end, rest = svg.partition('>')
  svg = re.sub(r' (height|version|width)="[^"]*"', '', head) + tag_end + rest
  svg = re.sub(r'<g id="%s([^"]*)">' % _HINT, r'<g><title>\1</title>', svg)
  svg = re.sub(r'<g id="[^"]*"', '<g', svg)  # Numbers of parts, the same in every picture.
  svg = re.sub(r' d="[^"]*"', _round_path, svg)
  svg = re.sub(r'font-family:[^;"]*;', '', svg)  # The page's own.
  return re.sub(r'\s*\n\s*', '\n', svg.replace(INK, 'currentColor')).strip()


def _round_path(path):
  """A path with hundredths of a point."""
  return re.sub(r'(\.\d\d)\d+', r'\1', path.group(0)).replace('\n', ' ')
