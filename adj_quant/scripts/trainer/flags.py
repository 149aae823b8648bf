"""Command line of train.py and eval.py, turned into a few small records.

Flags that decide what the network computes have no default here: unset, they are as saved beside
the checkpoint, or else the default that the help names.
"""

import os
from typing import NamedTuple, Optional

from data import SMALLEST_CROP
from scripts import stack
from scripts.cluster.plan import Deployment, with_environment
from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.effnetb0.quantizers import LIMITS
from scripts.errors import UserError
from scripts.ops.choice import IMPLEMENTATIONS
from scripts.paths import ADJ_QUANT, FLOAT_WEIGHTS, MEASURED_THRESHOLDS, THRESHOLDS
from scripts.trainer.config import KD_LOSSES, TrainConfig, check, check_number, need
from scripts.trainer.precision import requested_precision

SMALLEST_SIDE, LARGEST_SIDE = 32, 2048  # Pixels of an image.
MOST_THREADS = 1024
MOST_TOWERS = 64


class DataOptions(NamedTuple):
  """Where images come from and how they are read."""
  dataset: str
  batch_size: int
  val_images: int  # 0: all.
  threads: int
  train_images: int = 0  # 0: all.
  crop: Optional[float] = None  # Smallest share of the area; None: central crops.
  mixup: float = 0.0  # Of `data.training_batches`.
  seed: int = 0


class ModelOptions(NamedTuple):
  """Which network, from which files. None: not given on the command line."""
  model: Optional[str]
  image_size: Optional[int]
  precision: dict  # Fields of `Precision` that were given.
  range_set: Optional[int]
  weight_path: Optional[str]
  ckpt_path: Optional[str]
  measure_thresholds: bool
  thresholds_path: Optional[str]
  calib_images: int
  percentile: float
  allow_growth: bool
  quantizer_impl: str = 'auto'  # One of IMPLEMENTATIONS.
  start_metric: Optional[float] = None  # Of the first bit-widths; None: those of the precision.
  start_by_layer: bool = False
  fit_ranges: bool = False
  gptq: bool = False
  output_dir: str = ADJ_QUANT
  overwrite: bool = False

  @property
  def weights_file(self):
    """The weights that a network without a checkpoint starts from."""
    return self.weight_path or FLOAT_WEIGHTS

  @property
  def thresholds_file(self):
    """Its ranges: where they are read, and where -e writes them; what is shipped stays."""
    if self.measure_thresholds and not self.thresholds_path:
      return os.path.join(self.output_dir, MEASURED_THRESHOLDS)
    return self.thresholds_path or THRESHOLDS


def add_data_flags(parser, batch_size, batch_help):
  """Flags of `DataOptions` that training and evaluation share."""
  group = parser.add_argument_group('data')
  group.add_argument('-d', '--dataset', metavar='DIR',
                     help='folder with TFRecords train-* and validation-*, ImageNet\'s unless it '
                          'has a dataset.json')
  group.add_argument('--batch_size', type=int, default=batch_size, metavar='N',
                     help='images per batch (%d; %s)' % (batch_size, batch_help))
  group.add_argument('--val_images', type=int, default=0, metavar='N',
                     help='validate on N images spread evenly over the set (0: all)')
  group.add_argument('--threads', type=int, default=os.cpu_count() or 1, metavar='N',
                     help='images decoded in parallel (%(default)s, the cores of this machine)')


def add_model_flags(parser):
  """Flags of `ModelOptions`."""
  group = parser.add_argument_group('network and files')
  group.add_argument('--model', choices=sorted(ARCHITECTURES),
                     help='architecture (eff_b0)')
  group.add_argument('--img_size', type=int, metavar='PIXELS',
                     help='side of the square image (that of the architecture, 224 for eff_b0)')
  group.add_argument('--weight_path', metavar='FILE',
                     help='weights pickle to quantise (the float weights in ../pretrained; the '
                          'original recipe: weights after quantisation-aware training)')
  group.add_argument('--ckpt_path', metavar='PATH',
                     help='checkpoint to start from: its name, with or without its step (weights/'
                          'ckpt_metric_0.183060-219), one of its files, or a folder, of which the '
                          'best or last one is taken')
  group.add_argument('--overwrite', action='store_true',
                     help='replace other files where flags name files to write')
  group.add_argument('--allow_growth', action='store_true',
                     help='allocate GPU memory as it is needed')
  group.add_argument('--quantizer_impl', choices=IMPLEMENTATIONS, default='auto',
                     help='fused: compiled ops, CPU only; ops: TensorFlow\'s ops, with the '
                          'same results; xla: those, compiled by XLA; auto: fused if they are '
                          'compiled and there is no GPU (%(default)s)')
  group.add_argument('--xla', dest='quantizer_impl', action='store_const', const='xla',
                     help='the same as --quantizer_impl xla (current TensorFlow)')
  group.add_argument('--tf32', action='store_true', default=None,
                     help='let a GPU multiply in TensorFloat-32: faster, less exact (current '
                          'TensorFlow)')
  group = parser.add_argument_group('initial ranges')
  group.add_argument('-e', '--eval_initial_thresholds', action='store_true',
                     help='first calibrate the ranges on training images and write them')
  group.add_argument('--ckpt_path_thres', metavar='FILE',
                     help='thresholds file to read, or with -e to write (initial_thresholds.json, '
                          'which belongs to the float weights; with -e %s in the output folder)'
                          % MEASURED_THRESHOLDS)
  group.add_argument('--calib_images', type=int, metavar='N',
                     help='with -e, --gptq or --start_metric, number of calibration images '
                          '(500; 0: all)')
  group.add_argument('--percentile', type=float, metavar='P',
                     help='with -e, clip the largest and smallest 100 - P percent of the values of '
                          'each channel that a convolution reads (100: minimum and maximum; at '
                          'least 99); inputs of swish and pooled means are not clipped')
  group.add_argument('--fit_ranges', action='store_true',
                     help='start from the kernel ranges of least squared error at the first '
                          'bit-widths (original recipe: minimum and maximum)')
  group.add_argument('--gptq', action='store_true',
                     help='round the kernels by GPTQ, so that their errors cancel out on '
                          '--calib_images training images, and correct the biases (original '
                          'recipe: the given weights)')
  group = parser.add_argument_group(
      'precision', 'bits: 2..8; -1: not quantised; 0: learnt, starting from 8 bits. Original '
      'recipe: 8 everywhere with --bits_trainable, range 5')
  for flag, what in (('weight_bits', 'kernels'), ('act_bits', 'what convolutions read'),
                     ('swish_bits', 'inputs of swish and sigmoid')):
    group.add_argument('--' + flag, type=int, metavar='BITS', help='%s (8)' % what)
  group.add_argument('--bias_bits', type=int, metavar='BITS', help='biases (8; 0: not quantised)')
  group.add_argument('--bits_trainable', action='store_true', default=None,
                     help='learn the bits of every channel of kernels and activations, starting '
                          'from --weight_bits and --act_bits')
  group.add_argument('--start_metric', type=float, metavar='M',
                     help='with --bits_trainable, start from the bit-widths of 3 or more that cost '
                          'the least loss at this metric, by the Fisher information of the float '
                          'network on --calib_images training images')
  group.add_argument('--start_by_layer', action='store_true',
                     help='with --start_metric, one bit-width for all channels of a kernel or '
                          'activation')
  group.add_argument('--mix_prec', action='store_true', default=None,
                     help='keep the kernels of stem, squeeze-excite and classifier in float')
  group.add_argument('-r', '--range', type=int, choices=sorted(LIMITS),
                     help='intervals of alpha and shift: ' + '; '.join(
                         '%d %s %s' % (k, list(v.alpha), list(v.shift))
                         for k, v in sorted(LIMITS.items())) + ' (5)')


def add_training_data_flags(group):
  """Flags that only a training has of its images."""
  group.add_argument('--train_images', type=int, default=0, metavar='N',
                     help='train on N images spread evenly over the set (0: all)')
  group.add_argument('--aug', action='store_true',
                     help='augment training images: random crop and flip (else central crops)')
  group.add_argument('--min_crop', type=float, metavar='A',
                     help='with --aug, smallest share of the area that a crop shows (%g)'
                          % SMALLEST_CROP)
  group.add_argument('--mixup', type=float, default=0.0, metavar='A',
                     help='blend each training image with another of its batch; the share is the '
                          'lesser of z and 1 - z, z from Beta(A, A); A up to 1; needs --alpha 0 '
                          'and a --batch_size of 2 or more (%(default)g: off)')
  group.add_argument('--seed', type=int, default=0, metavar='N',
                     help='seed of the order and augmentation of the images (%(default)s)')


def add_teacher_flags(group):
  """Flags of the float network that teaches, or is evaluated beside the quantised one."""
  group.add_argument('--teacher_path', default=FLOAT_WEIGHTS, metavar='FILE',
                     help='weights pickle of the float network (the float weights in '
                          '../pretrained)')
  group.add_argument('-t', '--tea_model', choices=sorted(ARCHITECTURES), default='eff_b0',
                     help='architecture of the float network (%(default)s)')


def add_deployment_flags(parser, work):
  """Flags of `plan.Deployment`, of those that train.py and eval.py have; `work` says for what."""
  group = parser.add_argument_group(
      'devices and machines', 'a cluster is started with one command per process, the same but for '
      '--job_name and --task; the variable TF_CONFIG, as managed platforms set it, does instead of '
      'the flags. Worker 0 is the chief, and only it writes files')
  group.add_argument('--num_clones', type=int, default=1, metavar='N',
                     help='towers, one per GPU, each with its own batch (%(default)s)')
  group.add_argument('--clone_on_cpu', action='store_true', help='put the towers on the CPU')
  group.add_argument('--ps_hosts', metavar='HOST:PORT,...',
                     help='parameter servers, which hold the variables')
  group.add_argument('--worker_hosts', metavar='HOST:PORT,...', help='workers, which %s' % work)
  group.add_argument('--job_name', choices=('ps', 'worker'), help='role of this process')
  group.add_argument('--task', type=int, default=0, metavar='I',
                     help='index of this process within its job (%(default)s)')
  group.add_argument('--worker_timeout', type=int, default=600, metavar='SECONDS',
                     help='end when a worker or a parameter server has not answered for so long '
                          '(%(default)s)')


def deployment(args):
  """The checked `plan.Deployment` of parsed flags and of TF_CONFIG."""
  need('num_clones', 1 <= args.num_clones <= MOST_TOWERS, args.num_clones, '1 to %d' % MOST_TOWERS)
  need_whole(args, 'worker_timeout', 1)
  flags = Deployment(
      num_clones=args.num_clones, clone_on_cpu=args.clone_on_cpu, ps_hosts=args.ps_hosts,
      worker_hosts=args.worker_hosts, job_name=args.job_name, task=args.task)
  deploy = with_environment(flags)
  return deploy._replace(sync_replicas=True) if deploy.ps_hosts else deploy


def add_training_flags(parser):
  """Flags of `TrainConfig`, grouped; their defaults are its defaults."""
  default = TrainConfig()

  def add(group, flag, text, **options):
    options.setdefault('default', getattr(default, flag))
    names = [options.pop('short')] if 'short' in options else []
    group.add_argument(*names + ['--' + flag], help=text, **options)

  group = parser.add_argument_group('loss: distillation + alpha * cross entropy +- beta * metric',
                                    'defaults are the original recipe\'s')
  add(group, 'alpha', 'weight of the cross entropy (%(default)s; fine-tuning 25)', type=float,
      short='-a', metavar='A')
  add(group, 'beta', 'weight of the metric (%(default)s, then 115; fine-tuning 0)', type=float,
      short='-b', metavar='B')
  add(group, 'gamma', 'share of activations in the gradient of max(weight bits, activation bits) '
      '(%(default)s), 0..1', type=float, short='-g', metavar='G')
  add(group, 'metric', 'target: above it the metric is pushed down, below it up (%(default)s)',
      type=float, metavar='M')
  add(group, 'kd_loss', 'distance of the logits: abs, 0.01 * sum of absolute differences, the '
      'original recipe; mse; kl (%(default)s)', choices=KD_LOSSES)
  add(group, 'kd_weight', 'weight of this distance in the distillation (%(default)s; 0: none)',
      type=float, metavar='W')
  add(group, 'kd_features', 'weight of the distance of stem, blocks and pooled features to the '
      'float network\'s, squared over their variance, in the distillation (%(default)s, the '
      'original recipe)', type=float, metavar='W')
  group = parser.add_argument_group('optimisation', 'defaults are the original recipe\'s')
  add(group, 'lr', 'Adam\'s learning rate of weights and ranges (%(default)s)', type=float,
      metavar='LR')
  add(group, 'lr_ranges', 'Adam\'s learning rate of alpha and shift, scheduled as lr (that of lr)',
      type=float, metavar='LR')
  add(group, 'lr_relative', 'lr of kernels and biases is in widths of their initial ranges '
      '(original recipe: in units of the weights)', action='store_true')
  add(group, 'freeze_classifier', 'freeze kernel and bias of the classifier; few photos say little '
      'about a single class (original recipe: trained)', action='store_true')
  add(group, 'freeze_kernels', 'freeze all kernels; biases, ranges and, with --bits_trainable, '
      'bit-widths train (original recipe: trained)', action='store_true')
  add(group, 'lr_bits', 'Adam\'s learning rate of bits_scale, not scheduled (%(default)s)',
      type=float, metavar='LR')
  add(group, 'lr_decay', 'decay of lr: exp(-step * lr_decay) (%(default)s per step)', type=float,
      metavar='D')
  add(group, 'lr_fixed', 'constant lr: no decay, no cosine', action='store_true')
  add(group, 'reinit', 'steps between resets of Adam\'s moments and of the cosine (%(default)s)',
      type=int, metavar='STEPS')
  group = parser.add_argument_group('strategy', 'each mini-epoch ends with validation and a '
                                    'checkpoint; the original recipe: '
                                    '--iter_train, then --finetune with averaging')
  add(group, 'mini_epochs', 'mini-epochs per epoch (%(default)s)', type=int, metavar='N')
  add(group, 'max_epoch', 'length in epochs (%(default)s; original recipe 3, fine-tuning 1)',
      type=float, metavar='E')
  add(group, 'warm_up_epoch', 'epochs before bits train (%(default)s)', type=float, metavar='E')
  add(group, 'iter_train', 'iterative training: bits train in one of every --iter_train_freq '
      'mini-epochs only (used by the original recipe)', action='store_true')
  add(group, 'iter_train_freq', 'see --iter_train (%(default)s)', type=int, metavar='N')
  add(group, 'finetune', 'keep bits fixed throughout', action='store_true')
  add(group, 'swa_delay', 'epochs before stochastic weight averaging starts (off; original recipe '
      '0.2 in fine-tuning)', type=float, metavar='E')
  add(group, 'swa_freq', 'epochs between averaged points (%(default)s)', type=float, metavar='E')


def train_config(args):
  """The checked `TrainConfig` of parsed flags."""
  return check(TrainConfig(**{field: getattr(args, field) for field in TrainConfig._fields}))


def data_options(args, needed=True):
  """The checked `DataOptions` of parsed flags; `needed` says whether images are read at all."""
  if needed and not args.dataset:
    raise UserError('--dataset is missing: give a folder with TFRecords of photos')
  need_whole(args, 'batch_size', 1)
  need('threads', 1 <= args.threads <= MOST_THREADS, args.threads, '1 to %d' % MOST_THREADS)
  need_whole(args, 'val_images', 0, ' (all)')
  return DataOptions(args.dataset, args.batch_size, args.val_images, args.threads)


def training_data_options(args, needed=True):
  """`data_options` of a training, with what `add_training_data_flags` adds."""
  options = data_options(args, needed)
  need_whole(args, 'train_images', 0, ' (all)')
  smallest, mixup = args.min_crop, args.mixup
  need('min_crop', smallest is None or args.aug, smallest, 'together with --aug')
  need('min_crop', smallest is None or 0 < smallest <= 1, smallest, 'above 0, up to 1')
  need('mixup', 0 <= mixup <= 1, mixup, '0 to 1')
  need('mixup', not mixup or args.batch_size > 1, mixup, '0 with --batch_size 1')
  need('mixup', not mixup or args.alpha == 0, mixup,
       'used with --alpha 0: a blend has no label')
  need('kd_features', not args.kd_features or args.batch_size > 1, args.kd_features,
       '0 with --batch_size 1: pooled features of a single image have no variance')
  check_number('seed', args.seed)
  return options._replace(
      train_images=args.train_images, crop=(smallest or SMALLEST_CROP) if args.aug else None,
      mixup=mixup, seed=args.seed)


def model_options(args):
  """The checked `ModelOptions` of parsed flags."""
  need('img_size', args.img_size is None or SMALLEST_SIDE <= args.img_size <= LARGEST_SIDE,
       args.img_size, '%d to %d' % (SMALLEST_SIDE, LARGEST_SIDE))
  measures = args.eval_initial_thresholds or args.gptq or args.start_metric is not None
  need('percentile', args.percentile is None or args.eval_initial_thresholds, args.percentile,
       'together with --eval_initial_thresholds')
  need('calib_images', args.calib_images is None or measures, args.calib_images,
       'together with --eval_initial_thresholds, --gptq or --start_metric')
  if args.tf32 and not stack.HAS_TF32:
    raise UserError('--tf32: this TensorFlow has no TensorFloat-32; `make setup STACK=current` '
                    'installs one that has')
  check_number('start_metric', args.start_metric)
  need('start_metric', args.start_metric is None or args.start_metric > 0, args.start_metric,
       'more than 0')
  if args.start_by_layer and args.start_metric is None:
    raise UserError('--start_by_layer requires --start_metric')
  calib_images, percentile = args.calib_images, args.percentile
  if calib_images is None:
    calib_images = 500
  else:
    need_whole(args, 'calib_images', 0, ' (all)')
  percentile = 100.0 if percentile is None else percentile
  need('percentile', 99 <= percentile <= 100, percentile, '99 to 100')
  return ModelOptions(
      model=args.model, image_size=args.img_size, precision=requested_precision(args),
      range_set=args.range, weight_path=args.weight_path, ckpt_path=args.ckpt_path,
      measure_thresholds=args.eval_initial_thresholds, thresholds_path=args.ckpt_path_thres,
      calib_images=calib_images, percentile=percentile, allow_growth=args.allow_growth,
      quantizer_impl=args.quantizer_impl, start_metric=args.start_metric,
      start_by_layer=args.start_by_layer, fit_ranges=args.fit_ranges, gptq=args.gptq,
      output_dir=getattr(args, 'output_dir', ADJ_QUANT), overwrite=args.overwrite)


def need_whole(args, flag, least, meaning=''):
  """Raises UserError where a flag is below a number, which has a meaning, or too large."""
  value = getattr(args, flag)
  need(flag, value >= least, value, '%d%s or more' % (least, meaning))
  check_number(flag, value)
