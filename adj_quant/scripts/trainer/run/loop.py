"""The training loop: mini-epochs of steps, each followed by validation, a checkpoint and a state.

A run resumes from its last `state.State` as if it had never stopped. Where `guard` detects a fault
it returns to its last good mini-epoch with lower learning rates.
"""

import os
import time
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf
import tqdm

from scripts import events
from scripts.errors import UserError
from scripts.trainer.bit_report import mean_bits_by_kind
from scripts.trainer.run import best, guard, progress, schedule
from scripts.trainer.run.averaging import WeightAverage
from scripts.trainer.run.resume import check_space, needed_bytes, new_run
from scripts.trainer.run.state import State

LOG_EVERY = 10  # Steps between points in TensorBoard.


class Training(NamedTuple):
  """What is trained, and how long."""
  spec: Any  # student.ModelSpec.
  image_size: int  # Pixels a side.
  config: Any  # config.TrainConfig.
  steps: Any  # config.Steps.

  @property
  def mini_epochs(self):
    """Mini-epochs of the run."""
    return schedule.total_mini_epochs(self.config)

  @property
  def total(self):
    """Steps of the run."""
    return self.mini_epochs * self.steps.mini_epoch


class Output(NamedTuple):
  """What a run leaves behind, and where."""
  description: dict  # What is saved beside every checkpoint.
  dataset: str  # Identifies the validation images when scores are compared.
  weights_folder: str
  best_folder: str
  keep: int  # Checkpoints kept besides the best.
  save_steps: int  # Steps between states inside a mini-epoch, 0: none there.


class Run(NamedTuple):
  """A prepared training run."""
  session: Any
  graph: Any  # train_graph.TrainGraph.
  training: Training
  data: Any  # work.DataFeeds.
  output: Output
  checkpointer: Any  # checkpoints.Checkpointer.
  store: Any  # state.Store.
  summaries: Any  # tensorboard.Summaries.
  team: Any  # work.Alone or work.Lead.


def first_state(run, config, accuracy):
  """Makes the `State` before the first step, with its files, the current one.

  Args:
    run: `Run` with its first values.
    config: see `resume.configuration`.
    accuracy: `evaluation.Accuracy` of the student.
  """
  check_space(run.output.weights_folder, _bytes(run, None))
  point = run.store.write(0, run.store.values(), WeightAverage())
  state = State(
      run=new_run(), config=config, model=run.output.description['model'], good=point, point=point,
      reference=guard.Reference().after(accuracy, None), best=best.record(run.output.best_folder))
  run.store.commit(state)
  return state


def announce(run, state):
  """Says where a run resumes, if the disk has room for it."""
  check_space(run.output.weights_folder, _bytes(run, state))
  training, step = run.training, state.point.step
  mini_epoch = step // training.steps.mini_epoch + 1
  print('resuming at step %d of %d (mini-epoch %d of %d)%s' % (
      step, training.total, min(mini_epoch, training.mini_epochs), training.mini_epochs,
      '' if state.factor == 1 else ', learning rates x %g' % state.factor))
  if state.tensorflow != tf.version.VERSION:
    print('note: TensorFlow was %s and is %s, so the run goes on with the same values but not with '
          'the same last bits' % (state.tensorflow, tf.version.VERSION))


def _bytes(run, state):
  """The most that a run adds to what its state, None before the first, has on the disk."""
  average = 0
  if run.training.config.swa_delay is not None:
    average = 8 * sum(int(f.variable.shape[0]) for f in run.graph.parameters.trained)
  done = state.point.step // run.training.steps.mini_epoch if state else 0
  return needed_bytes(
      keep=run.output.keep, kept=len(state.kept) if state else None,
      mini_epochs=run.training.mini_epochs - done, states_at_once=3 if run.output.save_steps else 2,
      checkpoint=run.checkpointer.bytes, state=run.store.bytes + average)


def train(run, state):
  """Trains from a `State` to the end; returns the last one.

  Where averaging is on, the last checkpoint is the average.

  Raises:
    UserError: nothing can be written, or rollbacks do not help.
  """
  print('%d steps per epoch, %d per mini-epoch, %d mini-epochs' % (
      run.training.steps + (run.training.mini_epochs,)))
  run.session.graph.finalize()
  average = _go_to(run, state.point)
  while state.point.step < run.training.total:
    try:
      state = _mini_epoch(run, state, average)
    except guard.Fault as fault:
      state = _roll_back(run, state, fault)
      average = _go_to(run, state.point)
  return _finish(run, state, average)


def _go_to(run, point):
  """Loads all values of a `state.Point` and finds its place in the data; returns the average."""
  average = run.store.load(point)
  run.team.go_to(run, point.step)
  return average


def _roll_back(run, state, fault):
  """Makes the last good mini-epoch, with lower learning rates, the current `State`."""
  if state.rollbacks == guard.ROLLBACKS:
    raise UserError('%s, after %d rollbacks in a row: start over with --restart and a lower --lr '
                    'or --lr_bits, perhaps with --ckpt_path at a checkpoint in %s'
                    % (fault, state.rollbacks, run.output.weights_folder))
  state = state._replace(point=state.good, factor=state.factor * guard.FACTOR,
                         rollbacks=state.rollbacks + 1, obsolete=[])
  tqdm.tqdm.write('%s: back to step %d, learning rates x %g (rollback %d of %d)' % (
      fault, state.point.step, state.factor, state.rollbacks, guard.ROLLBACKS))
  run.store.commit(state)
  return state


def _mini_epoch(run, state, average):
  """Trains to the end of a mini-epoch; returns the `State` there. Raises `guard.Fault`."""
  sums = _train_mini_epoch(run, state, average)
  training, output = run.training, run.output
  steps = training.steps
  step = (state.point.step // steps.mini_epoch + 1) * steps.mini_epoch
  means = {name: total / steps.mini_epoch for name, total in sums.items()}
  values = run.store.values()
  guard.check_values(dict(values, bits=run.session.run(run.graph.student.bits)), step)
  guard.check_total(means, training.spec.classes, training.config, step)
  measure = progress.measure(run)
  reference = guard.judge(measure.accuracy, training.spec.classes, means['classification'],
                          state.reference, step)
  saved = progress.save(run, state, step, title='epoch %.1f' % (step / float(steps.epoch)),
                        measure=measure, means=means)
  point = run.store.write(step, values, average)
  kept = state.kept + [saved.name]
  obsolete = [os.path.join(output.weights_folder, name) for name in kept[:-output.keep]]
  state = state._replace(good=point, point=point, reference=reference, rollbacks=0,
                         kept=kept[-output.keep:])
  return _commit(run, state, saved, obsolete)


def _commit(run, state, saved, obsolete=()):
  """Makes a `State` current after its checkpoint; returns it."""
  obsolete = list(obsolete) + ([saved.replaced] if saved.replaced else [])
  root = os.path.dirname(run.output.weights_folder)
  state = state._replace(last=saved.name, best=best.record(run.output.best_folder),
                         obsolete=[os.path.relpath(path, root) for path in obsolete])
  run.store.commit(state)
  return state


def _finish(run, state, average):
  """Ends the run, with a checkpoint of the average where there is one; returns the `State`."""
  state = state._replace(finished=True, obsolete=[])
  if not average.count:
    run.store.commit(state)
    return state
  for flat, values in zip(run.graph.parameters.trained, average.mean()):
    flat.variable.load(values, run.session)
  saved = progress.save(run, state, run.training.total, title='average of %d' % average.count,
                        measure=progress.measure(run), means={}, suffix='_swa')
  return _commit(run, state, saved)


def _train_mini_epoch(run, state, average):
  """Runs the steps up to the end of a mini-epoch; returns the sum of each part of the loss."""
  config, steps = run.training.config, run.training.steps
  mini_epoch, first = divmod(state.point.step, steps.mini_epoch)
  with_bits = (run.training.spec.precision.learns_bits
               and schedule.trains_bits(mini_epoch, config))
  update = run.graph.ops.train_with_bits if with_bits else run.graph.ops.train
  sums, started = dict(state.point.sums), time.time()
  bar = tqdm.trange(first, steps.mini_epoch, leave=False, mininterval=1.0, unit='step',
                    desc='mini-epoch %d%s' % (mini_epoch + 1, ' (bits)' if with_bits else ''))
  for index in bar:
    step = mini_epoch * steps.mini_epoch + index
    values, bits = _step(run, update, step, state.factor)
    if step == 0:
      events.tell(events.FIRST_STEP)
    sums = {name: sums.get(name, 0.0) + value for name, value in values.items()}
    rate = (index + 1 - first) * run.data.step_images / (time.time() - started)
    bar.set_postfix_str('loss %.3f, metric %.4f, bits %.2f/%.2f, %.1f images/s' % (
        (values['total'], values['metric']) + bits + (rate,)))
    if step % LOG_EVERY == 0:
      run.summaries.scalars(step, dict({'loss/' + k: v for k, v in values.items()}, **{
          'learning_rate': state.factor * schedule.learning_rate(step, config),
          'images_per_second': rate}))
    if schedule.joins_average(step + 1, steps, config):
      average.add(run.session.run([f.variable for f in run.graph.parameters.trained]))
    if _saves_state(step + 1, run.output.save_steps, steps.mini_epoch):
      point = run.store.write(step + 1, run.store.values(), average, sums)
      run.store.commit(state._replace(point=point, obsolete=[]))
  return sums


def _saves_state(steps_done, save_steps, mini_epoch):
  """True where a state is saved inside a mini-epoch; that at its end is saved in any case."""
  return save_steps and steps_done % save_steps == 0 and steps_done % mini_epoch != 0


def _step(run, update, step, factor):
  """One update; returns, from before it, the loss's parts and mean bits of weights and acts."""
  config = run.training.config
  if schedule.resets_optimizer(step, config):
    run.session.run(run.graph.ops.reset)
  parts, bits = run.team.step(run, step, update, {
      run.graph.ops.learning_rate: factor * schedule.learning_rate(step, config),
      run.graph.lr_bits: factor * config.lr_bits})
  guard.check_loss(parts.total, step)
  return ({name: float(value) for name, value in parts._asdict().items()},
          mean_bits_by_kind(bits, run.graph.student.nodes))
