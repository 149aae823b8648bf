"""The table of results: its cells, as text and as Markdown; the size of a stored network."""

from scripts.quant_info import Settings
from scripts.reporting.table import format_markdown, format_table, model_bytes, table_cells
from scripts.testing.network import TINY
from scripts.testing.reports import row, tiny_info

ROWS = [row('float', 914, None, size_bytes=20000000),
        row('small | one', 909, size_bytes=2500000)]


def test_cells():
  columns, cells = table_cells(ROWS)
  assert [column.title for column in columns] == [
      'model', 'top-1', 'to float (95 %)', 'bits w / a', 'published', 'official', 'size in MB']
  assert cells == [
      ['float', '91.40 % (914 of 1000)', '-', '- / -', '-', '-', '20.00 (100.0 %)'],
      ['small | one', '90.90 % (909 of 1000)', '-0.50 (-3.01 to +2.00)', '3.00 / 5.00',
       '0.181013', '0.496866', '2.50 (12.5 %)']]


def test_columns_without_values_are_left_out():
  columns, cells = table_cells([row('alone', 500)])
  assert [column.title for column in columns] == [
      'model', 'top-1', 'bits w / a', 'published', 'official']
  assert cells[0][-1] == '0.496866'


def test_text_is_aligned():
  lines = format_table(ROWS).split('\n')
  assert len(lines) == 4 and len({len(line) for line in lines}) == 1
  assert lines[1] == '-' * len(lines[0])
  assert lines[3].startswith('small | one  90.90 % (909 of 1000)  -0.50 (-3.01 to +2.00)')


def test_markdown():
  lines = format_markdown(ROWS).split('\n')
  assert lines[0].startswith('| model | top-1 | to float (95 %) |')
  assert lines[1] == '| --- | ---: | ---: | ---: | ---: | ---: | ---: |'
  assert lines[3].startswith('| small \\| one | 90.90 % (909 of 1000) |')


def test_model_bytes_of_float_are_four_a_value():
  bits, settings = tiny_info(32, 32)
  values = sum(each.weight.size for each in bits.values())  # Biases.
  # Weights: stem 216; blocks 72 + 2*16 + 32, 32 + 72 + 2*8 + 48, 72 + 108 + 2*12 + 72 (expand,
  # depthwise, squeeze-excite, project; the first without expand); head 96; classifier 64.
  weights = 216 + 136 + 168 + 276 + 96 + 64
  as_float = settings._replace(swish_bits=32, bias_bits=32)
  assert model_bytes(bits, as_float, TINY) == 4 * (weights + values)


def test_model_bytes_with_quantisers():
  bits, _ = tiny_info(4, 6)
  settings = Settings(TINY.name, TINY.image_size)
  channels = sum(len(each.weight) for each in bits.values())
  acts = channels - len(bits['output'].weight)
  fixed = sum(len(each.weight) for name, each in bits.items()
              if not name.endswith('/project') and name != 'output')
  expected = 4 * 956 + 8 * channels + 43 * (channels + acts) + 40 * fixed
  assert model_bytes(bits, settings, TINY) == round(expected / 8)
