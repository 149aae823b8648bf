"""A slim checkpoint from arrays."""

import os
import tempfile

import tensorflow.compat.v1 as tf

from nets.nets_factory import get_network
from scripts.checkpoint_files import copy_checkpoint, delete_checkpoint, reason
from scripts.checkpoint_paths import LATEST, without_ending
from scripts.errors import UserError
from scripts.files import check_writable
from scripts.runtime import new_session
from training.model_file import read_model, write_model


def target_path(dest, overwrite=False):
  """The checkpoint that DEST means: itself if its name has '.ckpt' in it, else one in that folder.

  Args:
    dest: as the user gives it, perhaps one of the files of a checkpoint.
    overwrite: whether a checkpoint that exists may be replaced.

  Raises:
    UserError: nothing can be written there, a checkpoint is there, or the folder has other ones.
  """
  if os.path.basename(dest) == LATEST and os.path.isfile(dest):
    dest = os.path.dirname(dest) or '.'
  name = without_ending(dest)
  is_name = not os.path.isdir(dest) and ('.ckpt' in os.path.basename(name)
                                         or os.path.exists(name + '.index'))
  path = name if is_name else os.path.join(dest, 'model.ckpt-0')
  folder = os.path.dirname(os.path.abspath(path))
  check_writable(folder)
  if os.path.exists(path + '.index') and not overwrite:
    raise UserError('the checkpoint %s exists already: choose a folder of its own for DEST, or '
                    '--overwrite replaces it and its model.json' % path)
  others = [name for name in sorted(os.listdir(folder))
            if name.endswith('.index') and name != os.path.basename(path) + '.index']
  if others:
    raise UserError('%s holds another checkpoint, %s, and one model.json describes a folder: '
                    'choose a folder of its own' % (folder, others[0][:-len('.index')]))
  return path


def check_model(path, model, overwrite=False):
  """Refuses to replace the model.json beside `path` where it describes another `Model`."""
  described = None if overwrite else read_model(path)
  if described and described[1] != model._asdict():
    raise UserError('the model.json beside %s describes other checkpoints: choose a folder of its '
                    'own for DEST, or --overwrite replaces it' % path)


def load_variables(session, variables, values):
  """Gives every variable its value.

  Args:
    session: of the variables' graph.
    variables: list; float32.
    values: dict name -> array, with exactly these names and shapes.

  Raises:
    UserError: a name is missing or unknown, or a shape is another one.
  """
  by_name = {variable.op.name: variable for variable in variables}
  for name in sorted(set(by_name) ^ set(values)):
    raise UserError('variable %s is known to the %s only: weights and network do not belong '
                    'together' % (name, 'network' if name in by_name else 'weights'))
  for name, variable in by_name.items():
    if values[name].shape != tuple(variable.shape.as_list()):
      raise UserError('%s has the shape %s, the network needs %s'
                      % (name, list(values[name].shape), variable.shape.as_list()))
  # All in one run: a run prunes the whole graph, and `load` makes one for each variable.
  session.run([variable.initializer for variable in by_name.values()],
              {variable.initializer.inputs[1]: values[name] for name, variable in by_name.items()})


def write_checkpoint(path, model, values):
  """Writes the variables of a network, global step 0, and model.json beside them.

  Nothing is at `path` before all of it is there: its index comes last.

  Args:
    path: see `target_path`.
    model: the `Model` that the values are of.
    values: dict name -> array.

  Raises:
    UserError: the values are not those of the network, or cannot be written.
  """
  folder = os.path.dirname(os.path.abspath(path))
  with tf.Graph().as_default(), new_session() as session, tempfile.TemporaryDirectory() as scratch:
    images = tf.placeholder(tf.float32, [None, model.image_size, model.image_size, 3])
    get_network(model.model_name).build(images, model.num_classes, is_training=False)
    load_variables(session, tf.global_variables(), values)
    session.run(tf.train.get_or_create_global_step().initializer)
    saved = os.path.join(scratch, os.path.basename(path))
    try:
      tf.train.Saver(tf.global_variables()).save(session, saved, write_meta_graph=False,
                                                 write_state=False)
      delete_checkpoint(path)
      write_model(folder, model)
      copy_checkpoint(saved, folder)
      tf.train.update_checkpoint_state(folder, os.path.basename(path))
    except (tf.errors.OpError, OSError) as error:
      raise UserError('cannot write checkpoint %s: %s' % (path, reason(error)))
