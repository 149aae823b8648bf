"""What is measured from outside a process: start-up time of the scripts, memory of training."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time

from scripts import events
from scripts.errors import UserError
from scripts.paths import ADJ_QUANT

_LIMIT = 600  # Seconds after which a process is taken for stuck.
_INTERVAL = 0.01  # Seconds between looks at the events; the time of an event is its own.


def seconds_until(command, event, limit=_LIMIT):
  """Seconds from the start of a Python program until it tells an event; then it is ended.

  Args:
    command: the program's file, or -m and a module, and its arguments.
    event: one of `events`.
    limit: seconds after which the program is ended in any case.

  Raises:
    UserError: the program ended before; the message has its last line.
  """
  with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
    path = os.path.join(folder, 'events')
    began = time.time()
    process = subprocess.Popen([sys.executable] + command, stdout=output, stderr=output,
                               stdin=subprocess.DEVNULL,
                               env=dict(os.environ, **{events.VARIABLE: path}))
    try:
      while process.poll() is None and time.time() < began + limit:
        if event in events.read(path):
          break
        time.sleep(_INTERVAL)
    finally:
      process.kill()
      process.wait()
    told = events.read(path)
    if event in told:
      return told[event] - began
    output.seek(0)
    raise UserError('%s ended before it worked: %s' % (
        os.path.basename(command[0]), _last_line(output.read().decode('utf-8', 'replace'))))


def _last_line(text):
  lines = [line for line in re.split(r'[\r\n]+', text) if line.strip()]
  return lines[-1].strip() if lines else 'no output'


def first_step_seconds(records, folder, shape):
  """Seconds from the start of train.py, as users call it, to the end of its first step.

  Args:
    records: folder of a data set that fits the shipped weights.
    folder: where train.py may write.
    shape: `workloads.Shape`.
  """
  return seconds_until([os.path.join(ADJ_QUANT, 'train.py'), '--dataset', records,
                        '--bits_trainable', '--batch_size', str(shape.batch),
                        '--img_size', str(shape.size), '--output_dir', folder],
                       events.FIRST_STEP)


def first_batch_seconds(records, folder, shape):
  """Seconds from the start of eval.py to the end of its first batch, which is its only one."""
  return seconds_until([os.path.join(ADJ_QUANT, 'eval.py'), '--dataset', records,
                        '--batch_size', str(shape.batch), '--val_images', str(shape.batch),
                        '--img_size', str(shape.size),
                        '--quant_info', os.path.join(folder, 'quant_info.json')],
                       events.FIRST_BATCH)


def measure_memory(network, shape, steps):
  """What `child.py` reports of training a network in a process of its own, as a dict.

  Args:
    network: 'float' or one of `plan.IMPLEMENTATIONS`.
    shape: `plan.Shape`.
    steps: number of training steps.
  """
  command = [sys.executable, '-m', 'scripts.bench.child', network, str(shape.size),
             str(shape.batch), str(steps)]
  completed = subprocess.run(command, cwd=ADJ_QUANT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             stdin=subprocess.DEVNULL, universal_newlines=True)
  if completed.returncode:
    raise UserError('training the %s network in a process failed: %s'
                    % (network, _last_line(completed.stderr)))
  return json.loads(completed.stdout.splitlines()[-1])
