"""Progress events of a script for the program that started it: one line of JSON each in a file.

The environment variable ADJ_QUANT_EVENTS names the file; without it nothing is written.
"""

import json
import os
import time

VARIABLE = 'ADJ_QUANT_EVENTS'
FIRST_STEP = 'first_step'  # train.py: the first step is done.
FIRST_BATCH = 'first_batch'  # eval.py: the first batch is evaluated.


def tell(name):
  """Appends the event with the seconds since the epoch, in one write."""
  path = os.environ.get(VARIABLE)
  if path:
    line = json.dumps({'event': name, 'time': time.time()}) + '\n'
    with open(path, 'ab', buffering=0) as stream:
      stream.write(line.encode())


def read(path):
  """Dict event -> time of its first line in the file at `path`; {} where there is none yet."""
  if not os.path.exists(path):
    return {}
  with open(path, encoding='utf-8') as stream:
    lines = [json.loads(line) for line in stream if line.endswith('\n')]
  return {line['event']: line['time'] for line in reversed(lines)}
