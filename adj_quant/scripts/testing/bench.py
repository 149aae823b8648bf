"""A tiny network to measure, and measurements made up, for tests."""

import numpy as np

from scripts.bench import workloads
from scripts.bench.programs import Networks
from scripts.bench.summary import Measurements
from scripts.effnetb0 import student as students
from scripts.effnetb0.nodes import Precision
from scripts.testing.network import CLASSES, TINY, random_weights
from scripts.trainer.loading import Network

MACHINE = {'cpu': 'some cpu', 'cores': 2, 'load_average': 0.0, 'system': 'some', 'python': '3.7',
           'tensorflow': '1.13.1', 'numpy': '1.16.6'}
BIG, SMALL = workloads.Shape(224, 8), workloads.Shape(32, 64)


def tiny_networks():
  """`Networks` of random weights; all ranges are -4..4."""
  weights = random_weights()
  spec = students.ModelSpec(TINY, CLASSES, Precision(learnt_weights=True, learnt_acts=True))
  ranges = {node.name: (np.full([node.channels], -4.0), np.full([node.channels], 4.0))
            for node in students.quantised_nodes(spec)}
  first = students.first_values(spec, weights, ranges)
  return Networks(Network(spec, TINY.image_size, first), TINY, weights)


def some_times(implementations=('fused', 'ops')):
  """Dict task -> seconds of three rounds; the medians are 0.25, 0.75 and the ones below."""
  times = {workloads.FLOAT_FORWARD: [0.25, 0.2, 0.3], workloads.FLOAT_STEP: [0.75, 0.8, 0.7]}
  steps = {'fused': 1.5, 'ops': 3.0}
  for impl in implementations:
    middle = steps[impl]
    times[workloads.task_name(workloads.STEP, impl)] = [middle, middle + 0.1, middle - 0.1]
    times[workloads.task_name(workloads.STEP_FIXED_BITS, impl)] = [0.8 * middle] * 3
    times[workloads.task_name(workloads.FORWARD, impl)] = [middle / 4] * 3
  return times


def example_results(implementations=('fused', 'ops'), shapes=(BIG, SMALL)):
  """`Found` of `some_times` at all shapes."""
  times = some_times(implementations)
  memory = {'float': {'graph_nodes': 100, 'peak_bytes': 1000000000}}
  for impl, share in (('fused', 1.25), ('ops', 2.5)):
    if impl in implementations:
      memory[impl] = {'graph_nodes': int(share * 400), 'peak_bytes': int(share * 1e9)}
  return Measurements({shape: times for shape in shapes},
                      {shape: times for shape in workloads.Plan().growth},
                      {'first_step': [20.0, 22.0], 'first_eval_batch': [7.0, 9.0]},
                      memory, implementations, MACHINE)
