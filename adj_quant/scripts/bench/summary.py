"""Results of a benchmark as JSON and as a table."""

from typing import Any, NamedTuple

import numpy as np

from scripts.bench import timing
from scripts.bench import workloads

# A step of the student includes a forward pass of the teacher.
FLOAT_UNITS = (workloads.FLOAT_STEP, workloads.FLOAT_FORWARD)
# Key of a ratio -> (task, what it is compared with).
RATIOS = {'step_ratio': (workloads.STEP, FLOAT_UNITS),
          'step_ratio_fixed_bits': (workloads.STEP_FIXED_BITS, FLOAT_UNITS),
          'forward_ratio': (workloads.FORWARD, (workloads.FLOAT_FORWARD,))}
NOT_BUILT = ('the fused ops are not compiled: the keys without a suffix and those '
             'of fused are null')
_QUIET = 1.0  # Load average of a machine that does nothing else, a moment after `make setup`.
_ROWS = (  # Of the table: title, task or None for the unit of steps, key of its ratio.
    ('float forward', workloads.FLOAT_FORWARD, None),
    ('float training step', workloads.FLOAT_STEP, None),
    ('quantised forward', workloads.FORWARD, 'forward_ratio'),
    ('adjustable step, bit-widths trained', workloads.STEP, 'step_ratio'),
    ('adjustable step, bit-widths fixed', workloads.STEP_FIXED_BITS, 'step_ratio_fixed_bits'))
_TITLES = {'fused': 'fused ops', 'ops': 'TensorFlow ops'}


class Measurements(NamedTuple):
  """All measurements of a benchmark."""
  times: dict  # workloads.Shape -> dict task -> list of seconds.
  growth: dict  # The same for the picture.
  starts: dict  # 'first_step', 'first_eval_batch' -> list of seconds; {}: not measured.
  memory: dict  # 'float' or implementation -> dict graph_nodes, peak_bytes; {}: not measured.
  implementations: tuple  # Those of the quantisers that were measured.
  machine: Any  # See `machine.describe`.


def suffix(impl):
  """Of the keys of an implementation: those of the fused one have none."""
  return '' if impl == 'fused' else '_' + impl


def as_json(measured):
  """The content of bench.json as a dict; what was not measured is None.

  Args:
    measured: `Measurements`.
  """
  result = headline(measured)
  result['shapes'] = {shape.key: _of_shape(times) for shape, times in measured.times.items()}
  result['growth'] = {shape.key: _summaries(times) for shape, times in measured.growth.items()}
  result['training_processes'] = dict(measured.memory)
  result['starts_s'] = dict(measured.starts)
  result['implementations'] = list(measured.implementations)
  result['machine'] = measured.machine
  result['notes'] = notes(measured)
  return result


def notes(measured):
  """List of what a reader of the numbers has to know."""
  said = [] if 'fused' in measured.implementations else [NOT_BUILT]
  if workloads.HEADLINE not in measured.times:
    said.append('the ratios without a shape in their place are those of %s, which was not measured'
                % (workloads.HEADLINE,))
  load = measured.machine['load_average']
  if load is not None and load > _QUIET:
    said.append('the load average was %.1f before: other programs were running, the times are not '
                'to be trusted' % load)
  return said


def headline(measured):
  """The ratios and figures that stand for the benchmark, all at `workloads.HEADLINE`."""
  times = measured.times.get(workloads.HEADLINE, {})
  result = {}
  for impl in workloads.IMPLEMENTATIONS:
    result.update({key + suffix(impl): each and each.value
                   for key, each in ratios(times, impl).items()})
    result['graph_nodes' + suffix(impl)] = measured.memory.get(impl, {}).get('graph_nodes')
    result['memory_ratio' + suffix(impl)] = memory_ratio(measured.memory, impl)
  for name in ('first_step', 'first_eval_batch'):
    seconds = measured.starts.get(name)
    result[name + '_s'] = float(np.median(seconds)) if seconds else None
  # Of the scripts, whose quantisers are the fused ones where these are built.
  result['scripts_implementation'] = measured.implementations[0]
  return result


def ratios(times, impl):
  """Dict key of `RATIOS` -> `timing.Ratio`, None where it was not measured."""
  return {key: timing.ratio(times, workloads.task_name(role, impl), units)
          for key, (role, units) in RATIOS.items()}


def memory_ratio(memory, impl):
  """Peak memory of training with an implementation in units of that of float training, or None."""
  if impl not in memory or 'float' not in memory:
    return None
  return memory[impl]['peak_bytes'] / memory['float']['peak_bytes']


def _of_shape(times):
  entry = _summaries(times)
  for impl in workloads.IMPLEMENTATIONS:
    for key, each in ratios(times, impl).items():
      entry[key + suffix(impl)] = each and dict(each._asdict())
  return entry


def _summaries(times):
  entries = {}
  for name, seconds in times.items():
    each = timing.summarize(seconds)
    entries[name] = {'median_s': each.median, 'iqr_s': each.spread, 'rounds': each.rounds}
  return entries


def as_markdown(measured):
  """The times and ratios of all shapes as a Markdown table, and the other figures below it."""
  head, rule = ['what'], ['---']
  for shape in measured.times:
    head += ['%s: median (quartiles) in ms' % str(shape), 'ratio']
    rule += ['---:', '---:']
  lines = [head, rule]
  for title, role, key in _ROWS:
    if key is None:
      lines.append(_row(title, role, lambda times: None, measured))
      continue
    for impl in measured.implementations:
      lines.append(_row('%s, %s' % (title, _TITLES[impl]), workloads.task_name(role, impl),
                        lambda times, impl=impl, key=key: ratios(times, impl)[key], measured))
  table = '\n'.join('| %s |' % ' | '.join(line) for line in lines)
  return '\n'.join([table, ''] + _sentences(measured))


def _row(title, task, ratio_of, measured):
  cells = [title]
  for times in measured.times.values():
    each, ratio = timing.summarize(times[task]), ratio_of(times)
    cells.append('%.0f (%.0f to %.0f)' % tuple(1e3 * s for s in (each.median, each.low, each.high)))
    cells.append('%.2f (%.2f to %.2f)' % ratio if ratio else '')
  return cells


def _sentences(measured):
  """The figures that are not in the table, a line each."""
  said = ['Ratios of steps are to float training step + float forward, those of the quantised '
          'forward to float forward.']
  for network, each in measured.memory.items():
    said.append('training, %s: %d graph nodes, %.2f GB at most%s' % (
        _TITLES.get(network, network), each['graph_nodes'], each['peak_bytes'] / 1e9,
        '' if network == 'float' else ', %.2f of float' % memory_ratio(measured.memory, network)))
  for name, title in (('first_step', 'train.py: first step'),
                      ('first_eval_batch', 'eval.py: first batch')):
    if measured.starts.get(name):
      said.append('%s after %s' % (title, ', '.join('%.1f s' % s for s in measured.starts[name])))
  machine = measured.machine
  said.append('%s, %d cores, Python %s, TensorFlow %s' % (
      machine['cpu'], machine['cores'], machine['python'], machine['tensorflow']))
  return said + ['note: ' + note for note in notes(measured)]
