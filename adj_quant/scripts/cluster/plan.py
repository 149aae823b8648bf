"""Which processes take part, and which of them this one is: from flags or from TF_CONFIG."""

import json
import os
from typing import NamedTuple, Optional, Tuple

from scripts.errors import UserError

VARIABLE = 'TF_CONFIG'
_CHIEFS = ('chief', 'master')  # Names that TF_CONFIG has for the first worker.


class Deployment(NamedTuple):
  """Towers of one process, processes of a cluster, as the flags of the same names give them."""
  num_clones: int = 1
  clone_on_cpu: bool = False
  ps_hosts: Optional[str] = None
  worker_hosts: Optional[str] = None
  job_name: Optional[str] = None
  task: int = 0
  master: Optional[str] = None
  worker_replicas: Optional[int] = None
  num_ps_tasks: Optional[int] = None
  sync_replicas: bool = False
  replicas_to_aggregate: Optional[int] = None


class Cluster(NamedTuple):
  """What a process needs to know about the others; by default there are none."""
  job: str = 'worker'
  task: int = 0
  workers: int = 1
  servers: int = 0  # Parameter servers; 0: this process is alone.
  aggregate: int = 0  # Gradients averaged into an update; 0: updates are asynchronous.
  hosts: Optional[Tuple[Tuple[str, ...], Tuple[str, ...]]] = None  # Servers' and workers'.
  master: str = ''  # A running server to use, where `hosts` is None.

  @property
  def is_chief(self):
    """Whether this process initialises, saves and logs."""
    return self.task == 0

  @property
  def is_synchronous(self):
    """Whether an update averages the gradients of several workers."""
    return self.aggregate > 0

  @property
  def batches_per_update(self):
    """Workers' batches that one update sees."""
    return max(1, self.aggregate)


def plan_cluster(deploy):
  """The `Cluster` that a `Deployment` describes; raises UserError."""
  servers, workers = _hosts(deploy.ps_hosts), _hosts(deploy.worker_hosts)
  if bool(servers) != bool(workers):
    raise UserError('--ps_hosts and --worker_hosts go together: give both')
  if servers and deploy.master:
    raise UserError('--master names a running server, --ps_hosts start one: give one of both')
  if not servers and not deploy.master:
    return _alone(deploy)
  if servers and not deploy.job_name:
    raise UserError('--job_name is needed with --ps_hosts: ps or worker')
  workers_count = _count(deploy, 'worker_replicas', workers, 'worker_hosts')
  servers_count = _count(deploy, 'num_ps_tasks', servers, 'ps_hosts')
  job = deploy.job_name or 'worker'
  tasks = servers_count if job == 'ps' else workers_count
  if not 0 <= deploy.task < tasks:
    raise UserError('--task=%d: job %s has the tasks 0 to %d' % (deploy.task, job, tasks - 1))
  if job == 'ps' and deploy.master:
    raise UserError('--job_name=ps cannot be used with --master: that server runs already')
  aggregate = 0
  if deploy.sync_replicas:
    aggregate = deploy.replicas_to_aggregate or workers_count
    if aggregate > workers_count:
      raise UserError('--replicas_to_aggregate=%d: there are %d workers'
                      % (aggregate, workers_count))
  elif deploy.replicas_to_aggregate:
    raise UserError('--replicas_to_aggregate needs --sync_replicas')
  return Cluster(
      job=job, task=deploy.task, workers=workers_count, servers=servers_count, aggregate=aggregate,
      hosts=(servers, workers) if servers else None, master=deploy.master or '')


def with_environment(deploy, environment=None):
  """A `Deployment` with the processes of the variable TF_CONFIG, unless flags name some.

  Its form is {"cluster": {"ps": [hosts], "worker": [hosts], "chief": [host]}, "task": {"type":
  "worker", "index": 0}}. A chief (or master) becomes worker 0, before the workers.

  Args:
    deploy: `Deployment` of the flags.
    environment: dict; None: that of the process.

  Raises:
    UserError: the variable has another form, or lacks parameter servers for its workers.
  """
  text = (os.environ if environment is None else environment).get(VARIABLE)
  if not text or deploy.ps_hosts or deploy.worker_hosts or deploy.master:
    return deploy
  cluster, job, index = _read_environment(text)
  chiefs = [host for name in _CHIEFS for host in cluster.get(name, [])]
  workers = chiefs + cluster.get('worker', [])
  servers = cluster.get('ps', [])
  if len(workers) <= 1 and not servers:
    return deploy  # As platforms set it for a single machine.
  if not servers or not workers:
    raise UserError('%s names %d workers and %d parameter servers (ps): at least one of each is '
                    'needed' % (VARIABLE, len(workers), len(servers)))
  if job not in ('ps', 'worker') + _CHIEFS:
    raise UserError('%s: a task of the type %s has nothing to do here' % (VARIABLE, job))
  return deploy._replace(
      ps_hosts=','.join(servers), worker_hosts=','.join(workers),
      job_name='ps' if job == 'ps' else 'worker',
      task=index + len(chiefs) if job == 'worker' else index)


def _read_environment(text):
  """(dict job -> hosts, type of this task, its index) of a TF_CONFIG; raises UserError."""
  try:
    content = json.loads(text)
    cluster, task = content.get('cluster', {}), content.get('task', {})
    lists = {job: [hosts] if isinstance(hosts, str) else list(hosts)
             for job, hosts in cluster.items()}
    if not all(isinstance(host, str) for hosts in lists.values() for host in hosts):
      raise ValueError
    return lists, task.get('type', 'worker'), int(task.get('index', 0))
  except (AttributeError, TypeError, ValueError):
    raise UserError('%s is not {"cluster": {job: [hosts]}, "task": {"type": job, "index": number}}:'
                    ' correct it or unset it' % VARIABLE)


def _alone(deploy):
  for flag in ('job_name', 'task', 'worker_replicas', 'num_ps_tasks', 'sync_replicas',
               'replicas_to_aggregate'):
    if getattr(deploy, flag) and (flag, getattr(deploy, flag)) != ('worker_replicas', 1):
      raise UserError('--%s belongs to a cluster: give --ps_hosts and --worker_hosts as well'
                      % flag)
  return Cluster()


def _hosts(text):
  return tuple(host.strip() for host in (text or '').split(',') if host.strip())


def _count(deploy, flag, hosts, hosts_flag):
  given = getattr(deploy, flag)
  if hosts:
    if given not in (None, len(hosts)):
      raise UserError('--%s=%d: --%s has %d' % (flag, given, hosts_flag, len(hosts)))
    return len(hosts)
  if not given:
    raise UserError('--%s is needed with --master, at least 1' % flag)
  return given
