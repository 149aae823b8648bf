"""What is measured from outside: how soon the scripts work, how much memory training takes."""

import json
import os
import re
import subprocess
import sys
import threading
import time

from scripts.errors import UserError
from scripts.paths import ADJ_QUANT

_LIMIT = 600  # Seconds after which a process is taken for stuck.
# Of train.py: the bar of the first mini-epoch has a loss as soon as there is one.
FIRST_STEP = r'mini-epoch 1[^0-9].*?loss [0-9]'
# Of eval.py: the bar of the validation is there before the first batch; what follows it comes after
# the batch: the bar with a count, the blanks that clear it, or the result.
FIRST_BATCH = r'validation: 0batch.*?(?:validation: [1-9]| {20})|quantised: '


def seconds_until(command, pattern, limit=_LIMIT):
  """Seconds from the start of a Python program until its output matches; then it is ended.

  Args:
    command: the program's file, or -m and a module, and its arguments.
    pattern: regular expression for the output, stdout and stderr together; `.` is any character.
    limit: seconds after which the program is ended in any case.

  Raises:
    UserError: the program ended before; the message has its last line.
  """
  began = time.monotonic()
  process = subprocess.Popen([sys.executable, '-u'] + command, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
  timer = threading.Timer(limit, process.kill)
  timer.start()
  text = ''
  try:
    for piece in iter(lambda: process.stdout.read1(4096), b''):
      text += piece.decode('utf-8', 'replace')
      if re.search(pattern, text, re.DOTALL):
        return time.monotonic() - began
  finally:
    timer.cancel()
    process.kill()
    process.wait()
    process.stdout.close()
  raise UserError('%s ended before it worked: %s'
                  % (os.path.basename(command[0]), _last_line(text)))


def _last_line(text):
  lines = [line for line in re.split(r'[\r\n]+', text) if line.strip()]
  return lines[-1].strip() if lines else 'no output'


def first_step_seconds(records, folder, shape):
  """Seconds from the start of train.py, as users call it, to the end of its first step.

  Args:
    records: folder of a data set that fits the shipped weights.
    folder: where train.py may write.
    shape: `plan.Shape`.
  """
  return seconds_until([os.path.join(ADJ_QUANT, 'train.py'), '--dataset', records,
                        '--bits_trainable', '--batch_size', str(shape.batch),
                        '--img_size', str(shape.size), '--output_dir', folder], FIRST_STEP)


def first_batch_seconds(records, folder, shape):
  """Seconds from the start of eval.py to the end of its first batch, which is its only one."""
  return seconds_until([os.path.join(ADJ_QUANT, 'eval.py'), '--dataset', records,
                        '--batch_size', str(shape.batch), '--val_images', str(shape.batch),
                        '--img_size', str(shape.size),
                        '--quant_info', os.path.join(folder, 'quant_info.json')], FIRST_BATCH)


def measure_memory(network, shape, steps):
  """What `child.py` reports of training a network in a process of its own, as a dict.

  Args:
    network: 'float' or one of `plan.IMPLEMENTATIONS`.
    shape: `plan.Shape`.
    steps: number of training steps.
  """
  command = [sys.executable, '-m', 'scripts.bench.child', network, str(shape.size),
             str(shape.batch), str(steps)]
  found = subprocess.run(command, cwd=ADJ_QUANT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         stdin=subprocess.DEVNULL, universal_newlines=True)
  if found.returncode:
    raise UserError('training the %s network in a process failed: %s'
                    % (network, _last_line(found.stderr)))
  return json.loads(found.stdout.splitlines()[-1])
