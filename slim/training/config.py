"""Options of a training run: a few records whose fields are the flags, checked in one place.

The default of a field is the default of its flag. None: not given.
"""

import math
from typing import NamedTuple, Optional

from scripts.cluster.plan import Deployment
from scripts.errors import UserError

DECAY_TYPES = ('fixed', 'exponential', 'polynomial', 'cosine')
OPTIMIZERS = ('adadelta', 'adagrad', 'adam', 'ftrl', 'momentum', 'sgd', 'rmsprop')


class DataConfig(NamedTuple):
  """Which images, and how they are read."""
  dataset_name: Optional[str] = None
  dataset_dir: Optional[str] = None
  dataset_split_name: str = 'train'
  preprocessing_name: str = 'efficientnet'
  train_image_size: Optional[int] = None  # Pixels a side; None: the network's own.
  batch_size: int = 32  # Of one clone.
  num_readers: int = 4
  num_preprocessing_threads: int = 4
  seed: int = 0


class NetworkConfig(NamedTuple):
  """The network, and what is done to it in training only."""
  model_name: str = 'efficientnet_b0'
  num_classes: Optional[int] = None  # Outputs of the head; None: the data set's classes.
  labels_offset: Optional[int] = None  # None: what follows from head and records.
  dropout: float = 0.2
  drop_connect: float = 0.2
  batch_norm_decay: float = 0.99
  quantize_delay: int = -1  # -1: float network.
  freeze_batch_norm_delay: Optional[int] = None
  trainable_scopes: Optional[str] = None


class LossConfig(NamedTuple):
  """What is minimised."""
  label_smoothing: float = 0.0
  weight_decay: float = 0.00004


class ScheduleConfig(NamedTuple):
  """The learning rate over time."""
  learning_rate: float = 0.01
  learning_rate_decay_type: str = 'exponential'
  learning_rate_decay_factor: float = 0.94
  end_learning_rate: float = 0.0
  num_epochs_per_decay: float = 2.0
  warmup_epochs: float = 0.0


class OptimizerConfig(NamedTuple):
  """The update rule; each reads the fields that carry its name, and those of the comments."""
  optimizer: str = 'rmsprop'
  opt_epsilon: float = 0.001  # adadelta, adam, rmsprop.
  adadelta_rho: float = 0.95
  adagrad_initial_accumulator_value: float = 0.1
  adam_beta1: float = 0.9
  adam_beta2: float = 0.999
  ftrl_learning_rate_power: float = -0.5
  ftrl_initial_accumulator_value: float = 0.1
  ftrl_l1: float = 0.0
  ftrl_l2: float = 0.0
  momentum: float = 0.9  # momentum.
  rmsprop_momentum: float = 0.9
  rmsprop_decay: float = 0.9


class StartConfig(NamedTuple):
  """Where variables come from and what checkpoints hold."""
  train_dir: Optional[str] = None
  checkpoint_path: Optional[str] = None
  checkpoint_exclude_scopes: Optional[str] = None
  ignore_missing_vars: bool = False
  moving_average_decay: Optional[float] = None


class LoopConfig(NamedTuple):
  """Length of the run and what it writes."""
  max_number_of_steps: Optional[int] = None  # None: until it is stopped.
  log_every_n_steps: int = 10
  save_summaries_secs: float = 60.0
  save_interval_secs: float = 600.0
  save_interval_steps: Optional[int] = None
  keep: int = 5
  allow_growth: bool = False


class TrainConfig(NamedTuple):
  """A training run."""
  data: DataConfig = DataConfig()
  network: NetworkConfig = NetworkConfig()
  loss: LossConfig = LossConfig()
  schedule: ScheduleConfig = ScheduleConfig()
  optimizer: OptimizerConfig = OptimizerConfig()
  start: StartConfig = StartConfig()
  loop: LoopConfig = LoopConfig()
  deploy: Deployment = Deployment()


# Flags, the interval of their values with its ends, the rule in words. None is always allowed.
_INTERVALS = (
    (('train_image_size', 'batch_size', 'num_readers', 'num_preprocessing_threads',
      'max_number_of_steps', 'log_every_n_steps', 'save_interval_steps', 'keep', 'num_clones',
      'worker_replicas', 'replicas_to_aggregate'), 1, math.inf, 'at least 1'),
    (('num_classes',), 2, math.inf, 'at least 2'),
    (('quantize_delay',), -1, math.inf, 'the step at which quantisation starts, or -1 for none'),
    (('seed', 'labels_offset', 'freeze_batch_norm_delay', 'weight_decay', 'learning_rate',
      'end_learning_rate', 'learning_rate_decay_factor', 'warmup_epochs', 'momentum',
      'ftrl_initial_accumulator_value', 'ftrl_l1', 'ftrl_l2', 'task', 'num_ps_tasks'),
     0, math.inf, 'at least 0'),
    (('num_epochs_per_decay', 'opt_epsilon', 'adagrad_initial_accumulator_value',
      'save_interval_secs', 'save_summaries_secs'), 1e-12, math.inf, 'more than 0'),
    (('dropout', 'drop_connect', 'batch_norm_decay', 'label_smoothing', 'moving_average_decay',
      'adadelta_rho', 'adam_beta1', 'adam_beta2', 'rmsprop_momentum', 'rmsprop_decay'),
     0, 1 - 1e-12, 'at least 0 and below 1'),
    (('ftrl_learning_rate_power',), -math.inf, 0, 'at most 0'),
)


def from_flags(values):
  """`TrainConfig` of an object that has every flag as an attribute; raises UserError."""
  records = [record(*[getattr(values, name) for name in record._fields])
             for record in TrainConfig.__annotations__.values()]
  return check(TrainConfig(*records))


def scopes(text):
  """List of the scopes in a comma-separated flag; empty where it is not given."""
  return [part.strip() for part in (text or '').split(',') if part.strip()]


def check(config):
  """Raises UserError for a value out of its range or flags without what they need."""
  values = {name: value for record in config for name, value in record._asdict().items()}
  for names, low, high, rule in _INTERVALS:
    for name in names:
      value = values[name]
      if value is not None and not (low <= value <= high and abs(value) < math.inf):
        raise UserError('--%s must be %s, not %s' % (name, rule, value))
  for name, what in (('train_dir', 'the folder of checkpoints and logs'),
                     ('dataset_dir', 'the folder of TFRecords')):
    if not values[name]:
      raise UserError('--%s is needed: %s' % (name, what))
  _check_schedule(config.schedule)
  _check_quantisation(config)
  return config


def _check_schedule(schedule):
  if (schedule.learning_rate_decay_type != 'fixed' and
      schedule.end_learning_rate > schedule.learning_rate):
    raise UserError('--end_learning_rate=%s is more than --learning_rate=%s: the rate falls, so '
                    'give less' % (schedule.end_learning_rate, schedule.learning_rate))


def _check_quantisation(config):
  network = config.network
  if network.quantize_delay < 0 and network.freeze_batch_norm_delay is not None:
    raise UserError('--freeze_batch_norm_delay needs --quantize_delay: it belongs to '
                    'quantisation-aware training')
  if network.quantize_delay >= 0 and config.deploy.num_clones > 1:
    raise UserError('--quantize_delay needs --num_clones=1: the rewrite for quantisation knows '
                    'one tower')
