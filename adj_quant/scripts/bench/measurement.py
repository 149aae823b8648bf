"""A whole benchmark: processes first, then all programs in turns."""

import contextlib
import functools
import os
import tempfile
import time

import tqdm

from scripts.bench import machine, op_times, picture, programs, records, startup, timing
from scripts.bench import workloads
from scripts.bench.summary import Measurements


def run(plan, networks, profiled=print):
  """Measures everything in a plan.

  Args:
    plan: `workloads.Plan`.
    networks: `programs.Networks`.
    profiled: receives the tables of a profile as text.

  Returns:
    `summary.Measurements`.
  """
  described, kinds = machine.describe(), programs.implementations()
  starts, memory = _processes(plan, networks, kinds) if plan.starts else ({}, {})
  with contextlib.ExitStack() as stack:
    tasks = _programs(stack, plan, networks, kinds)
    times = {shape: _measure(tasks, [shape], plan.rounds)[shape] for shape in plan.shapes}
    growth = _measure({name: program for name, program in tasks.items() if name in picture.TASKS},
                      plan.growth, plan.growth_rounds, 1, plan.growth_seconds)
    if plan.profile:
      _profile(tasks, plan.shapes[0], kinds[0], profiled)
  return Measurements(
      times=times, growth=growth, starts=starts, memory=memory, implementations=kinds,
      machine=described)


@contextlib.contextmanager
def stage(title):
  """Prints what is being measured, and how long it took."""
  print('%s ...' % title, end='', flush=True)
  began = time.time()
  try:
    yield
  except BaseException:
    print(flush=True)
    raise
  print(' %.0f s' % (time.time() - began), flush=True)


def _processes(plan, networks, kinds):
  """Starts of the scripts, and memory of training, while this process is still small."""
  shape = plan.shapes[0]
  starts = {'first_step': [], 'first_eval_batch': []}
  with tempfile.TemporaryDirectory() as folder:
    with stage('making records'):
      records.write(folder, networks)
    for number in range(1, plan.starts + 1):
      with stage('starting train.py until its first step, %d of %d' % (number, plan.starts)):
        starts['first_step'].append(
            startup.first_step_seconds(folder, os.path.join(folder, 'run'), shape))
      with stage('starting eval.py until its first batch, %d of %d' % (number, plan.starts)):
        starts['first_eval_batch'].append(startup.first_batch_seconds(folder, folder, shape))
  memory = {}
  for name in ('float',) + kinds:
    with stage('memory of training, %s' % name):
      memory[name] = startup.measure_memory(name, shape, plan.memory_steps)
  return starts, memory


def _programs(stack, plan, networks, kinds):
  """Dict task -> the program that has it; the programs live as long as `stack`."""
  made = [('float', programs.float_program)] + [
      ('%s, %s' % (impl, what), functools.partial(program, impl=impl)) for impl in kinds
      for what, program in (('training', programs.adjustable_program),
                            ('evaluation', programs.evaluation_program))]
  tasks = {}
  for name, program in made:
    with stage('building the graph, %s' % name):
      ready = stack.enter_context(program(networks, plan.all_shapes))
      tasks.update((task, ready) for task in ready.fetches)
  return tasks


def _measure(programs_of, shapes, rounds, warm_up=2, limit=None):
  """Dict shape -> dict task -> seconds of all rounds, all tasks at all shapes in turns."""
  tasks = [timing.Task((shape, name), program.task(name, shape))
           for shape in shapes for name, program in programs_of.items()]
  title = 'measuring at ' + (str(shapes[0]) if len(shapes) == 1 else 'all sizes')
  total = len(tasks) * (warm_up + rounds)
  with tqdm.tqdm(total=total, desc=title, unit='run', leave=False, mininterval=0.5) as bar:
    def tell(task):
      shape, name = task.name
      bar.set_postfix_str('%s at %s' % (name, str(shape)))
      bar.update()

    seconds = timing.measure(tasks, rounds, warm_up, limit, tell=tell)
  return {shape: {name: seconds[shape, name] for name in programs_of} for shape in shapes}


def _profile(tasks, shape, impl, profiled):
  """Tables of the ops of an adjustable step and of a float one."""
  for name in (workloads.task_name(workloads.STEP, impl), workloads.FLOAT_STEP):
    program = tasks[name]
    metadata = op_times.trace(program.session, program.fetches[name], program.feeds[shape])
    profiled(op_times.format_table('%s at %s' % (name, shape), op_times.op_times(metadata)))
