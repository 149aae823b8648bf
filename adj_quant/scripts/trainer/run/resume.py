"""How a run starts: from scratch, from the state of a killed run, or not at all."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import uuid

from imagenet import INFO_FILE
from record_names import split_files
from scripts import checkpoint_files
from scripts.checkpoint_paths import find_checkpoint
from scripts.errors import UserError
from scripts.trainer.run import state as states

# Flags on which no value depends: where, how fast and how often, not what.
_FREE_FLAGS = {'output_dir', 'threads', 'keep', 'allow_growth', 'tfs', 'restart', 'save_steps',
               'overwrite', 'validation', 'export_training_graph', 'export_inference_graph',
               'num_clones', 'clone_on_cpu', 'ps_hosts', 'worker_hosts', 'job_name', 'task',
               'worker_timeout', 'quant_info', 'json_out'}
REPLICAS = 'num_clones x workers'
_FILE_FLAGS = ('dataset', 'weight_path', 'ckpt_path_thres', 'ckpt_path', 'teacher_path')


def configuration(values, options, replicas=1):
  """What the values of a run follow from, as a dict for JSON.

  Args:
    values: dict of all flags of the command line.
    options: `flags.ModelOptions`.
    replicas: towers of all workers, each with its own batch.

  Returns:
    {'flags': {flag: value}, 'inputs': {flag: {'path': path, 'content': fingerprint}}}: files are
    compared by their content, so they may move. A fingerprint is None where there is no file.
    A checkpoint has 'given' as well, the path on the command line, perhaps of a folder.
  """
  files = {'dataset': (values['dataset'], _fingerprint_records),
           'teacher_path': (values['teacher_path'], _fingerprint)}
  if options.ckpt_path:
    files['ckpt_path'] = (_resolved(options.ckpt_path), _fingerprint_checkpoint)
  else:
    files['weight_path'] = (options.weights_file, _fingerprint)
    if not options.measure_thresholds:  # Else the run makes them.
      files['ckpt_path_thres'] = (options.thresholds_file, _fingerprint)
  inputs = {flag: {'path': os.path.abspath(path), 'content': make(path)}
            for flag, (path, make) in files.items()}
  if options.ckpt_path:
    inputs['ckpt_path']['given'] = os.path.abspath(options.ckpt_path)
  flags = {flag: value for flag, value in values.items()
           if flag not in _FREE_FLAGS and flag not in _FILE_FLAGS}
  if replicas > 1:
    flags[REPLICAS] = replicas
  return {'flags': flags, 'inputs': inputs}


EARLIER = ('was %s', 'its content has changed')


def differences(old, new, words=EARLIER):
  """One string for each flag in which two configurations differ: '--lr 0.1 (was 0.2)'.

  Args:
    old, new: see `configuration`.
    words: about the value of `old`, and about a file that is another one in `old`.
  """
  was, other_content = words
  changes = ['--%s %s (%s)' % (flag, new['flags'].get(flag), was % old['flags'].get(flag))
             for flag in sorted(set(old['flags']) | set(new['flags']))
             if new['flags'].get(flag) != old['flags'].get(flag)]
  nothing = {'path': None, 'content': None}
  for flag in sorted(set(old['inputs']) | set(new['inputs'])):
    then, now = old['inputs'].get(flag, nothing), new['inputs'].get(flag, nothing)
    if 'given' in then and then['given'] == now.get('given'):
      # A folder may mean another checkpoint since, perhaps one of this very run.
      now = dict(now, path=then['path'], content=_fingerprint_checkpoint(then['path']))
    if then['path'] != now['path'] and (then['content'] != now['content'] or not now['content']):
      changes.append('--%s %s (%s)' % (flag, now['path'], was % then['path']))
    # A missing file was replaced by a better checkpoint, or will be missed by its reader.
    elif now['content'] not in (then['content'], None):
      changes.append('--%s %s (%s)' % (flag, now['path'], other_content))
  return changes


def find_state(folders, config, restart=False):
  """The `State` that a run with a configuration resumes from, None where it starts over.

  Files left half written by a killed run are removed.

  Args:
    folders: see `experiment.output_folders`.
    config: see `configuration`.
    restart: start over whatever there is.

  Raises:
    UserError: there is an unfinished run with another configuration.
  """
  folder = folders['weights']
  if restart:
    states.remove_state(folder)
  state = states.read_state(folder)
  if state is None:
    states.remove_state(folder)  # Arrays that no state came to name.
  else:
    changed = differences(state.config, config)
    if changed and not state.finished:
      raise UserError(
          'the unfinished run in %s had other flags: %s; it resumes with its own flags, and '
          '--restart starts over' % (os.path.dirname(folder), ', '.join(changed)))
    if changed:
      state = None
  states.tidy(folders, state)
  return state


def new_run():
  """An identifier of a run."""
  return uuid.uuid4().hex


@contextlib.contextmanager
def locked(folder):
  """Refuses a second run in a folder at the same time. The lock ends with the process."""
  handle = os.open(folder, os.O_RDONLY)
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as error:
    if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
      os.close(handle)
      raise UserError('another run is using %s: choose another --output_dir'
                      % os.path.dirname(folder))
    # Some file systems have no locks.
  try:
    yield
  finally:
    os.close(handle)


def needed_bytes(keep, kept, mini_epochs, states_at_once, checkpoint, state):
  """The most that a run adds to what it has on the disk.

  Args:
    keep: checkpoints kept; there is one more before the oldest goes.
    kept: those there are, None before the first state.
    mini_epochs: that are left. The average is one more checkpoint.
    states_at_once: the last good one, its successor, perhaps one between them.
    checkpoint, state: bytes of one.
  """
  own = max(0, min(keep + 1 - (kept or 0), mini_epochs)) + 1
  best = 2  # That of this run, which may still be to come, and its successor.
  return (own + best) * checkpoint + (states_at_once - (kept is not None)) * state


def check_space(folder, needed):
  """Raises UserError where fewer than `needed` bytes are free on the disk of a folder."""
  free = shutil.disk_usage(folder).free
  if free < needed:
    raise UserError(
        'a run writes up to %.1f MB more to %s and %.1f MB are free: free some, lower --keep or '
        'choose another --output_dir' % (needed / 1e6, os.path.dirname(folder), free / 1e6))


def _resolved(path):
  """The checkpoint that --ckpt_path means; as it is given where that is not there."""
  try:
    return find_checkpoint(path, log=lambda line: None)
  except UserError:  # A resumed run does not read it; a new one says what is wrong.
    return path


def _fingerprint(path):
  """Of one file's content, None where it cannot be read."""
  digest = hashlib.sha256()
  try:
    with open(path, 'rb') as stream:
      for block in iter(lambda: stream.read(1 << 20), b''):
        digest.update(block)
  except OSError:
    return None
  return digest.hexdigest()


def _fingerprint_checkpoint(path):
  """Of all files of a checkpoint, None where there is none."""
  if not os.path.exists(path + '.index'):
    return None
  return _join(_fingerprint(name) for name in checkpoint_files.checkpoint_files(path))


def _fingerprint_records(folder):
  """Of the names and sizes of the records, and of dataset.json."""
  try:
    names = split_files(folder, 'train') + split_files(folder, 'validation')
  except UserError:
    return None
  sizes = ['%s %d' % (os.path.basename(name), os.path.getsize(name)) for name in names]
  return _join(sizes + [_fingerprint(os.path.join(folder, INFO_FILE))])


def _join(parts):
  return hashlib.sha256(os.fsencode('\n'.join(map(str, parts)))).hexdigest()
