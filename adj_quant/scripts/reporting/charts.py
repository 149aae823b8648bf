"""Pictures of a quantised network: bits of its layers, and what they cost."""

import numpy as np
from matplotlib.patches import Patch

from scripts import cost
from scripts.effnetb0.nodes import MAX_BITS, MIN_BITS
from scripts.reporting import drawing
from scripts.reporting.network import KINDS, bit_counts

BITS_LABELS = tuple('%d bits' % bits for bits in range(MIN_BITS, MAX_BITS + 1)) + ('float',)
_LABELS = 0.85  # Inches below axes for the names of layers and blocks.
ROLES = {'weights': 'weight', 'activations': 'act'}  # Role -> field of a LayerReport.


def bits_chart(network, role):
  """Mean bits of every layer, coloured by its kind.

  Args:
    network: `NetworkReport`.
    role: 'weights' or 'activations'; the latter are the tensors read behind a layer.

  Returns:
    A figure.
  """
  layers = [layer for layer in network.layers if _bits(layer, role) is not None]
  figure, (axes,) = drawing.new_axes(3.6, below=_LABELS)
  for index, layer in enumerate(layers):
    bits = _bits(layer, role)
    quantised = bits.mean() <= MAX_BITS
    # Float channels count as 32 bits: such a layer goes beyond the axis, so it is hatched.
    bar, = axes.bar(index, min(bits.mean(), MAX_BITS), width=0.8,
                    color=drawing.KIND_COLOURS[layer.kind], alpha=1.0 if quantised else 0.35,
                    hatch=None if quantised else '///', edgecolor='none')
    drawing.hint(bar, '%s: mean %.2f bits, %d to %d, %d channels' % (
        layer.name, bits.mean(), bits.min(), bits.max(), len(bits)))
  mean = (network.mean.mean_weight_bits if role == 'weights' else network.mean.mean_act_bits)
  if mean <= MAX_BITS:
    axes.axhline(mean, color=drawing.INK, linestyle='--', linewidth=1.0)
    axes.annotate('mean\n%.2f' % mean, (1.0, mean), xycoords=axes.get_yaxis_transform(),
                  xytext=(4, 0), textcoords='offset points', color=drawing.INK, fontsize=9,
                  va='center', annotation_clip=False)
  axes.set_ylim(0, MAX_BITS)
  axes.set_yticks(range(MAX_BITS + 1))
  axes.set_ylabel('mean bits', color=drawing.INK, fontsize=9)
  _label_layers(axes, layers)
  _kinds_legend(axes, layers)
  drawing.title(axes, 'Mean bits per layer: %s' % role)
  return figure


def shares_chart(network):
  """Share of the channels of every layer that have 2, 3, ..., 8 bits; weights over activations."""
  figure, both = drawing.new_axes(2.4, rows=2, gap=_LABELS + 0.55, below=_LABELS)
  for axes, role in zip(both, ROLES):
    layers = [layer for layer in network.layers if _bits(layer, role) is not None]
    counts = np.array([bit_counts(_bits(layer, role)) for layer in layers])
    tops = np.cumsum(100.0 * counts / counts.sum(1, keepdims=True), axis=1)
    for index, (layer, count) in enumerate(zip(layers, counts)):
      for place in np.flatnonzero(count):
        low = tops[index, place - 1] if place else 0.0
        bar, = axes.bar(index, tops[index, place] - low, 0.92, low, edgecolor='none',
                        color=drawing.BIT_COLOURS[place])
        drawing.hint(bar, '%s: %d of %d channels at %s' % (
            layer.name, count[place], count.sum(), BITS_LABELS[place]))
    axes.set_ylim(0, 100)
    axes.set_ylabel('% of channels', color=drawing.INK, fontsize=9)
    _label_layers(axes, layers)
    drawing.legend(axes, [Patch(color=colour, label=label) for colour, label, used in zip(
        drawing.BIT_COLOURS, BITS_LABELS, counts.any(0)) if used], title_fontsize=9)
    drawing.title(axes, 'Channels by bits: %s' % role)
  return figure


def parts_chart(network):
  """What each part adds to the published and to the official metric."""
  shown = [index for index in range(len(cost.Parts._fields))
           if network.published[index] or network.official[index]]
  figure, (axes,) = drawing.new_axes(0.4 * len(shown), left=1.3, below=0.4)
  axes.grid(axis='x', color=drawing.GREY, alpha=0.3, linewidth=0.6)
  axes.grid(False, axis='y')
  counts = (('published', network.published, drawing.ORANGE),
            ('official', network.official, drawing.BLUE))
  for offset, (name, parts, colour) in zip((-0.2, 0.2), counts):
    metrics = part_metrics(parts)
    for row, index in enumerate(shown):
      bar, = axes.barh(row + offset, metrics[index], 0.36, color=colour, edgecolor='none')
      drawing.hint(bar, '%s, %s: %.6f' % (network.part_labels[index], name, metrics[index]))
      axes.annotate(_short(metrics[index]), (metrics[index], row + offset), xytext=(4, 0),
                    textcoords='offset points', va='center', fontsize=8, color=drawing.INK)
  axes.set_yticks(range(len(shown)))
  axes.set_yticklabels([network.part_labels[index] for index in shown])
  axes.invert_yaxis()
  drawing.legend(axes, [Patch(color=colour, label='%s %.6f' % (name, parts.count.metric))
                        for name, parts, colour in counts])
  drawing.title(axes, 'Metric by part')
  return figure


def _short(metric):
  return '< 0.0001' if 0 < metric < 5e-5 else '%.4f' % metric if metric else '0'


def layer_costs_chart(network):
  """What each layer adds to both metrics: parameters below, operations above them."""
  figure, both = drawing.new_axes(2.4, rows=2, gap=_LABELS + 0.55, below=_LABELS)
  for axes, name in zip(both, ('published', 'official')):
    total = getattr(network, name).count.metric
    for index, layer in enumerate(network.layers):
      count = getattr(layer, name).count
      params = count.params / cost.METRIC_PARAMS
      for low, height, colour in ((0.0, params, drawing.GREEN),
                                  (params, count.metric - params, drawing.BLUE)):
        bar, = axes.bar(index, height, 0.8, low, color=colour, edgecolor='none')
        drawing.hint(bar, '%s: %.6f, %.1f %% of the %s metric' % (
            layer.name, count.metric, 100 * count.metric / total, name))
    _label_layers(axes, network.layers)
    drawing.legend(axes, [Patch(color=drawing.GREEN, label='parameters'),
                          Patch(color=drawing.BLUE, label='operations')])
    drawing.title(axes, 'Metric by layer: %s, %.6f in all' % (name, total))
  return figure


def part_metrics(parts):
  """`Parts` of a count as what they add to its metric."""
  scales = 3 * (cost.METRIC_PARAMS,) + 6 * (cost.METRIC_OPS,)
  return cost.Parts(*[part / scale for part, scale in zip(parts, scales)])


def _bits(layer, role):
  return getattr(layer, ROLES[role])


def _label_layers(axes, layers):
  """Names the layers below axes, a block's number below its layers and a band behind every other.
  """
  axes.set_xlim(-0.6, len(layers) - 0.4)
  axes.set_xticks([])
  below = {'xycoords': axes.get_xaxis_transform(), 'textcoords': 'offset points', 'ha': 'center',
           'va': 'top', 'color': drawing.INK, 'annotation_clip': False}
  for index, layer in enumerate(layers):
    axes.annotate(layer.name.rpartition('/')[2], (index, 0.0), xytext=(0, -4), rotation=90,
                  fontsize=7, **below)
  blocks = {}
  for index, layer in enumerate(layers):
    if '/' in layer.name:
      blocks.setdefault(layer.name.partition('/')[0], []).append(index)
  for number, (name, places) in enumerate(blocks.items()):
    if number % 2 == 0:
      axes.axvspan(places[0] - 0.5, places[-1] + 0.5, color=drawing.GREY, alpha=0.13, linewidth=0,
                   zorder=0)
    text = name.rpartition('_')[2]
    axes.annotate('block ' + text if number == 0 else text, (np.mean(places), 0.0),
                  xytext=(0, -42), fontsize=9, **below)


def _kinds_legend(axes, layers):
  present = {layer.kind for layer in layers}
  drawing.legend(axes, [Patch(color=drawing.KIND_COLOURS[kind], label=kind)
                        for kind in KINDS if kind in present])
