"""The stages of the demo, from its records to its evaluation."""

import os
from typing import NamedTuple

from scripts.cost import METRIC_OPS, METRIC_PARAMS, PUBLISHED_SWISH_OPS, WORD
from scripts.effnetb0.architecture import EFFICIENTNET_B0, layers
from scripts.paths import ADJ_QUANT, FASHION_MNIST_SUBSET, FLOAT_WEIGHTS, SLIM
from scripts.pipeline.stages import Newest, Stage

STAGES = 9  # With the records.
LOGITS = 'efficientnet_b0/Logits'
TARGET = 0.37  # Of the published metric at 8 bits: some 3 bits for weights, 5 for activations.


class Recipe(NamedTuple):
  """How much is done."""
  float_steps: int
  qat_steps: int
  steps: int  # Of training with precision.
  lr_bits: float
  finetune_steps: int
  batch_size: int
  train_images: int  # The most that adj_quant uses.
  calibration_images: int
  progress_images: int  # Validation images after each mini-epoch.
  val_images: int  # The most that the evaluations use.


class Data(NamedTuple):
  """The images of a demonstration."""
  folder: str  # Of its records.
  records: int  # For training.
  images: int  # Of those, what adj_quant uses.
  classes: int
  keeps_head: bool  # True where the classes are those of the first weights.
  image_size: int


FULL = Recipe(float_steps=240, qat_steps=48, steps=192, lr_bits=7e-3, finetune_steps=48,
              batch_size=64, train_images=10000, calibration_images=500, progress_images=400,
              val_images=2000)
QUICK = Recipe(float_steps=16, qat_steps=2, steps=6, lr_bits=8e-2, finetune_steps=2,
               batch_size=32, train_images=640, calibration_images=64, progress_images=64,
               val_images=200)
# Pixels a side -> images a batch: what keeps a step near that of the embedded set.
_BATCH_SIZES = ((64, 64), (128, 16), (10 ** 6, 8))


def fit(recipe, image_size):
  """`recipe` with no more images a batch than large images allow."""
  most = next(batch for size, batch in _BATCH_SIZES if image_size <= size)
  return recipe._replace(batch_size=min(recipe.batch_size, most))


def metric_target(data):
  """The published metric to train for, which depends on the pixels and the classes of `Data`."""
  table = layers(EFFICIENTNET_B0, data.image_size, data.classes)
  params = sum(layer.params + layer.outputs for layer in table)
  swish = sum(layer.outputs * layer.pixels for layer in table if layer.nonlinearity == 'swish')
  ops = 2.0 * sum(layer.macs for layer in table) + PUBLISHED_SWISH_OPS * swish
  return round(TARGET * 8 / WORD * (params / METRIC_PARAMS + ops / METRIC_OPS), 3)


def data_stage(work):
  """The stage that makes records of the embedded set, and their folder."""
  folder = os.path.join(work, 'records')
  return Stage('records', 'Fashion-MNIST records', (
      _slim('datasets/build_fashion_mnist.py', input_directory=FASHION_MNIST_SUBSET,
            output_directory=folder),),
               resumes=True)


def check_stage(work, folder):
  """The stage that checks a user's records."""
  return Stage('records', 'check of the records', (
      (_script('slim', 'datasets/check_records.py'), folder,
       '--json_out=' + os.path.join(work, 'records', 'check.json')),))


def stages(work, data, recipe):
  """All stages after the records.

  Args:
    work: folder that receives a folder for each stage.
    data: `Data`.
    recipe: `Recipe`.

  Returns:
    List of `Stage`.
  """
  folders = {name: os.path.join(work, name) for name in (
      'start', 'float', 'qat', 'frozen', 'uniform', 'training', 'finetuning', 'evaluation')}
  return [
      Stage('start', 'checkpoint of ImageNet\'s weights', (_start(folders, data, recipe),)),
      Stage('float', 'float training', (_float_training(folders, data, recipe),
                                        _slim_evaluation(folders['float'], data, recipe)),
            resumes=True),
      Stage('qat', 'quantisation-aware training', (
          _qat(folders, data, recipe), _slim_evaluation(folders['qat'], data, recipe)),
            resumes=True),
      Stage('frozen', 'export, freeze, pickle', _freezing(folders, data)),
      Stage('uniform', 'ranges, evaluation at 8/8', (_uniform(folders, data, recipe),)),
      Stage('training', 'training of ranges and bits', (_training(folders, data, recipe),),
            resumes=True),
      Stage('finetuning', 'fine-tuning, averaging', (_finetuning(folders, data, recipe),),
            resumes=True),
      Stage('evaluation', 'evaluation', (_evaluation(folders, data, recipe),)),
  ]


def _script(half, name):
  return os.path.join(SLIM if half == 'slim' else ADJ_QUANT, *name.split('/'))


def _slim(name, **flags):
  return (_script('slim', name),) + tuple('--%s=%s' % item for item in sorted(flags.items()))


def _start(folders, data, recipe):
  return (_script('slim', 'ckpt_assigner.py'), FLOAT_WEIGHTS, folders['start'],
          '--dataset_dir=' + data.folder, '--image_size=%d' % data.image_size,
          '--images=%d' % recipe.calibration_images, '--batch_size=%d' % recipe.batch_size)


def _slim_training(folder, start, data, recipe, steps, **flags):
  epochs = steps * recipe.batch_size / float(data.records)
  return _slim('train_image_classifier.py', train_dir=folder, checkpoint_path=start,
               dataset_dir=data.folder, model_name='efficientnet_b0',
               preprocessing_name='efficientnet_central', train_image_size=data.image_size,
               batch_size=recipe.batch_size, max_number_of_steps=steps, optimizer='adam',
               learning_rate_decay_type='cosine', num_epochs_per_decay=epochs,
               end_learning_rate=0, weight_decay=0, drop_connect=0, log_every_n_steps=10,
               save_interval_steps=100, save_summaries_secs=5, **flags)


def _float_training(folders, data, recipe):
  head = {} if data.keeps_head else {'checkpoint_exclude_scopes': LOGITS}
  return _slim_training(
      folders['float'], folders['start'], data, recipe, recipe.float_steps,
      learning_rate=1e-5 if data.keeps_head else 5e-4, moving_average_decay=0.98,
      batch_norm_decay=0.95, **head)


def _qat(folders, data, recipe):
  return _slim_training(
      folders['qat'], folders['float'], data, recipe, recipe.qat_steps,
      learning_rate=1e-6 if data.keeps_head else 1e-4, quantize_delay=0,
      freeze_batch_norm_delay=0)


def _slim_evaluation(folder, data, recipe):
  return _slim('eval_image_classifier.py', checkpoint_path=folder, dataset_dir=data.folder,
               eval_dir=os.path.join(folder, 'eval'), batch_size=4 * recipe.batch_size,
               max_num_images=recipe.val_images, json_out=os.path.join(folder, 'eval.json'))


def _freezing(folders, data):
  commands = []
  for name in ('float', 'qat'):
    graph, frozen = (os.path.join(folders['frozen'], name + end) for end in (
        '_graph.pb', '_frozen.pb'))
    commands += [
        _slim('export_inference_graph.py', model_name='efficientnet_b0', output_file=graph,
              image_size=data.image_size, num_classes=data.classes)
        + (('--quantize',) if name == 'qat' else ()),
        _slim('freeze_graph.py', input_graph=graph, input_checkpoint=folders[name],
              output_graph=frozen),
        (_script('adj_quant', 'prepare_weights.py'), frozen)]
  return tuple(commands)


def _pickles(folders):
  return [os.path.join(folders['frozen'], name + '_frozen_weights.pickle')
          for name in ('float', 'qat')]


def _adj_quant(script, data, *flags):
  return (_script('adj_quant', script), '--dataset', data.folder) + tuple(
      str(flag) for flag in flags)


def _adj_quant_evaluation(data, recipe, folder, *flags):
  return _adj_quant(
      'eval.py', data, '--batch_size', 4 * recipe.batch_size, '--val_images', recipe.val_images,
      '--quant_info', os.path.join(folder, 'quant_info.json'),
      '--json_out', os.path.join(folder, 'eval.json'), *flags)


def _adj_quant_training(folders, folder, data, recipe, *flags):
  return _adj_quant(
      'train.py', data, '--batch_size', recipe.batch_size, '--train_images', data.images,
      '--val_images', recipe.progress_images, '--img_size', data.image_size,
      '--teacher_path', _pickles(folders)[0], '--alpha', 1, '--lr_decay', 0,
      '--output_dir', folder, *flags)


def _epochs(steps, data, recipe):
  return steps * recipe.batch_size / float(data.images)


def _uniform(folders, data, recipe):
  teacher, start = _pickles(folders)
  return _adj_quant_evaluation(
      data, recipe, folders['uniform'], '--img_size', data.image_size, '--weight_path', start,
      '--teacher_path', teacher, '--tfs', '-e', '--ckpt_path_thres', _thresholds(folders),
      '--calib_images', recipe.calibration_images)


def _thresholds(folders):
  return os.path.join(folders['uniform'], 'thresholds.json')


def _training(folders, data, recipe):
  return _adj_quant_training(
      folders, folders['training'], data, recipe, '--weight_path', _pickles(folders)[1],
      '--ckpt_path_thres', _thresholds(folders), '--bits_trainable', '--weight_bits', 6,
      '--act_bits', 6, '--iter_train', '--max_epoch', _epochs(recipe.steps, data, recipe),
      '--beta', 100, '--metric', metric_target(data), '--lr', 1e-4, '--lr_bits', recipe.lr_bits)


def _finetuning(folders, data, recipe):
  epochs = _epochs(recipe.finetune_steps, data, recipe)
  return _adj_quant_training(
      folders, folders['finetuning'], data, recipe, '--finetune', '--max_epoch', epochs,
      '--beta', 0, '--lr', 3e-5, '--swa_delay', epochs / 2, '--swa_freq', epochs / 16,
      '--ckpt_path') + (Newest(os.path.join(folders['training'], 'weights')),)


def _evaluation(folders, data, recipe):
  return _adj_quant_evaluation(data, recipe, folders['evaluation'], '--ckpt_path') + (
      Newest(os.path.join(folders['finetuning'], 'weights')),)
