"""Trains an image classifier: float or quantisation-aware, alone or in a cluster.

    python train_image_classifier.py --dataset_dir=DIR --train_dir=RUN --checkpoint_path=CKPT
"""

import os
import signal
import sys

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  HERE = os.path.dirname(os.path.abspath(__file__))
  sys.path[0:1] = [HERE, os.path.join(os.path.dirname(HERE), 'adj_quant')]

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

import tensorflow.compat.v1 as tf

import data
from scripts.cluster.plan import plan_cluster, with_environment
from scripts.cluster.servers import serve, start_server
from scripts.errors import exits_with_status
from training import flags, setup
from training.cluster import announce_chief, leave
from training.graph import build_train_graph
from training.loop import train


@exits_with_status
def main(argv=None):
  """Trains, or serves the variables of a cluster."""
  prepare_tensorflow()
  config, values = flags.parse(sys.argv[1:] if argv is None else argv)
  cluster = plan_cluster(with_environment(config.deploy))
  if cluster.job == 'ps':
    return _serve(cluster)
  _server, target = start_server(cluster)
  try:  # From here on, others wait for this process.
    outcome = _train(config, values, cluster, target)
  finally:
    if cluster.servers:
      leave(cluster, target)
  return _report(outcome, config.loop.max_number_of_steps)


def _train(config, values, cluster, target):
  """`loop.Outcome` of a training, as this process sees it."""
  problem = setup.find_problem(config, cluster)
  if cluster.is_chief:
    setup.prepare_folder(config, problem, values)
    if cluster.servers:
      announce_chief(cluster, target)
  with data.explained_errors('train_image_size', problem.split), tf.Graph().as_default():
    return train(config, build_train_graph(config, problem, cluster), cluster, target)


def _serve(cluster):
  _server, target = start_server(cluster)
  print('parameter server %d of %d' % (cluster.task + 1, cluster.servers), flush=True)
  serve(cluster, target)
  print('all %d workers are done' % cluster.workers)


def _report(outcome, last_step):
  """Prints how a run ended; returns the status of the process."""
  if last_step is not None and outcome.step >= last_step:
    print('done at step %d%s' % (outcome.step, outcome.path and ' -> ' + outcome.path or ''))
    return 0
  cause = 'the end of the chief' if outcome.chief_left else 'another worker'
  if outcome.signal:
    cause = signal.Signals(outcome.signal).name
  print('stopped by %s at step %d; the same command resumes there' % (cause, outcome.step))
  return 128 + outcome.signal if outcome.signal else 1


if __name__ == '__main__':
  sys.exit(main())
