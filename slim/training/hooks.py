"""What happens between steps: progress lines, TensorBoard points, checkpoints, the end."""

import math
import os
import signal
import sys
import time

import tensorflow.compat.v1 as tf
import tqdm

from scripts.checkpoint_files import saving
from scripts.errors import UserError
from training.initialization import CHECKPOINT


class StopHook(tf.train.SessionRunHook):
  """Ends a run after its last step, on a signal, or when the chief has left."""

  def __init__(self, global_step, last_step, chief_left=None):
    """Describes the end.

    Args:
      global_step: int64 [], after the update.
      last_step: None: there is none.
      chief_left: int32 [], not 0 when the chief has ended; None: this process is the chief.
    """
    self._fetches = [global_step] + ([] if chief_left is None else [chief_left])
    self._last_step = last_step
    self.chief_left = False
    self._former = {}
    self.step = None  # The last one of this process.
    self.signal = None  # The first one that came.

  def __enter__(self):
    for number in (signal.SIGINT, signal.SIGTERM):
      self._former[number] = signal.signal(number, self._receive)
    return self

  def __exit__(self, *unused):
    for number, handler in self._former.items():
      signal.signal(number, handler)

  def _receive(self, number, frame):
    del frame
    if self.signal is not None:  # The step does not end, or who waits has no patience.
      raise KeyboardInterrupt
    self.signal = number

  def after_create_session(self, session, coord):
    self.step = int(session.run(tf.train.get_global_step()))
    if self._is_last():
      coord.request_stop()

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._fetches)

  def after_run(self, run_context, run_values):
    step, *chief_left = run_values.results
    self.step, self.chief_left = int(step), any(chief_left)
    if self.signal is not None or self.chief_left or self._is_last():
      run_context.request_stop()

  def _is_last(self):
    return self._last_step is not None and self.step >= self._last_step


class SaveHook(tf.train.SessionRunHook):
  """Saves checkpoints: every so many steps or seconds, and at the end."""

  def __init__(self, saver, folder, global_step, loop):
    """Args: a `tf.train.Saver`, the folder, step after the update, `config.LoopConfig`."""
    self._saver = saver
    self._path = os.path.join(folder, CHECKPOINT)
    self._global_step = global_step
    self._loop = loop
    self._saved_step = self._saved_time = None
    self.path = None  # The last one.

  def after_create_session(self, session, coord):
    self._saved_step, self._saved_time = session.run(tf.train.get_global_step()), time.time()

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._global_step)

  def after_run(self, run_context, run_values):
    if self._is_time(run_values.results):
      self._save(run_context.session)

  def end(self, session):
    if session.run(tf.train.get_global_step()) != self._saved_step:
      self._save(session)

  def _is_time(self, step):
    if self._loop.save_interval_steps:
      return step >= self._saved_step + self._loop.save_interval_steps
    return time.time() >= self._saved_time + self._loop.save_interval_secs

  def _save(self, session):
    step = session.run(tf.train.get_global_step())
    with saving('%s-%d' % (self._path, step)):
      self.path = self._saver.save(session, self._path, step, write_meta_graph=False)
    self._saved_step, self._saved_time = step, time.time()


class LogHook(tf.train.SessionRunHook):
  """Prints a line every few steps, writes TensorBoard points, ends a run whose loss is not finite.
  """

  def __init__(self, graph, loop, images_per_step, folder=None):
    """Args: `TrainGraph`, `config.LoopConfig`, images a step, the folder of TensorBoard's log."""
    self._fetches = {'loss': graph.loss, 'learning_rate': graph.learning_rate,
                     'step': graph.global_step}
    self._loop = loop
    self._images = images_per_step
    self._writer = tf.summary.FileWriter(folder) if folder else None
    self._progress = None
    self._first = self._written = None  # (step, time) of the last line, time of the last point.

  def after_create_session(self, session, coord):
    step = int(session.run(tf.train.get_global_step()))
    self._first, self._written = (step, time.time()), 0.0
    if self._progress is None and sys.stderr.isatty():
      self._progress = tqdm.tqdm(total=self._loop.max_number_of_steps, initial=step, unit='step',
                                 leave=False)

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._fetches)

  def after_run(self, run_context, run_values):
    values = dict(run_values.results)
    step = int(values.pop('step'))
    if not math.isfinite(values['loss']):
      raise UserError('the loss is not a finite number in step %d: start again from an earlier '
                      'checkpoint with a lower --learning_rate' % step)
    now = time.time()
    steps, seconds = step - self._first[0], now - self._first[1]
    values['images_per_second'] = steps * self._images / max(seconds, 1e-9)
    if self._progress is not None:
      self._progress.update(step - self._progress.n)
    if steps >= self._loop.log_every_n_steps or step == self._loop.max_number_of_steps:
      self._first = step, now
      tqdm.tqdm.write('step %d: loss %.4f, learning rate %.3g, %.1f images/s' % (
          step, values['loss'], values['learning_rate'], values['images_per_second']))
      sys.stdout.flush()
    if self._writer and now >= self._written + self._loop.save_summaries_secs:
      self._written = now
      self._write(step, values)

  def _write(self, step, values):
    values_of_tags = [tf.Summary.Value(tag=tag, simple_value=float(v)) for tag, v in values.items()]
    self._writer.add_summary(tf.Summary(value=values_of_tags), step)
    self._writer.flush()

  def end(self, session):
    if self._writer:
      self._writer.close()
    if self._progress is not None:
      self._progress.close()
