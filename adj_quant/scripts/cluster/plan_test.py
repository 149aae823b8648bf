"""Which processes there are, by flags and by TF_CONFIG."""

import json

import pytest

from scripts.cluster.plan import Cluster, Deployment, plan_cluster, with_environment
from scripts.errors import UserError

HOSTS = Deployment(ps_hosts='a:1', worker_hosts='b:1, b:2', job_name='worker')


def test_without_flags_a_process_is_alone():
  assert plan_cluster(Deployment()) == Cluster()
  assert Cluster().is_chief and not Cluster().is_synchronous


def test_hosts_say_it_all():
  assert plan_cluster(HOSTS._replace(task=1, worker_replicas=2)) == Cluster(
      'worker', 1, 2, 1, 0, (('a:1',), ('b:1', 'b:2')))
  actual = plan_cluster(HOSTS._replace(sync_replicas=True))
  assert actual.is_chief and actual.aggregate == 2 and actual.batches_per_update == 2
  assert plan_cluster(HOSTS._replace(sync_replicas=True, replicas_to_aggregate=1)).aggregate == 1


def test_a_running_server_needs_the_counts():
  deploy = Deployment(master='grpc://b:1', worker_replicas=3, num_ps_tasks=2, task=2)
  assert plan_cluster(deploy) == Cluster('worker', 2, 3, 2, 0, None, 'grpc://b:1')


@pytest.mark.parametrize('deploy, message', [
    (HOSTS._replace(worker_hosts=None), '--ps_hosts and --worker_hosts go together'),
    (HOSTS._replace(job_name=None), '--job_name is needed'),
    (HOSTS._replace(master='grpc://x:1'), '--master names a running server'),
    (HOSTS._replace(task=2), '--task=2: job worker has the tasks 0 to 1'),
    (HOSTS._replace(job_name='ps', task=1), '--task=1: job ps has the tasks 0 to 0'),
    (HOSTS._replace(worker_replicas=3), '--worker_replicas=3: --worker_hosts has 2'),
    (HOSTS._replace(num_ps_tasks=2), '--num_ps_tasks=2: --ps_hosts has 1'),
    (HOSTS._replace(replicas_to_aggregate=2), '--replicas_to_aggregate needs --sync_replicas'),
    (HOSTS._replace(sync_replicas=True, replicas_to_aggregate=3), 'there are 2 workers'),
    (Deployment(sync_replicas=True), '--sync_replicas belongs to a cluster'),
    (Deployment(task=1), '--task belongs to a cluster'),
    (Deployment(master='grpc://x:1', num_ps_tasks=1), '--worker_replicas is needed'),
])
def test_refusals(deploy, message):
  with pytest.raises(UserError) as error:
    plan_cluster(deploy)
  assert message in str(error.value)


def environment(job, index, **cluster):
  return {'TF_CONFIG': json.dumps({'cluster': cluster, 'task': {'type': job, 'index': index}})}


@pytest.mark.parametrize('job, index, expected', [
    ('chief', 0, ('worker', 0)), ('worker', 0, ('worker', 1)), ('worker', 1, ('worker', 2)),
    ('ps', 1, ('ps', 1))])
def test_a_chief_is_the_first_worker(job, index, expected):
  deploy = with_environment(Deployment(sync_replicas=True), environment(
      job, index, chief=['a:1'], worker=['b:1', 'c:1'], ps=['d:1', 'e:1']))
  cluster = plan_cluster(deploy)
  assert (cluster.job, cluster.task) == expected
  assert cluster.hosts == (('d:1', 'e:1'), ('a:1', 'b:1', 'c:1'))


def test_without_a_chief_worker_0_is_it():
  deploy = with_environment(Deployment(), environment('worker', 1, worker=['b:1', 'c:1'], ps=['d']))
  assert (deploy.task, deploy.worker_hosts) == (1, 'b:1,c:1')


@pytest.mark.parametrize('values', [
    {}, {'TF_CONFIG': ''}, {'TF_CONFIG': '{}'}, environment('chief', 0, chief=['a:1']),
    environment('worker', 0, worker=['a:1'])])
def test_a_single_machine_is_alone(values):
  assert plan_cluster(with_environment(Deployment(), values)) == Cluster()


def test_flags_count_more_than_the_environment():
  values = environment('worker', 0, worker=['b:1', 'c:1'], ps=['d:1'])
  assert with_environment(HOSTS, values) == HOSTS


@pytest.mark.parametrize('values, message', [
    ({'TF_CONFIG': 'x'}, 'TF_CONFIG is not {"cluster"'),
    ({'TF_CONFIG': '[]'}, 'TF_CONFIG is not'),
    ({'TF_CONFIG': '{"cluster": {"ps": 1}}'}, 'TF_CONFIG is not'),
    ({'TF_CONFIG': '{"cluster": {"ps": [1], "worker": ["a:1"]}}'}, 'TF_CONFIG is not'),
    ({'TF_CONFIG': '{"task": {"index": "x"}}'}, 'TF_CONFIG is not'),
    (environment('worker', 0, worker=['b:1', 'c:1']), '2 workers and 0 parameter servers'),
    (environment('evaluator', 0, worker=['b:1', 'c:1'], ps=['d:1']), 'type evaluator has nothing'),
])
def test_refusals_of_the_environment(values, message):
  with pytest.raises(UserError) as error:
    with_environment(Deployment(), values)
  assert message in str(error.value)


def test_a_task_of_the_environment_that_is_not_there():
  deploy = with_environment(Deployment(), environment('worker', 7, worker=['b:1'], ps=['d:1']))
  with pytest.raises(UserError, match='--task=7'):
    plan_cluster(deploy)
