"""Results of the demo: the table, results.json, the report."""

import json
import os

from scripts import cost, paths
from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.effnetb0.nodes import FLOAT
from scripts.errors import UserError
from scripts.files import read_json, write_file
from scripts.pipeline import processes, runner
from scripts.quant_info import LayerBits, read_quant_info
from scripts.reporting.results import RESULTS, accuracy_part
from scripts.reporting.table import model_bytes

REPORT = 'report.html'


def finish(work, out, images_dir, seconds):
  """Writes results.json, the report and the pictures; prints the table.

  Args:
    work: folder of the finished stages.
    out: folder for results.json and report.html.
    images_dir: folder for the pictures of the bits.
    seconds: dict stage -> how long it took.
  """
  rows = rows_of(work)
  path = os.path.join(out, RESULTS)
  write_file(path, json.dumps(rows, indent=1) + '\n')
  print(flush=True)
  _write_report(work, path, os.path.join(out, REPORT), images_dir)
  print(describe_slim(work))
  print('%d s in all: %s' % (sum(seconds.values()), ', '.join(
      '%s %d' % (name, round(spent)) for name, spent in seconds.items())))
  print('results: %s' % path)


def rows_of(work):
  """Rows of the table: float, 8/8 and adjustable network, all on the same images."""
  uniform = read_json(os.path.join(work, 'uniform', 'eval.json'), 'evaluation')
  adjustable = read_json(os.path.join(work, 'evaluation', 'eval.json'), 'evaluation')
  bits, adjustable_bits = (read_quant_info(os.path.join(work, stage, 'quant_info.json'))
                           for stage in ('uniform', 'evaluation'))
  return [_row('float', accuracy_part(uniform, 'float_'), _as_float(bits)),
          _row('QAT 8/8', accuracy_part(uniform), bits),
          _row('adjustable', accuracy_part(adjustable), adjustable_bits)]


def _as_float(info):
  """The `QuantInfo` of the same network without any quantiser."""
  bits = {name: LayerBits(*[values if values is None else values * 0 + FLOAT for values in layer])
          for name, layer in info.bits.items()}
  return info._replace(bits=bits, settings=info.settings._replace(swish_bits=FLOAT,
                                                                  bias_bits=FLOAT))


def _row(model, accuracy, info):
  architecture = ARCHITECTURES[info.settings.architecture]
  counts = cost.count(info.bits, info.settings, architecture)
  mean = cost.mean_bits(info.bits, info.settings, architecture)
  return dict(accuracy, model=model, mean_weight_bits=mean.mean_weight_bits,
              mean_act_bits=mean.mean_act_bits, published_metric=counts.published.metric,
              official_metric=counts.official.metric,
              size_bytes=model_bytes(info.bits, info.settings, architecture))


def describe_slim(work):
  """What slim's own graphs gave on the same images, before the chain to adj_quant."""
  evaluations = [read_json(os.path.join(work, stage, 'eval.json'), 'evaluation')
                 for stage in ('float', 'qat')]
  return 'slim\'s own graphs on these images: float %d of %d, quantised %d of %d' % tuple(
      number for each in evaluations for number in (each['correct'], each['images']))


def _write_report(work, table, page, images_dir):
  """Calls report.py as a user would."""
  folders = {name: os.path.join(work, name) for name in (
      'float', 'qat', 'training', 'finetuning', 'evaluation')}
  logs = [os.path.join(folders[name], *below) for name, *below in (
      ('float',), ('qat',), ('training', 'logs'), ('finetuning', 'logs'))]
  configs = [os.path.join(folders[name], 'model.json') for name in ('float', 'qat')] + [
      runner.newest_checkpoint(os.path.join(folders[name], 'weights')) + '.json'
      for name in ('training', 'finetuning')]
  command = [os.path.join(paths.ADJ_QUANT, 'report.py'),
             '--quant_info', os.path.join(folders['evaluation'], 'quant_info.json'),
             '--results', table, '--title', 'Adjustable Quantization',
             '--images_dir', images_dir, '--out', page, '--overwrite']
  for folder in logs:
    command += ['--logs', folder]
  for path in configs:
    command += ['--config', path]
  if processes.join(processes.start(command)):
    raise UserError('report.py failed, see above')
