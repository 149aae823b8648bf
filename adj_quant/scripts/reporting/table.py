"""The table of results as plain text, as Markdown and as cells for the page."""

from typing import NamedTuple

from scripts import cost
from scripts.reporting.results import difference, float_row

NONE = '-'


class Column(NamedTuple):
  """A column of the table."""
  title: str
  meaning: str  # A sentence for whoever reads the table the first time.


COLUMNS = (
    Column('model', 'The network; all are evaluated in the same way.'),
    Column('top-1', 'Share of the validation images whose most likely class is correct, with '
                    'the counts.'),
    Column('to float (95 %)',
           'Difference in top-1 to the float network, in points, with a 95 % confidence interval. '
           'It is paired (Newcombe 1998, method 10) where the results say which images each '
           'network has right; else it follows from the two counts and is rather too wide. It '
           'covers the choice of the images: a training with another seed gives another network.'),
    Column('bits w / a', 'Mean bit-width of the channels of all weights and of all activations '
                         'that a convolution reads.'),
    Column('published', 'The metric as the authors of the method count it, params / 6.9 M + ops / '
                        '1170 M: additions at the bits of the multiplication, nothing stored for '
                        'the quantisers. It is in the training loss. Lower is better.'),
    Column('official', 'The metric by the rules of the MicroNet Challenge 2019 for fake '
                       'quantisation: additions at 32 bits, scales and zero points stored, pools '
                       'and skip additions counted.'),
    Column('size in MB', 'Bits of all weights, biases and what the quantisers store, as the '
                         'official count has them, in 10^6 bytes, and their share of the float '
                         'network\'s size.'),
)


def model_bytes(bits, settings, architecture):
  """Bytes of a stored network: weights, biases and quantisers of the official count.

  Args:
    bits, settings, architecture: those of `cost.official_parts`. A value that is not quantised
      takes 4 bytes.

  Returns:
    A whole number.
  """
  words = cost.official_parts(bits, settings, architecture).count.params
  return int(round(words * cost.WORD / 8))


def table_cells(rows):
  """The columns in use and the cells of every row.

  Args:
    rows: list of dicts as `results.read_results` returns them.

  Returns:
    columns: list of `Column`; optional ones only where a row has a value.
    cells: a list of texts for each row.
  """
  reference = float_row(rows)
  cells = [_cells(row, reference) for row in rows]
  used = [index for index, column in enumerate(COLUMNS)
          if any(line[index] != NONE for line in cells)]
  return [COLUMNS[index] for index in used], [[line[index] for index in used] for line in cells]


def _cells(row, reference):
  compared = reference is not None and row is not reference
  return [row['model'],
          '%.2f %% (%d of %d)' % (row['top1'], row['correct'], row['images']),
          '%+.2f (%+.2f to %+.2f)' % difference(row, reference) if compared else NONE,
          '%s / %s' % (_number('%.2f', row['mean_weight_bits']),
                       _number('%.2f', row['mean_act_bits'])),
          _number('%.6f', row['published_metric']),
          _number('%.6f', row['official_metric']),
          _size(row, reference)]


def _number(form, value):
  return NONE if value is None else form % value


def _size(row, reference):
  size, whole = row.get('size_bytes'), reference and reference.get('size_bytes')
  if size is None:
    return NONE
  return '%.2f' % (size / 1e6) + (' (%.1f %%)' % (100.0 * size / whole) if whole else '')


def format_table(rows):
  """The table as aligned text; argument as for `table_cells`."""
  columns, cells = table_cells(rows)
  lines = [[column.title for column in columns]] + cells
  widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
  aligned = ['  '.join([line[0].ljust(widths[0])] + [
      cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]) for line in lines]
  return '\n'.join([aligned[0], '-' * len(aligned[0])] + aligned[1:])


def format_markdown(rows):
  """The table for a README; argument as for `table_cells`."""
  columns, cells = table_cells(rows)
  lines = ([[column.title for column in columns], ['---'] + ['---:'] * (len(columns) - 1)]
           + [[cell.replace('|', '\\|') for cell in line] for line in cells])
  return '\n'.join('| %s |' % ' | '.join(line) for line in lines)
