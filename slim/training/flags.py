"""The command line of training, turned into one checked record.

Names and meanings are TF-Slim's where it has them.
"""

from command_line import CommandLine
from data import FILES_AT_ONCE
from nets.mobilenet.efficientnet_b0 import ARCHITECTURES
from preprocessing.preprocessing_factory import NAMES
from training import config as configs

_DESCRIPTION = """\
Trains a float network, or with --quantize_delay a quantisation-aware one, on TFRecords.

EfficientNet was trained with --optimizer=rmsprop --rmsprop_decay=0.9 --rmsprop_momentum=0.9 \
--opt_epsilon=0.001 --learning_rate=0.016 for every 256 images of a batch, \
--learning_rate_decay_factor=0.97 --num_epochs_per_decay=2.4 --warmup_epochs=5 \
--weight_decay=0.00001 --label_smoothing=0.1 --moving_average_decay=0.9999 --dropout=0.2 \
--drop_connect=0.2 --preprocessing_name=efficientnet_autoaugment.

A stopped run resumes with the same command: from its last checkpoint, at the image where it was. \
SIGTERM and Ctrl-C end a run after the step it is in, with a checkpoint.

A cluster is started with one command a process, all with the same flags but --job_name and --task:
  train_image_classifier.py --ps_hosts=localhost:2222 \
--worker_hosts=localhost:2223,localhost:2224 --job_name=ps --task=0 ...
  ... --job_name=worker --task=0, and the same with --task=1.
Worker 0 is the chief: it alone writes to --train_dir. Parameter servers end with the last worker, \
and all workers when the chief ends. A process that was killed (kill -9) leaves the others \
waiting: stop them and start all again."""


def command_line():
  """`CommandLine` of train_image_classifier.py."""
  line = CommandLine('train_image_classifier.py', _DESCRIPTION)
  for add in (_add_data, _add_network, _add_start, _add_loss, _add_schedule, _add_optimizer,
              _add_loop, _add_deploy):
    add(line)
  return line


def parse(argv):
  """Reads a command line.

  Returns:
    (`config.TrainConfig`, dict of all flags to save beside checkpoints).

  Raises:
    UserError: a flag is unknown, of the wrong kind or out of its range.
  """
  line = command_line()
  values, _ = line.parse(argv)
  return configs.from_flags(values), line.as_dict()


def _adder(line, record):
  """Function (kind of flag, name, text) that takes the default from the record."""
  defaults = record()

  def add(kind, name, *text):
    getattr(line, kind)(name, getattr(defaults, name), *text)
  return add


def _add_data(line):
  line.section('data')
  add = _adder(line, configs.DataConfig)
  add('string', 'dataset_dir', 'folder with TFRecords <split>-*, and for other sets than '
      'ImageNet a dataset.json')
  add('string', 'dataset_name', 'imagenet, fashion_mnist or image_folder; checked against the '
      'folder (not given: what the folder says)')
  add('string', 'dataset_split_name', 'which files')
  add('choice', 'preprocessing_name', NAMES, 'efficientnet, or the name of a network: random crop '
      'and flip; efficientnet_autoaugment: with AutoAugment\'s ImageNet policy; '
      'efficientnet_central: the crop of the evaluation and a flip, for small or centred images')
  add('integer', 'train_image_size', 'pixels a side (not given: the network\'s, 224 for B0)')
  add('integer', 'batch_size', 'images a step, of each clone of each worker')
  add('integer', 'num_readers', 'files of a large set that are read in parallel, at most %d and '
      'no more than it has' % FILES_AT_ONCE)
  add('integer', 'num_preprocessing_threads', 'images decoded in parallel')
  add('integer', 'seed', 'order, crops, dropout and first values follow from it')


def _add_network(line):
  line.section('network')
  add = _adder(line, configs.NetworkConfig)
  add('choice', 'model_name', sorted(ARCHITECTURES), 'network')
  add('integer', 'num_classes', 'outputs of the head (not given: one for each class of the data '
      'set; one more is a background class at 0)')
  add('integer', 'labels_offset', 'what is subtracted from a record\'s label; it follows from '
      'head and records, a wrong one is refused')
  add('number', 'dropout', 'share of features dropped before the classifier')
  add('number', 'drop_connect', 'share of images for which the last block with a skip is left '
      'out; less for the blocks before it')
  add('number', 'batch_norm_decay', 'decay of batch norm\'s moving statistics, a step')
  add('string', 'trainable_scopes', 'train only the variables of these scopes, separated by '
      'commas: efficientnet_b0/Logits (not given: all). Batch norm of the other layers still '
      'normalises by the batch and moves its statistics')
  add('integer', 'quantize_delay', 'quantisation-aware training at 8 bits from this step on; '
      '-1: float')
  add('integer', 'freeze_batch_norm_delay', 'with --quantize_delay: batch norm uses its moving '
      'statistics from this step on (not given: never)')


def _add_start(line):
  line.section('checkpoints')
  add = _adder(line, configs.StartConfig)
  add('string', 'train_dir', 'folder for checkpoints, model.json and TensorBoard logs; a run '
      'found there resumes')
  add('string', 'checkpoint_path', 'checkpoint or folder (its latest) whose weights a new run '
      'starts from; moving averages are preferred')
  add('string', 'checkpoint_exclude_scopes', 'scopes to start afresh, separated by commas: '
      'efficientnet_b0/Logits for another number of classes')
  add('boolean', 'ignore_missing_vars', 'start afresh what the checkpoint lacks or has in another '
      'shape, instead of an error')
  add('number', 'moving_average_decay', 'decay a step of the average of all weights, which '
      'evaluation then uses; less in the first steps (not given: no average)')


def _add_loss(line):
  line.section('loss')
  add = _adder(line, configs.LossConfig)
  add('number', 'label_smoothing', 'share of the label given to all classes alike')
  add('number', 'weight_decay', 'factor of the squared kernels / 2 in the loss')


def _add_schedule(line):
  line.section('learning rate')
  add = _adder(line, configs.ScheduleConfig)
  add('number', 'learning_rate', 'learning rate at the start')
  add('choice', 'learning_rate_decay_type', configs.DECAY_TYPES, 'exponential: times the factor '
      'every num_epochs_per_decay, in steps; polynomial (a line) and cosine: to '
      'end_learning_rate within num_epochs_per_decay, then constant')
  add('number', 'learning_rate_decay_factor', 'of the exponential decay')
  add('number', 'end_learning_rate', 'where polynomial and cosine end; exponential falls no lower')
  add('number', 'num_epochs_per_decay', 'epochs; all clones and, with --sync_replicas, all '
      'replicas count')
  add('number', 'warmup_epochs', 'epochs over which the rate first rises to what it would be')


def _add_optimizer(line):
  line.section('optimizer')
  add = _adder(line, configs.OptimizerConfig)
  add('choice', 'optimizer', configs.OPTIMIZERS, 'update rule')
  add('number', 'opt_epsilon', 'in the denominator of adadelta, adam and rmsprop (TF-Slim: 1.0)')
  add('number', 'momentum', 'of momentum')
  add('number', 'rmsprop_decay', 'decay of the mean square')
  add('number', 'rmsprop_momentum', 'momentum of rmsprop')
  add('number', 'adam_beta1', 'decay of the first moment')
  add('number', 'adam_beta2', 'decay of the second moment')
  add('number', 'adadelta_rho', 'decay of both means')
  add('number', 'adagrad_initial_accumulator_value', 'first value of the sum of squares, more '
      'than 0')
  add('number', 'ftrl_learning_rate_power', 'exponent of the step size, at most 0')
  add('number', 'ftrl_initial_accumulator_value', 'first value of the sum of squares')
  add('number', 'ftrl_l1', 'strength of the L1 penalty')
  add('number', 'ftrl_l2', 'strength of the L2 penalty')


def _add_loop(line):
  line.section('run')
  add = _adder(line, configs.LoopConfig)
  add('integer', 'max_number_of_steps', 'updates in all, those of earlier commands included (not '
      'given: until stopped)')
  add('integer', 'log_every_n_steps', 'steps between lines')
  add('number', 'save_summaries_secs', 'seconds between points in TensorBoard')
  add('number', 'save_interval_secs', 'seconds between checkpoints')
  add('integer', 'save_interval_steps', 'steps between checkpoints, instead of seconds')
  add('integer', 'keep', 'checkpoints kept')
  add('boolean', 'allow_growth', 'take the memory of a GPU as it is needed')


def _add_deploy(line):
  line.section('towers and clusters')
  add = _adder(line, configs.DeployConfig)
  add('integer', 'num_clones', 'towers, one a GPU; their gradients are averaged')
  add('boolean', 'clone_on_cpu', 'put the towers on the CPU')
  add('string', 'ps_hosts', 'host:port of each parameter server, separated by commas')
  add('string', 'worker_hosts', 'host:port of each worker')
  add('choice', 'job_name', ('ps', 'worker'), 'what this process is')
  add('integer', 'task', 'number of this process among those of its job')
  add('string', 'master', 'grpc://host:port of a server of this task that runs already, in place '
      'of the hosts')
  add('integer', 'worker_replicas', 'workers; with hosts it follows from them')
  add('integer', 'num_ps_tasks', 'parameter servers; with hosts it follows from them')
  add('boolean', 'sync_replicas', 'one update from the gradients of all workers, instead of one '
      'from each as it comes')
  add('integer', 'replicas_to_aggregate', 'gradients averaged into an update of --sync_replicas '
      '(not given: one of each worker)')
