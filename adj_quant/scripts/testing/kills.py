"""Runs train.py on a tiny experiment and kills it again and again, for resume_test.py.

    python -m scripts.testing.kills FOLDER KILLS SEED

A process of its own that never has a session, so that it can fork: each run is a child, which costs
a graph and no import of TensorFlow. Some kills come at random times, the others at a random call of
what writes files or runs the session, before or after it; so kills hit the middle of writes.
"""

import json
import mmap
import os
import random
import signal
import sys
import time
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from scripts.testing import network as testing_network
from scripts.trainer.run import guard, loop, progress
from scripts.trainer.run import state as states
import train

FLAGS = ['--model', 'tiny', '--tea_model', 'tiny', '--batch_size', 1, '--threads', 1, '-e',
         '--overwrite', '--weight_bits', 0, '--act_bits', -1, '--swish_bits', -1, '--bias_bits', 0,
         '--aug', '--iter_train', '--max_epoch', 0.8, '--reinit', 7, '--swa_delay', 0.35,
         '--swa_freq', 0.1, '--keep', 2, '--lr', 1e-4, '--lr_bits', 0.02, '--metric', 1e-9]
PHASES = ('start', 'first state', 'steps', 'validation', 'checkpoint', 'arrays', 'commit',
          'rollback', 'end')
FAULT_STEP = 13  # Fails at the full learning rates: inside of the fifth mini-epoch of three steps.
WRITES = ((os, 'replace'), (os, 'fsync'), (os, 'remove'))
STEPS = ((tf.Session, 'run'),)


class Kill(NamedTuple):
  """When a child dies."""
  seconds: Any  # After its start; None where a call decides.
  calls: tuple = ()  # Functions, each (owner, name).
  number: int = 0  # At which call of any of them, from 1.
  after: bool = False  # After that call, not before.


# At the start, at writes of the first mini-epoch and in its steps, however fast the machine is.
FIRST_KILLS = [Kill(0.0)] + [Kill(None, WRITES, number, number % 2 == 0)
                             for number in (1, 4, 9, 16, 25)] + [Kill(None, STEPS, 6)]


class Children:
  """Forks runs of train.py in one experiment."""

  def __init__(self, folder):
    self._folder, self._phase = folder, mmap.mmap(-1, 1)  # Shared with the children.
    self._call(lambda: testing_network.write_experiment(folder))

  def run(self, output, kill=None, flags=()):
    """Starts train.py; returns its status (-9 when killed), and the phase in which it ended."""
    inputs = [part for flag, name in (
        ('dataset', 'records'), ('weight_path', 'weights.pickle'),
        ('teacher_path', 'weights.pickle'), ('ckpt_path_thres', 'thresholds.json'))
              for part in ('--' + flag, os.path.join(self._folder, name))]
    argv = [str(part) for part in FLAGS + inputs + ['--output_dir', output] + list(flags)]

    def child():
      watch(self._phase)
      if kill and kill.calls:
        die_at(kill, self._phase)
      return train.main(argv)

    self._phase[0] = 0
    status = self._call(child, output + '.txt', kill.seconds if kill else None)
    return status, PHASES[self._phase[0]]

  def _call(self, function, log=os.devnull, seconds=None):
    """Forks; returns the child's status."""
    pid = os.fork()
    if not pid:
      status = 1
      try:
        sys.stdout = sys.stderr = open(log, 'a', buffering=1)
        with testing_network.known():
          status = function()
      finally:
        os._exit(status if isinstance(status, int) else 0)
    if seconds is not None:
      time.sleep(seconds)
      os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def watch(phase):
  """Lets train.py note in `phase` what it is doing, and adds the fault."""
  def noted(owner, name, number):
    original = getattr(owner, name)

    def call(*args, **options):
      before, phase[0] = phase[0], number
      result = original(*args, **options)
      phase[0] = before
      return result

    setattr(owner, name, call)

  for owner, name, title in (
      (loop, 'first_state', 'first state'), (loop, '_train_mini_epoch', 'steps'),
      (progress, 'measure', 'validation'), (progress, 'save', 'checkpoint'),
      (states.Store, 'write', 'arrays'), (states.Store, 'commit', 'commit'),
      (loop, '_roll_back', 'rollback'), (loop, '_finish', 'end')):
    noted(owner, name, PHASES.index(title))
  step = loop._step

  def failing_step(run, update, number, factor):
    if number == FAULT_STEP and factor == 1:
      raise guard.Fault('a fault was put in at step %d' % number)
    return step(run, update, number, factor)

  loop._step = failing_step


def die_at(kill, phase):
  """Kills this process at the `kill.number`-th call of any of its functions after the start."""
  calls = []

  def deadly(original):
    def call(*args, **options):
      if phase[0]:
        calls.append(None)
      number = len(calls)
      if number == kill.number and not kill.after:
        os.kill(os.getpid(), signal.SIGKILL)
      result = original(*args, **options)
      if number == kill.number and phase[0]:
        os.kill(os.getpid(), signal.SIGKILL)
      return result
    return call

  for owner, name in kill.calls:
    setattr(owner, name, deadly(getattr(owner, name)))


def random_kill(source, start_seconds):
  """A `Kill`: one in five at a time near the start, the others after it, most at a write.

  In a mini-epoch are some 40 calls that write and 30 runs of a session.
  """
  kind = source.choice(('time', 'write', 'write', 'write', 'step'))
  if kind == 'time':
    return Kill(source.uniform(0.0, 1.5 * start_seconds))
  calls, most = (WRITES, 50) if kind == 'write' else (STEPS, 40)
  return Kill(None, calls, source.randint(1, most), source.random() < 0.5)


def main(folder, kills, seed):
  """Prints JSON: the outputs of whole and of killed runs, kills by phase, statuses."""
  source, children = random.Random(seed), Children(folder)
  whole = os.path.join(folder, 'whole')
  began = time.time()
  status, _ = children.run(whole)
  seconds = time.time() - began
  record = {'whole': whole, 'whole_status': status, 'killed': [], 'phases': [], 'statuses': []}
  planned = list(FIRST_KILLS)
  while len(record['phases']) < kills:
    output = os.path.join(folder, 'killed%d' % len(record['killed']))
    record['killed'].append(output)
    status = -signal.SIGKILL
    while status == -signal.SIGKILL:
      kill = None
      if len(record['phases']) < kills:
        kill = planned.pop(0) if planned else random_kill(source, 0.6 * seconds)
      status, phase = children.run(output, kill, ['--save_steps', 2])
      if status == -signal.SIGKILL:
        record['phases'].append(phase)
    record['statuses'].append(status)
  print(json.dumps(record))


if __name__ == '__main__':
  main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
