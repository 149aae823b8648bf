"""The command line of training, turned into one checked record.

Names and meanings are TF-Slim's where it has them.
"""

from command_line import CommandLine
from data import FILES_AT_ONCE
from nets.mobilenet.efficientnet_b0 import ARCHITECTURES
from preprocessing.preprocessing_factory import NAMES
from scripts.cluster.plan import Deployment
from training import config as configs

_DESCRIPTION = """\
Trains a network on TFRecords: in float, or quantisation-aware with --quantize_delay.

EfficientNet was trained with --optimizer=rmsprop --rmsprop_decay=0.9 --rmsprop_momentum=0.9 \
--opt_epsilon=0.001 --learning_rate=0.016 for every 256 images of a batch, \
--learning_rate_decay_factor=0.97 --num_epochs_per_decay=2.4 --warmup_epochs=5 \
--weight_decay=0.00001 --label_smoothing=0.1 --moving_average_decay=0.9999 --dropout=0.2 \
--drop_connect=0.2 --preprocessing_name=efficientnet_autoaugment.

A stopped run resumes with the same command, from its last checkpoint and at the next image. \
SIGTERM and Ctrl-C end a run with a checkpoint after the current step.

To start a cluster, run one command per process, with the same flags except --job_name and --task:
  train_image_classifier.py --ps_hosts=localhost:2222 \
--worker_hosts=localhost:2223,localhost:2224 --job_name=ps --task=0 ...
  ... --job_name=worker --task=0, and the same with --task=1.
Instead of the flags, TF_CONFIG, as managed platforms set it, may name the processes.
Worker 0 is the chief: only it writes to --train_dir. Parameter servers end with the last worker, \
and all workers end with the chief. If a process was killed (kill -9), the others wait: stop them \
and start all processes again."""


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
  add('string', 'dataset_dir', 'folder with TFRecords <split>-* and, for sets other than '
      'ImageNet, a dataset.json')
  add('string', 'dataset_name', 'imagenet, fashion_mnist or image_folder; checked against the '
      'folder (default: that of the folder)')
  add('string', 'dataset_split_name', 'split to train on')
  add('choice', 'preprocessing_name', NAMES, 'efficientnet, or the name of a network: random crop '
      'and flip; efficientnet_autoaugment: with AutoAugment\'s ImageNet policy; '
      'efficientnet_central: the crop of the evaluation and a flip, for small or centred images')
  add('integer', 'train_image_size', 'side of the images in pixels (default: that of the network, '
      '224 for B0)')
  add('integer', 'batch_size', 'images per step, clone and worker')
  add('integer', 'num_readers', 'files of a large set that are read in parallel; %d or the '
      'number of files at most' % FILES_AT_ONCE)
  add('integer', 'num_preprocessing_threads', 'images decoded in parallel')
  add('integer', 'seed', 'seed of order, crops, dropout and initial values')


def _add_network(line):
  line.section('network')
  add = _adder(line, configs.NetworkConfig)
  add('choice', 'model_name', sorted(ARCHITECTURES), 'network')
  add('integer', 'num_classes', 'outputs of the head (default: one per class of the data set; '
      'one more is a background class at 0)')
  add('integer', 'labels_offset', 'subtracted from a record\'s label (default: follows from head '
      'and records); a wrong one is refused')
  add('number', 'dropout', 'share of features dropped before the classifier')
  add('number', 'drop_connect', 'share of images for which the last block with a skip is '
      'dropped; less for the blocks before it')
  add('number', 'batch_norm_decay', 'decay per step of batch norm\'s moving statistics')
  add('string', 'trainable_scopes', 'train only the variables of these scopes, separated by '
      'commas, such as efficientnet_b0/Logits (default: all). Batch norm of the other layers still '
      'normalises by the batch and updates its statistics')
  add('integer', 'quantize_delay', 'quantisation-aware training at 8 bits from this step on; '
      '-1: float')
  add('integer', 'freeze_batch_norm_delay', 'with --quantize_delay, batch norm uses its moving '
      'statistics from this step on (default: never)')


def _add_start(line):
  line.section('checkpoints')
  add = _adder(line, configs.StartConfig)
  add('string', 'train_dir', 'folder for checkpoints, model.json and TensorBoard logs; a run '
      'in it is resumed')
  add('string', 'checkpoint_path', 'checkpoint, or folder (its latest), whose weights a new run '
      'starts from; moving averages are preferred')
  add('string', 'checkpoint_exclude_scopes', 'scopes to initialise instead of restoring, separated '
      'by commas: efficientnet_b0/Logits for another number of classes')
  add('boolean', 'ignore_missing_vars', 'initialise variables that the checkpoint lacks or has in '
      'another shape, instead of refusing it')
  add('number', 'moving_average_decay', 'decay per step of the average of all weights, which '
      'evaluation then uses; lower in the first steps (default: no average)')


def _add_loss(line):
  line.section('loss')
  add = _adder(line, configs.LossConfig)
  add('number', 'label_smoothing', 'share of the label that is spread over all classes')
  add('number', 'weight_decay', 'weight decay: factor of the squared kernels / 2 in the loss')


def _add_schedule(line):
  line.section('learning rate')
  add = _adder(line, configs.ScheduleConfig)
  add('number', 'learning_rate', 'initial learning rate')
  add('choice', 'learning_rate_decay_type', configs.DECAY_TYPES, 'exponential: multiplied by '
      'the decay factor every num_epochs_per_decay (staircase); polynomial (linear) and cosine: to '
      'end_learning_rate within num_epochs_per_decay, then constant')
  add('number', 'learning_rate_decay_factor', 'factor of the exponential decay')
  add('number', 'end_learning_rate', 'final rate of polynomial and cosine; lower bound of '
      'exponential')
  add('number', 'num_epochs_per_decay', 'epochs; images of all clones and, with --sync_replicas, '
      'of all replicas count')
  add('number', 'warmup_epochs', 'epochs of linear warm-up')


def _add_optimizer(line):
  line.section('optimizer')
  add = _adder(line, configs.OptimizerConfig)
  add('choice', 'optimizer', configs.OPTIMIZERS, 'update rule')
  add('number', 'opt_epsilon', 'epsilon of adadelta, adam and rmsprop (TF-Slim: 1.0)')
  add('number', 'momentum', 'momentum coefficient of momentum')
  add('number', 'rmsprop_decay', 'decay of the mean square of rmsprop')
  add('number', 'rmsprop_momentum', 'momentum coefficient of rmsprop')
  add('number', 'adam_beta1', 'decay of the first moment of adam')
  add('number', 'adam_beta2', 'decay of the second moment of adam')
  add('number', 'adadelta_rho', 'decay of both means of adadelta')
  add('number', 'adagrad_initial_accumulator_value', 'initial sum of squares of adagrad, '
      'above 0')
  add('number', 'ftrl_learning_rate_power', 'exponent of the step size of ftrl, at most 0')
  add('number', 'ftrl_initial_accumulator_value', 'initial sum of squares of ftrl')
  add('number', 'ftrl_l1', 'L1 penalty of ftrl')
  add('number', 'ftrl_l2', 'L2 penalty of ftrl')


def _add_loop(line):
  line.section('run')
  add = _adder(line, configs.LoopConfig)
  add('integer', 'max_number_of_steps', 'total number of updates, including those before a '
      'resumption (default: until stopped)')
  add('integer', 'log_every_n_steps', 'steps between progress lines')
  add('number', 'save_summaries_secs', 'seconds between points in TensorBoard')
  add('number', 'save_interval_secs', 'seconds between checkpoints')
  add('integer', 'save_interval_steps', 'steps between checkpoints, instead of seconds')
  add('integer', 'keep', 'checkpoints to keep')
  add('boolean', 'allow_growth', 'allocate GPU memory as it is needed')


def _add_deploy(line):
  line.section('towers and clusters')
  add = _adder(line, Deployment)
  add('integer', 'num_clones', 'towers, one per GPU; their gradients are averaged')
  add('boolean', 'clone_on_cpu', 'put the towers on the CPU')
  add('string', 'ps_hosts', 'host:port of each parameter server, separated by commas')
  add('string', 'worker_hosts', 'host:port of each worker')
  add('choice', 'job_name', ('ps', 'worker'), 'role of this process')
  add('integer', 'task', 'index of this process within its job')
  add('string', 'master', 'grpc://host:port of a running server of this task, instead of the '
      'hosts')
  add('integer', 'worker_replicas', 'number of workers (with hosts: follows from them)')
  add('integer', 'num_ps_tasks', 'number of parameter servers (with hosts: follows from them)')
  add('boolean', 'sync_replicas', 'one update from the gradients of all workers, instead of one '
      'from each as it comes')
  add('integer', 'replicas_to_aggregate', 'gradients averaged into an update of --sync_replicas '
      '(not given: one of each worker)')
