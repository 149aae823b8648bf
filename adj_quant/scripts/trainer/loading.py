"""Combines files and flags: which network, which weights, which ranges, which images."""

import os
from typing import Any, NamedTuple

import numpy as np

from dataset_utils import find_split
from imagenet import describe_labels, label_offset
from scripts import checkpoint_files, thresholds
from scripts.checkpoint_paths import find_checkpoint
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.effnetb0.nodes import MAX_BITS, MIN_BITS, Precision
from scripts.effnetb0.quantizers import LIMITS
from scripts.effnetb0.weights import load_weights
from scripts.errors import UserError
from scripts.files import check_file
from scripts.json_checks import FLAG, OBJECT, Rule, check_object, one_of, whole
from scripts.paths import THRESHOLDS
from scripts.trainer import checkpoints, recognition
from scripts.trainer.precision import resolve_precision
from scripts.trainer.start import first_values
from scripts.trainer.start.calibration import (
    measure_inputs, measure_noise, measure_thresholds, new_calibration)


class Network(NamedTuple):
  """A quantised network before its first step."""
  spec: Any  # student.ModelSpec.
  image_size: int
  first_values: Any  # student.Parameters of vectors; None: all values come from elsewhere.
  checkpoint: Any = None  # Path of the checkpoint that has the values.


def load_network(options, data_options, training=False, log=print):
  """Reads, and where flags say so measures, what the student starts from: files or a checkpoint.

  Args:
    options: `flags.ModelOptions`.
    data_options: `flags.DataOptions`, for the images of what is measured.
    training: True lets a checkpoint's fixed bit-widths become learnt.
    log: receives lines for the user.

  Returns:
    `Network`.
  """
  if options.ckpt_path:
    return _network_of_checkpoint(options, training, log)
  is_named = bool(options.thresholds_path)
  options = _with_default_files(options)
  architecture = ARCHITECTURES[options.model or 'eff_b0']
  image_size = options.image_size or architecture.image_size
  weights, classes = load_weights(options.weight_path, architecture)
  precision = resolve_precision(options.precision, None, training)
  spec = students.ModelSpec(architecture, classes, precision, options.range_set or 5)
  _check_use(options, spec)
  calibration = None
  if options.measure_thresholds or options.gptq or options.start_metric is not None:
    calibration = new_calibration(
        options=options, data_options=data_options, architecture=architecture, weights=weights,
        classes=classes, image_size=image_size)
  if options.measure_thresholds:
    measure_thresholds(calibration, options.percentile, options.thresholds_path, log)
    if not is_named:
      log('note: %s stays as it is; --ckpt_path_thres %s reads the new ranges again'
          % (THRESHOLDS, options.thresholds_path))
  stored = thresholds.read_thresholds(options.thresholds_path)
  ranges, derived = thresholds.complete_thresholds(stored, options.thresholds_path, weights,
                                                   architecture, classes)
  if not thresholds.made_for(stored, weights, architecture, classes):
    log('note: %s was made for other weights than %s (--eval_initial_thresholds measures these)'
        % (options.thresholds_path, options.weight_path))
  if derived:
    log('note: %s has no ranges after %d skip additions; their operands\' are added up '
        '(--eval_initial_thresholds measures them)' % (options.thresholds_path, len(derived)))
  first = _first_values(
      options=options, spec=spec, image_size=image_size, weights=weights, ranges=ranges,
      calibration=calibration, log=log)
  return Network(spec, image_size, first)


def _check_use(options, spec):
  """Refuses flags that find nothing to work on in a `student.ModelSpec`."""
  quantised = students.quantised_nodes(spec)
  if not quantised:
    raise UserError('the flags leave nothing to quantise: at least one of --weight_bits, '
                    '--act_bits and --swish_bits must not be -1, or --bias_bits not 0')
  learnt = {node.kind for node in quantised if node.learnt}
  if options.start_metric is not None and not learnt & {'weights', 'act'}:
    raise UserError('--start_metric requires --bits_trainable')
  for flag, given in (('fit_ranges', options.fit_ranges), ('gptq', options.gptq)):
    if given and not any(node.kind == 'weights' for node in quantised):
      raise UserError('--%s cannot be used with --weight_bits -1: no kernel is quantised' % flag)


def _first_values(options, spec, image_size, weights, ranges, calibration, log):
  """The `student.Parameters` of vectors that flags ask for, out of weights and ranges."""
  first = students.first_values(spec, weights, ranges)
  if options.start_metric is not None:
    widths = {name: high - low for name, (low, high) in ranges.items()}
    losses = measure_noise(calibration, widths)
    first = first_values.with_bits(
        first=first, spec=spec, image_size=image_size, losses=losses, metric=options.start_metric,
        log=log, by_layer=options.start_by_layer)
  if options.fit_ranges:
    first = first_values.with_fitted_kernels(first, spec, weights, log)
  if options.gptq:
    first = first_values.with_rounded_kernels(first, spec, weights,
                                              measure_inputs(calibration))
  return first


def _with_default_files(options):
  """Options in which the shipped weights and thresholds replace files that were not given."""
  if options.model not in (None, 'eff_b0') and not options.weight_path:
    raise UserError('--model %s needs --weight_path: the shipped weights are those of eff_b0'
                    % options.model)
  if options.measure_thresholds:
    is_there = options.thresholds_path and os.path.isfile(options.thresholds_path)
    if is_there and not options.overwrite:
      raise UserError('%s exists already: leave --eval_initial_thresholds out to read it, or '
                      '--overwrite replaces it' % options.thresholds_path)
    check_file(options.thresholds_file)
  return options._replace(weight_path=options.weights_file,
                          thresholds_path=options.thresholds_file)


def _network_of_checkpoint(options, training, log):
  path = find_checkpoint(options.ckpt_path, log)
  for flag, given in (('weight_path', options.weight_path),
                      ('ckpt_path_thres', options.thresholds_path)):
    if given:
      log('note: --%s is not read, the checkpoint has all values' % flag)
  for flag, given, what in (('--eval_initial_thresholds', options.measure_thresholds, 'ranges'),
                            ('--fit_ranges', options.fit_ranges, 'ranges'),
                            ('--gptq', options.gptq, 'kernels'),
                            ('--start_metric', options.start_metric is not None, 'bit-widths')):
    if given:
      raise UserError('%s cannot be used with --ckpt_path: %s has %s of its own'
                      % (flag, path, what))
  saved = _saved_network(path, options, log)
  precision = resolve_precision(options.precision, saved.spec.precision, training)
  image_size = options.image_size or saved.image_size
  if image_size != saved.image_size:
    log('note: %d px, the checkpoint was made at %s px' % (image_size, saved.image_size))
  for flag, given, stored in (('model', options.model, saved.spec.architecture.name),
                              ('range', options.range_set, saved.spec.range_set)):
    if given not in (None, stored):
      raise UserError('--%s %s: the checkpoint %s was made with %s; leave the flag out'
                      % (flag, given, path, stored))
  return Network(saved.spec._replace(precision=precision), image_size, None, path)


def _saved_network(path, options, log):
  """The `Network` that a checkpoint is of: by its description, or by its tensors and the flags."""
  if not os.path.exists(path + '.json'):
    tensors = checkpoint_files.open_checkpoint(path).get_variable_to_shape_map()
    spec = recognition.recognise(tensors, options, path)
    log('note: there is no %s.json, so tensors and flags tell: %s'
        % (path, recognition.describe(spec)))
    return Network(spec, options.image_size or spec.architecture.image_size, None)
  description = checkpoint_files.read_description(path).get('model')
  try:
    return described_network(description)
  except UserError as error:
    raise UserError('%s.json does not describe a checkpoint of this version: %s' % (path, error))


_RULES = {'model': one_of(ARCHITECTURES), 'classes': whole(1, 10**6), 'image_size': whole(1),
          'range': Rule('a set of ranges', lambda value: type(value) is int and value in LIMITS),
          'precision': OBJECT}
_PRECISION_RULES = {
    field: FLAG if isinstance(default, bool) else Rule(
        'from 2 to 8, or -1', lambda value: type(value) is int and (
            value == -1 or MIN_BITS <= value <= MAX_BITS))
    for field, default in Precision._field_defaults.items()}


def describe_network(network):
  """What `load_network` needs to know of a checkpoint, as a dict for JSON."""
  return {'model': network.spec.architecture.name, 'classes': network.spec.classes,
          'image_size': network.image_size, 'range': network.spec.range_set,
          'precision': network.spec.precision._asdict()}


def described_network(description):
  """The `Network`, without values, of what `describe_network` gives.

  Raises:
    UserError: it is something else.
  """
  check_object(description, _RULES, 'its network')
  precision = check_object(description['precision'], _PRECISION_RULES, 'its precision', True)
  spec = students.ModelSpec(ARCHITECTURES[description['model']], description['classes'],
                            Precision(**precision), description['range'])
  return Network(spec, description['image_size'], None)


def start_student(session, parameters, network):
  """Loads the values of a `Network`, first ones or a checkpoint's; nothing where it has neither.

  Bit-widths that the checkpoint does not learn start at their fixed width.

  Returns:
    The `checkpoints.Checkpointer` of the student.
  """
  scale = parameters.bits_scale
  required = [flat for flat in parameters if flat is not None and flat is not scale]
  checkpointer = checkpoints.Checkpointer(
      checkpoints.Stored(required, [scale] if scale is not None else []))
  if network.checkpoint:
    if scale is not None:
      scale.variable.load(np.ones(scale.variable.shape.as_list(), np.float32), session)
    checkpointer.restore(session, network.checkpoint)
  elif network.first_values:
    students.load_values(parameters, network.first_values, session)
  return checkpointer


def start_float(session, flat, weights, architecture, classes):
  """Loads a float network's weights into the flat variable of `student.create_weights`."""
  flat.variable.load(students.weight_vector(weights, architecture, classes), session)


def validation_split(options, classes, log=print):
  """The validation `Split` and its label offset; says which one."""
  split = find_split(options.dataset, 'validation', options.val_images)
  log('%d validation images, %s' % (split.count, describe_labels(classes, split.info)))
  return split, label_offset(classes, split.info)


def load_teacher(path, name, classes):
  """Weights of the float network at `path`, which must have the student's number of classes."""
  architecture = ARCHITECTURES[name]
  weights, own_classes = load_weights(path, architecture)
  if own_classes != classes:
    raise UserError('the teacher %s has %d classes, the student %d: choose --teacher_path and '
                    '--weight_path of one number of classes' % (path, own_classes, classes))
  return architecture, weights
