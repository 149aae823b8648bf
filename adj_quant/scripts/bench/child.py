"""Trains for a few steps and reports the memory of its process; the benchmark starts it.

    python -m scripts.bench.child NETWORK PIXELS BATCH STEPS
"""

import json
import resource
import sys

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from scripts.bench import programs
from scripts.bench import workloads
from scripts.errors import ArgumentParser, exits_with_status


def parse(argv):
  """What to train, and how long."""
  parser = ArgumentParser('Trains for a few steps and prints graph nodes and peak memory as JSON.')
  parser.add_argument('network', choices=('float',) + workloads.IMPLEMENTATIONS)
  parser.add_argument('size', type=int, help='pixels a side')
  parser.add_argument('batch', type=int, help='images a batch')
  parser.add_argument('steps', type=int)
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Trains; prints one line of JSON."""
  prepare_tensorflow()
  args = parse(argv)
  print(json.dumps(train(programs.shipped_networks(), args.network,
                         workloads.Shape(args.size, args.batch), args.steps)))


def train(networks, name, shape, steps):
  """Dict 'graph_nodes' and 'peak_bytes' of a process that trains, bit-widths included.

  The graph reads from two data sets, as that of train.py does.
  """
  shapes = (shape, shape._replace(batch=shape.batch * 2))
  if name == 'float':
    program, task = programs.float_program(networks, shapes), workloads.FLOAT_STEP
  else:
    program = programs.adjustable_program(networks, shapes, name)
    task = workloads.task_name(workloads.STEP, name)
  with program as ready:
    step = ready.task(task, shape)
    for _ in range(steps):
      step()
    return {'graph_nodes': ready.nodes, 'peak_bytes': peak_bytes()}


def peak_bytes():
  """The most memory that this process has had at once.

  From /proc where there is one: what getrusage says of a started process begins with the memory
  of the one that started it.
  """
  try:
    with open('/proc/self/status') as status:
      for line in status:
        if line.startswith('VmHWM:'):
          return int(line.split()[1]) * 1024
  except OSError:
    pass
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == '__main__':
  sys.exit(main())
