"""Every reader of files gets mutated real ones: each is read or refused with one line.

ADJ_QUANT_MUTATIONS=1000 tries as many of each kind.
"""

import gzip
import json
import os
import time

import pytest
import tensorflow.compat.v1 as tf

import imagenet
import import_tfjs
import report
from scripts import checkpoint_files, cost, quant_info, thresholds
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import EFFICIENTNET_B0
from scripts.effnetb0.frozen_graph import extract_weights, read_constants
from scripts.effnetb0.nodes import Precision, nodes
from scripts.effnetb0.weights import load_weights, save_weights
from scripts.errors import UserError
from scripts.model_info import model_info, read_model_info
from scripts.reporting.history import read_logs
from scripts.reporting.network import network_report
from scripts.reporting.results import read_results
from scripts.reporting.table import format_table
from scripts.testing import reports
from scripts.testing.mutations import mutations
from scripts.testing.network import (
    CLASSES, INFO, TINY, known, random_weights, run_script, slim_variables)
from scripts.testing.states import Model, VALUES
from scripts.trainer import loading
from scripts.trainer.run import best, resume
from scripts.trainer.run import state as states
from scripts.trainer.run.averaging import WeightAverage

COUNT = int(os.environ.get('ADJ_QUANT_MUTATIONS', 40))
SECONDS = 20  # For one file, on any machine.
CONFIG = {'flags': {'lr': 1e-3}, 'inputs': {'dataset': {'path': '/x', 'content': 'y'}}}


def quant_info_file(folder):
  path = str(folder / 'quant_info.json')
  bits, settings = reports.tiny_info()
  quant_info.write_quant_info(path, bits, settings)

  def read():
    info = quant_info.read_quant_info(path)
    network_report(info)
    cost.as_text(*info, architecture=TINY)

  return path, read


def model_info_file(folder):
  path = folder / 'model_info.json'
  path.write_text(json.dumps(model_info(TINY, 32, CLASSES)))
  return str(path), lambda: read_model_info(str(path), TINY)


def model_info_file_of_2019(folder):
  path, content = folder / 'model_info.json', {}
  for name, parts in model_info(EFFICIENTNET_B0, 224, 1000).items():
    name = {'expanded_conv_0': 'expanded_conv', 'output': 'Logits'}.get(name, name)
    content[name] = parts if name == 'total_bias' else [
        {part: counts[column] for part, counts in parts.items()} for column in (0, 1)]
  path.write_text(json.dumps(content))
  return str(path), lambda: read_model_info(str(path), EFFICIENTNET_B0)


def thresholds_file(folder):
  path, weights = str(folder / 'thresholds.json'), random_weights()
  measured = {node.name: ([-1.0] * node.channels, [1.5] * node.channels)
              for node in nodes(TINY, CLASSES, Precision())}
  thresholds.write_thresholds(path, measured)

  def read():
    ranges = thresholds.read_thresholds(path)
    thresholds.made_for(ranges, weights, TINY, CLASSES)
    complete, _ = thresholds.complete_thresholds(ranges, path, weights, TINY, CLASSES)
    students.first_values(students.ModelSpec(TINY, CLASSES, Precision(), 5), weights, complete)

  return path, read


def weights_file(folder):
  path = str(folder / 'weights.pickle')
  save_weights(path, random_weights())
  return path, lambda: load_weights(path, TINY)


def dataset_file(folder):
  imagenet.write_info(str(folder), INFO, {'train': 32, 'validation': 16})

  def read():
    info = imagenet.dataset_info(str(folder))
    imagenet.record_counts(str(folder))
    imagenet.describe_labels(CLASSES, info)
    info.central_share(224)

  return str(folder / imagenet.INFO_FILE), read


def checkpoint_file(folder):
  with tf.Graph().as_default(), tf.Session() as session:
    tf.get_variable('x', [])
    session.run(tf.global_variables_initializer())
    path = tf.train.Saver().save(session, str(folder / 'c-3'), write_meta_graph=False)
  spec = students.ModelSpec(TINY, CLASSES, Precision(learnt_acts=True), 5)
  description = {'model': loading.describe_network(loading.Network(spec, 32, None)), 'run': 'this',
                 'train': {'lr': 1e-3}}
  (folder / 'c-3.json').write_text(json.dumps(description))

  def read():
    checkpoint_files.described_checkpoints(str(folder))
    network = loading.described_network(checkpoint_files.read_description(path).get('model'))
    nodes(network.spec.architecture, network.spec.classes, network.spec.precision)

  return path + '.json', read


def run_folders(folder):
  folders = {name: str(folder / name) for name in ('weights', 'best_ckpt')}
  for path in folders.values():
    os.makedirs(path)
  return folders


def state_file(folder):
  folders = run_folders(folder)
  store = Model(folders).store
  point = store.write(4, VALUES, WeightAverage(), {'total': 0.5})
  store.commit(states.State('this', CONFIG, {'model': 'tiny'}, point, point, kept=['c-3'],
                            last='c-3', best={'checkpoint': 'c-3'}, obsolete=['weights/c-1']))
  return (os.path.join(folders['weights'], states.NAME),
          lambda: resume.find_state(folders, CONFIG))


def best_file(folder):
  score = best.Score(0.18, 0.18, 900, 1000, '/data')
  for ending in ('.index', '.data-00000-of-00001', '.json'):
    (folder / ('c-3' + ending)).write_text(json.dumps({'run': 'this'}))
  best.keep_if_best(str(folder / 'c-3'), score, str(folder / 'best'), 'this')

  def read():
    best.record(str(folder / 'best'))
    # A worse one, so that the file stays; one of other images would replace it.
    if best.record(str(folder / 'best')):
      best.keep_if_best(str(folder / 'c-3'), score._replace(correct=0, metric=1e9),
                        str(folder / 'best'), 'this')

  return str(folder / 'best' / best.RECORD), read


def frozen_graph_file(folder):
  path = str(folder / 'frozen.pb')
  with tf.Graph().as_default() as graph:
    for name, value in slim_variables().items():
      tf.constant(value, name=name)
    tf.constant(0.5, shape=[7], name='one_value_for_all')
  with open(path, 'wb') as stream:
    stream.write(graph.as_graph_def().SerializeToString())
  return path, lambda: extract_weights(read_constants(path), TINY, path)


def tfjs_archive(folder):
  path = folder / 'x.tgz'
  path.write_bytes(gzip.compress(b'package/lib/tfjs/web_model/model.json'))
  return str(path), lambda: import_tfjs.read_archive(str(path), import_tfjs.ARCHIVE_SHA256)


def results_file(folder):
  path = folder / 'results.json'
  rows = [reports.row('float', 914, None, hits=reports.hits(914)),
          reports.row('8 bits', 900, (8.0, 8.0), hits=reports.hits(900), size_bytes=10**6)]
  path.write_text(json.dumps(rows))

  return str(path), lambda: format_table(read_results(str(path)))


def event_file(folder):
  reports.write_events(folder, {'loss': {1: 0.5, 2: 0.25}, 'metric': {1: 0.2, 2: 0.18}})
  name, = os.listdir(str(folder))
  return str(folder / name), lambda: read_logs([str(folder)])


FILES = (quant_info_file, model_info_file, model_info_file_of_2019, thresholds_file, weights_file,
         dataset_file, checkpoint_file, state_file, best_file, frozen_graph_file, tfjs_archive,
         results_file, event_file)


@pytest.mark.parametrize('make', FILES, ids=lambda make: make.__name__)
def test_a_mutated_file_is_read_or_refused_with_one_line(tmp_path, make):
  with known():
    path, read = make(tmp_path)
    if make is not tfjs_archive:  # No other archive than one of 20 MB is read.
      read()
    before = {name: file_content(name) for name in all_files(tmp_path)}
    for number, content in enumerate(mutations(before[path], COUNT)):
      for name, whole in before.items():  # Readers of states delete files.
        write(name, whole)
      write(path, content)
      began = time.time()
      try:
        read()
      except UserError as error:
        assert len(str(error)) < 3000, (number, str(error)[:200])
      assert time.time() - began < SECONDS, number


def all_files(folder):
  return [os.path.join(root, name) for root, _, names in os.walk(str(folder)) for name in names]


def file_content(name):
  with open(name, 'rb') as stream:
    return stream.read()


def write(path, content):
  with open(path, 'wb') as stream:
    stream.write(content)


@pytest.mark.parametrize('content', [
    b'\xff', b'{"a": NaN}', b'[' * 10**5, b'{"train": {"a": 1e999}}'])
def test_a_report_says_of_which_input_it_cannot_be_made(tmp_path, content):
  with known():
    path, _ = quant_info_file(tmp_path)
    (tmp_path / 'config.json').write_bytes(content)
    outcome = run_script(report.main, ['--quant_info', path, '--out', tmp_path / 'report.html',
                                       '--config', tmp_path / 'config.json'])
  assert outcome.status == 2 and outcome.error.startswith(
      'error: configuration %s is ' % (tmp_path / 'config.json'))
