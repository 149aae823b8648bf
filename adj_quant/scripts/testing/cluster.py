"""Processes of a cluster that trains the tiny network, for tests."""

import json
import os
import socket
import subprocess
import sys

from scripts.paths import ADJ_QUANT

# A process of its own that knows the tiny network.
_PROGRAM = """
import sys
sys.path.insert(0, %r)
import %s as script
from scripts.testing import network
with network.known():
  sys.exit(script.main())
"""
LONGEST_SECONDS = 300


def free_ports(count):
  """Ports that nobody uses now."""
  sockets = [socket.socket() for _ in range(count)]
  for bound in sockets:
    bound.bind(('localhost', 0))
  ports = [bound.getsockname()[1] for bound in sockets]
  for bound in sockets:
    bound.close()
  return ports


def start(script, flags, log, **environment):
  """Starts `train` or `eval` as a process that writes to the file `log`."""
  with open(str(log), 'ab') as stream:
    return subprocess.Popen(
        [sys.executable, '-c', _PROGRAM % (ADJ_QUANT, script)] + [str(flag) for flag in flags],
        stdout=stream, stderr=subprocess.STDOUT, env=dict(os.environ, **environment))


class Cluster:
  """Parameter servers and workers on this machine; what each prints is in `<job><task>.txt`."""

  def __init__(self, folder, flags, workers=2, servers=1, script='train', by_environment=False):
    """Args: as `start` has them; whether TF_CONFIG, not flags, names the processes."""
    self._folder, self._flags, self._script = folder, list(flags), script
    self._by_environment = by_environment
    hosts = ['localhost:%d' % port for port in free_ports(servers + workers)]
    self._hosts = hosts[:servers], hosts[servers:]
    self.names = [('ps', task) for task in range(servers)]
    self.names += [('worker', task) for task in range(workers)]
    self.processes = {}

  def start(self, *names, more=()):
    """Starts the processes of these names, all without any, with `more` flags."""
    for job, task in names or self.names:
      flags, environment = self._place(job, task)
      self.processes[job, task] = start(self._script, self._flags + flags + list(more),
                                        self._log(job, task), **environment)

  def _place(self, job, task):
    """Flags and environment that tell a process which one it is."""
    servers, workers = self._hosts
    if not self._by_environment:
      return ['--ps_hosts', ','.join(servers), '--worker_hosts', ','.join(workers),
              '--job_name', job, '--task', task], {}
    names = {('worker', 0): ('chief', 0)}
    names.update({('worker', i): ('worker', i - 1) for i in range(1, len(workers))})
    kind, index = names.get((job, task), (job, task))
    return [], {'TF_CONFIG': json.dumps({
        'cluster': {'ps': servers, 'chief': workers[:1], 'worker': workers[1:]},
        'task': {'type': kind, 'index': index}})}

  def _log(self, job, task):
    return os.path.join(str(self._folder), '%s%d.txt' % (job, task))

  def text(self, job, task):
    """What a process and those before it of its name have printed."""
    with open(self._log(job, task), errors='replace') as stream:
      return stream.read()

  def kill(self, job, task):
    """Kills a process without a warning."""
    self.processes[job, task].kill()
    self.processes[job, task].wait()

  def wait(self, *names):
    """List of the statuses of the processes of these names, all without any, at their ends."""
    return [self.processes[name].wait(timeout=LONGEST_SECONDS) for name in names or self.names]

  def end_well(self):
    """Waits for all processes, which must end with status 0."""
    assert set(self.wait()) == {0}, [self.text(*name) for name in self.names]

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    """Kills what is left."""
    for process in self.processes.values():
      process.kill()
      process.wait()
