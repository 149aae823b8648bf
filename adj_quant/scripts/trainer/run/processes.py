"""Chief and other workers of a training."""

from scripts.errors import UserError
from scripts.trainer import loading
from scripts.trainer.run import resume
from scripts.trainer.run.experiment import prepared_worker
from scripts.trainer.team.work import Lead, follow

_CHIEFS = ('the chief has %s', 'the chief has another content')


def lead(experiment, config, network, member):
  """Tells the workers what runs; returns the `Lead` of the chief.

  Args:
    experiment: `experiment.Experiment`.
    config: see `resume.configuration`.
    network: `loading.Network`.
    member: `members.Member`.
  """
  token = member.publish(config, loading.describe_network(network))
  return Lead(member.cluster, token, experiment.processes.timeout)


def work(experiment, config, member):
  """Runs a worker that is not the chief; returns the status of the process.

  Args:
    experiment, config, member: as for `lead`.

  Raises:
    UserError: this worker has other flags or data than the chief.
  """
  timeout, cluster = experiment.processes.timeout, member.cluster
  notice = member.receive(timeout)
  check_same(notice.config, config)
  with prepared_worker(experiment, loading.described_network(notice.model)) as worker:
    worker.session.graph.finalize()
    print('worker %d of %d' % (cluster.task + 1, cluster.workers), flush=True)
    status = follow(worker, cluster.task, notice.token, timeout)
  member.leave()
  print('the chief is done' if status == 0 else 'the chief has ended, it says why: the same '
        'commands resume the run')
  return status


def check_same(config, own):
  """Raises UserError where a chief's configuration and this worker's `own` differ."""
  changed = resume.differences(_common(config, own), _common(own, own), _CHIEFS)
  if changed:
    raise UserError('this worker has other flags than the chief (worker 0): %s; start it again '
                    'with the same' % ', '.join(changed))


def _common(config, own):
  """What all processes of a run must agree on; other files are read by the chief alone.

  Files have the paths of the configuration `own`, as machines may have them in other places.
  """
  return dict(config, inputs={
      flag: {'path': own['inputs'][flag]['path'], 'content': config['inputs'][flag]['content']}
      for flag in ('dataset', 'teacher_path')})
