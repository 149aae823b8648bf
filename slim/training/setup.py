"""From flags to a run: which images, which outputs, which folder."""

from data import FILES_AT_ONCE, possible_readers
from datasets.dataset_factory import get_split
from imagenet import describe_labels, label_offset
from nets.nets_factory import get_network
from scripts.checkpoint_files import remove_temporary
from scripts.checkpoint_paths import checkpoint_names
from scripts.errors import UserError
from scripts.files import check_writable, remove_unfinished
from training import model_file
from training.config import DataConfig, scopes
from training.graph import Problem, batch_of_worker
from training.initialization import latest_checkpoint


def find_problem(config, cluster, log=print):
  """The images to train on and what follows from them; raises UserError.

  Args:
    config: `config.TrainConfig`.
    cluster: `plan.Cluster`.
    log: receives a line for the user.

  Returns:
    `graph.Problem`.
  """
  network, images = config.network, config.data
  split = get_split(images.dataset_name, images.dataset_split_name, images.dataset_dir)
  classes = network.num_classes or split.info.classes
  offset = checked_offset(classes, split.info, network.labels_offset)
  batch = batch_of_worker(config) * cluster.workers
  if batch > split.count:
    raise UserError('a step takes %d images (--batch_size, clones, workers), the split %s has %d'
                    % (batch, split.name, split.count))
  size = images.train_image_size or get_network(network.model_name).architecture.image_size
  log('%d images of "%s" (%s) at %d px, %s' % (split.count, split.info.name, split.name, size,
                                               describe_labels(classes, split.info)))
  readers = possible_readers(split, images.num_readers)
  if readers < images.num_readers and images.num_readers > DataConfig().num_readers:
    log('--num_readers=%d: %d readers are used (one a file, at most %d)'
        % (images.num_readers, readers, FILES_AT_ONCE))
  return Problem(split, classes, size, offset)


def checked_offset(classes, info, given):
  """What is subtracted from labels; a `given` offset (--labels_offset) must be that."""
  offset = label_offset(classes, info)
  if given not in (None, offset):
    raise UserError('--labels_offset=%d: %d outputs and the labels %d to %d of "%s" need %d; leave '
                    'the flag out' % (given, classes, info.first_label, info.last_label, info.name,
                                      offset))
  return offset


def prepare_folder(config, problem, flags):
  """Makes --train_dir, writes its model.json, or refuses a folder of another network.

  Args:
    config: `config.TrainConfig`.
    problem: `graph.Problem`.
    flags: dict of all flags, kept for the reader.
  """
  folder, network = config.start.train_dir, config.network
  check_writable(folder)
  remove_unfinished(folder)
  remove_temporary(folder)
  model = model_file.Model(
      model_name=network.model_name, num_classes=problem.classes, image_size=problem.image_size,
      labels_offset=problem.labels_offset, quantized=network.quantize_delay >= 0,
      moving_average_decay=config.start.moving_average_decay)
  others = {'optimizer': config.optimizer.optimizer,
            'trainable_scopes': scopes(network.trainable_scopes)}
  has_checkpoints = checkpoint_names(folder) or latest_checkpoint(folder, log=lambda line: None)
  earlier = model_file.read_model(folder) if has_checkpoints else None
  if earlier:
    model_file.check_same(dict(model._asdict(), **others), earlier[1], folder,
                          config.start.checkpoint_path)
  else:
    model_file.write_model(folder, model, flags=flags, **others)
