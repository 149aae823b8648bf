"""Tests of setup.sh: a shell script plays the interpreter, so nothing is installed."""

import os
import shutil
import stat
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CUDA_LIBRARIES = ('libcublas.so.10.0', 'libcudnn.so.7', 'libcuda.so.1', 'libcudart.so.10.0',
                  'libcusolver.so.10.0')

# Answers what setup.sh asks of an interpreter; `pip install` appends what it sees to ./pip_calls,
# and the compilation of the fused ops a line to ./compilations. A file ./no_ensurepip takes its
# ensurepip away.
INTERPRETER = '''#!/bin/bash
case "$*" in
  *python_implementation*) echo "{description}" ;;
  "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/python3 ;;
  *ensurepip*) [[ ! -e no_ensurepip ]] ;;
  */build.py) echo "$*" >>compilations ;;
  "-m pip install "*) echo "$* $PYTHONPATH" >>pip_calls
    if [[ "$*" == *"$PIP_FAILS_ON"* ]]; then echo "no such wheel"; exit 1; fi ;;
esac
'''


class Project:
  """A copy of what setup.sh reads, in a folder whose `bin` is first on PATH."""

  def __init__(self, folder):
    self.folder = str(folder)
    os.makedirs(self.path('.ci'))
    os.makedirs(self.path('bin'))
    shutil.copy(os.path.join(ROOT, '.ci', 'setup.sh'), self.path('.ci'))
    for name in os.listdir(ROOT):
      if name.startswith('requirements'):
        shutil.copy(os.path.join(ROOT, name), self.folder)
    os.makedirs(self.path('adj_quant', 'scripts', 'ops', 'cc'))
    for name in ('build.py', 'cc/ops.cc'):
      open(self.path('adj_quant', 'scripts', 'ops', name), 'w').close()
    self.add_program('ldconfig', '#!/bin/bash\n')
    self.set_machine('Linux x86_64')

  def path(self, *parts):
    return os.path.join(self.folder, *parts)

  def add_program(self, name, text):
    with open(self.path('bin', name), 'w') as stream:
      stream.write(text)
    os.chmod(self.path('bin', name), stat.S_IRWXU)
    return self.path('bin', name)

  def add_python(self, name='python3.7', description='CPython 3.7.16'):
    return self.add_program(name, INTERPRETER.format(description=description))

  def add_pyenv_python(self, version):
    folder = self.path('.pyenv', 'versions', version, 'bin')
    os.makedirs(folder)
    shutil.move(self.add_python('new', 'CPython ' + version), os.path.join(folder, 'python'))

  def hide_pythons(self):
    """Puts interpreters of no use before those of this machine."""
    for minor in (6, 7, 11, 12, 13):
      self.add_program('python3.%d' % minor, '#!/bin/bash\nexit 127\n')
    for name in ('python3', 'python'):
      self.add_python(name, 'CPython 3.9.2')

  def set_machine(self, machine, libc='ldd (GNU libc) 2.36'):
    self.add_program('uname', "#!/bin/bash\n[[ $1 == -sm ]] && echo '%s'\n" % machine)
    self.add_program('ldd', "#!/bin/bash\necho '%s' >&2\nexit 1\n" % libc)

  def add_driver(self):
    """Returns a folder for LD_LIBRARY_PATH that holds the library of an NVIDIA driver."""
    os.makedirs(self.path('driver'))
    open(self.path('driver', 'libcuda.so.1'), 'w').close()
    return self.path('driver')

  def setup(self, path='', only_path='', **variables):
    """Runs setup.sh; returns its status and what it printed."""
    environment = {'PATH': only_path or '%s%s:/usr/bin:/bin' % (path, self.path('bin')),
                   'HOME': self.folder, 'PIP_FAILS_ON': 'nothing', **variables}
    done = subprocess.run([self.path('.ci', 'setup.sh')], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    return done.returncode, done.stdout.decode()

  def pip_calls(self):
    return self._lines('pip_calls')

  def compilations(self):
    return self._lines('compilations')

  def _lines(self, name):
    if not os.path.exists(self.path(name)):
      return []
    with open(self.path(name)) as stream:
      return stream.read().splitlines()


@pytest.fixture
def project(tmp_path):
  return Project(tmp_path)


def test_a_second_run_installs_nothing(project):
  project.add_python()
  assert project.setup()[0] == 0
  calls = project.pip_calls()
  assert len(calls) == 2
  assert project.setup()[0] == 0
  assert project.pip_calls() == calls


def test_fused_ops_are_compiled_once_and_again_when_their_sources_change(project):
  project.add_python()
  project.setup()
  project.setup()
  assert project.compilations() == ['adj_quant/scripts/ops/build.py']
  with open(project.path('adj_quant', 'scripts', 'ops', 'cc', 'ops.cc'), 'a') as stream:
    stream.write('// More.\n')
  assert project.setup()[0] == 0
  assert len(project.compilations()) == 2 and len(project.pip_calls()) == 2


def test_a_compiler_that_appears_is_tried(project):
  project.add_python()
  project.setup()
  project.setup(CXX=project.add_program('new-compiler', '#!/bin/bash\n'))
  assert len(project.compilations()) == 2


@pytest.mark.parametrize('stack, name', [
    ('1.13', 'requirements-common.txt'), ('1.13', 'requirements-dev.txt'),
    ('current', 'requirements-tf2-common.txt'), ('current', 'requirements-tf2-dev.txt')])
def test_a_changed_requirement_installs_again(project, stack, name):
  project.add_python()
  project.add_python('python3.12', 'CPython 3.12.1')
  project.setup(STACK=stack)
  with open(project.path(name), 'a') as stream:
    stream.write('extra==1.0\n')
  assert project.setup()[0] == 0
  assert len(project.pip_calls()) == 4


def test_another_named_version_installs_again(project):
  project.add_python()
  project.setup()
  older = project.add_python('other', 'CPython 3.6.15')
  status, output = project.setup(PYTHON=older)
  assert status == 0 and 'making .venv with CPython 3.6.15' in output
  assert len(project.pip_calls()) == 4


def test_a_failed_pip_is_shown_and_done_again(project):
  project.add_python()
  status, output = project.setup(PIP_FAILS_ON='requirements-dev.txt')
  assert status == 2
  assert 'no such wheel\nsetup: installing requirements' in output
  assert not os.path.exists(project.path('.venv', 'setup.stamp'))
  assert project.setup()[0] == 0
  assert len(project.pip_calls()) == 4


def test_an_interpreter_that_does_not_run_is_passed_over(project):
  project.add_program('python3.7', '#!/bin/bash\nexit 127\n')
  project.add_python('python3', 'CPython 3.6.15')
  status, output = project.setup()
  assert status == 0 and 'with CPython 3.6.15 (python3)' in output


def test_interpreters_of_pyenv_are_found(project):
  project.hide_pythons()
  project.add_pyenv_python('3.6.15')
  project.add_pyenv_python('3.7.16')
  status, output = project.setup()
  assert status == 0 and 'versions/3.7.16/bin/python)' in output


def test_an_activated_environment_is_not_its_own_base(project):
  project.hide_pythons()
  project.add_pyenv_python('3.7.16')
  project.setup()
  os.remove(project.path('.venv', 'setup.stamp'))
  status, output = project.setup(path=project.path('.venv', 'bin') + ':')
  assert status == 0 and '.pyenv/versions/3.7.16/bin/python)' in output


def test_packages_on_pythonpath_do_not_count_as_installed(project):
  project.add_python()
  project.setup(PYTHONPATH='/elsewhere')
  assert not any('/elsewhere' in call for call in project.pip_calls())


def test_without_any_interpreter_the_ways_to_get_one_are_named(project):
  project.hide_pythons()
  status, output = project.setup()
  assert status == 2
  for way in ('pyenv install', 'conda create', 'container', 'PYTHON=/path/to/python3.12'):
    assert way in output


@pytest.mark.parametrize('description', [
    'CPython 3.8.18', 'CPython 2.7.18', 'PyPy 3.7.13', 'CPython 3.10.13', 'CPython 3.14.0'])
def test_a_named_interpreter_of_another_version_stops(project, description):
  project.add_python()
  other = project.add_python('other', description)
  status, output = project.setup(PYTHON=other)
  assert status == 2 and 'PYTHON=%s is %s' % (other, description) in output
  assert project.pip_calls() == []


def test_a_named_interpreter_that_does_not_run_stops(project):
  project.add_python()
  status, output = project.setup(PYTHON='missing')
  assert status == 2 and 'PYTHON=missing does not run' in output


@pytest.mark.parametrize('version, stack, requirements', [
    ('3.6.15', '1.13', '-r requirements-cpu.txt -r requirements-dev.txt'),
    ('3.7.16', '1.13', '-r requirements-cpu.txt -r requirements-dev.txt'),
    ('3.11.2', 'current', '-r requirements-tf2.txt -r requirements-tf2-dev.txt'),
    ('3.12.1', 'current', '-r requirements-tf2.txt -r requirements-tf2-dev.txt'),
    ('3.13.0', 'current', '-r requirements-tf2.txt -r requirements-tf2-dev.txt')])
def test_the_named_interpreter_decides_the_stack(project, version, stack, requirements):
  python = project.add_python('named', 'CPython ' + version)
  assert project.setup(PYTHON=python)[0] == 0
  assert requirements in project.pip_calls()[-1]
  assert project.setup(PYTHON=python, STACK=stack)[0] == 0
  assert len(project.pip_calls()) == 2


@pytest.mark.parametrize('version, stack', [('3.12.1', '1.13'), ('3.7.16', 'current')])
def test_an_interpreter_of_the_other_stack_stops(project, version, stack):
  python = project.add_python('named', 'CPython ' + version)
  status, output = project.setup(PYTHON=python, STACK=stack)
  assert status == 2 and output.count('\n') == 1
  assert 'PYTHON=%s is CPython %s, but STACK=%s needs' % (python, version, stack) in output
  assert project.pip_calls() == []


@pytest.mark.parametrize('stack', ['2', '1.13.1', 'Current'])
def test_an_unknown_stack_stops(project, stack):
  project.add_python()
  status, output = project.setup(STACK=stack)
  assert status == 2 and output.count('\n') == 1 and 'STACK=%s is unknown' % stack in output


def test_the_default_is_1_13(project):
  project.add_python('python3.12', 'CPython 3.12.1')
  project.add_python()
  status, output = project.setup()
  assert status == 0 and 'with CPython 3.7.16 (python3.7)' in output
  assert 'STACK' not in output


def test_without_an_interpreter_for_1_13_the_current_stack_is_taken(project):
  project.hide_pythons()
  project.add_python('python3', 'CPython 3.11.2')
  status, output = project.setup()
  assert status == 0 and 'with CPython 3.11.2 (python3)' in output
  assert ('setup: taking TensorFlow 2.21.0 (STACK=current): 1.13.1 needs CPython 3.7 or 3.6, '
          'and none that runs was found\n') in output
  assert 'taking' not in project.setup()[1]


def test_of_current_interpreters_3_12_is_preferred(project):
  project.hide_pythons()
  for version in ('3.11.7', '3.12.1', '3.13.0'):
    project.add_pyenv_python(version)
  assert 'versions/3.12.1/bin/python)' in project.setup()[1]
  for minor in (11, 12, 13):
    project.add_python('python3.%d' % minor, 'CPython 3.%d.0' % minor)
  os.remove(project.path('.venv', 'setup.stamp'))
  assert '(python3.12)' in project.setup(STACK='current')[1]


def test_another_stack_installs_again_and_stays(project):
  project.add_python()
  project.add_python('python3.12', 'CPython 3.12.1')
  project.setup()
  status, output = project.setup(STACK='current')
  assert status == 0 and 'making .venv with CPython 3.12.1 (python3.12)' in output
  assert len(project.pip_calls()) == 4
  status, output = project.setup()
  assert status == 0 and 'setup: requirements-tf2.txt' in output
  assert len(project.pip_calls()) == 4
  with open(project.path('requirements-tf2.txt'), 'a') as stream:
    stream.write('extra==1.0\n')
  assert 'making .venv with CPython 3.12.1' in project.setup()[1]


def test_without_an_interpreter_of_the_named_stack_the_ways_to_get_one_are_named(project):
  project.hide_pythons()
  project.add_python()
  status, output = project.setup(STACK='current')
  assert status == 2 and 'no CPython 3.11 to 3.13 that runs was found' in output
  assert 'PYTHON=/path/to/python3.12' in output


@pytest.mark.parametrize('machine', ['Linux aarch64', 'Darwin arm64'])
def test_arm_takes_the_current_stack(project, machine):
  project.set_machine(machine)
  project.add_python()
  project.add_python('python3.13', 'CPython 3.13.0')
  project.add_program('python3.12', '#!/bin/bash\nexit 127\n')
  status, output = project.setup()
  assert status == 0 and 'with CPython 3.13.0 (python3.13)' in output
  assert '(STACK=current): 1.13.1 has no wheel for %s\n' % machine in output


@pytest.mark.parametrize('stack, machine, libc', [
    ('1.13', 'Linux aarch64', 'ldd (GNU libc) 2.36'), ('1.13', 'Darwin arm64', ''),
    ('current', 'Darwin x86_64', ''), ('current', 'Linux x86_64', 'musl libc (x86_64)'),
    ('1.13', 'Linux x86_64', 'musl libc (x86_64)')])
def test_a_machine_without_a_wheel_stops(project, stack, machine, libc):
  project.set_machine(machine, libc)
  project.add_python()
  project.add_python('python3.12', 'CPython 3.12.1')
  status, output = project.setup(STACK=stack)
  assert status == 2 and output.count('\n') == 1
  assert '(STACK=%s) has no wheel for %s' % (stack, machine) in output


def test_an_intel_mac_without_an_interpreter_for_1_13_is_told_to_get_one(project):
  project.hide_pythons()
  project.set_machine('Darwin x86_64')
  project.add_python('python3.12', 'CPython 3.12.1')
  status, output = project.setup()
  assert status == 2 and 'no CPython 3.7 or 3.6 that runs was found' in output


def test_a_missing_ensurepip_names_the_package_and_leaves_nothing(project):
  python = project.add_python('named', 'CPython 3.11.2')
  open(project.path('no_ensurepip'), 'w').close()
  status, output = project.setup(PYTHON=python)
  assert status == 2
  assert output.endswith('setup: %s lacks ensurepip; on Debian and Ubuntu: '
                         'apt install python3.11-venv\n' % python)
  assert not os.path.exists(project.path('.venv')) and project.pip_calls() == []


def test_without_the_tools_of_linux_a_second_run_installs_nothing(project):
  """As on macOS: neither flock nor sha256sum, ldd or ldconfig."""
  project.set_machine('Darwin arm64')
  tools = project.path('tools')
  os.makedirs(tools)
  for name in ('bash', 'env', 'cat', 'cp', 'dirname', 'cksum', 'grep', 'mkdir', 'rm', 'tail'):
    os.symlink(shutil.which(name), os.path.join(tools, name))
  shutil.copy(project.path('bin', 'uname'), tools)
  project.add_python('python3.12', 'CPython 3.12.1')
  shutil.copy(project.path('bin', 'python3.12'), tools)
  for _ in range(2):
    status, output = project.setup(only_path=tools)
    assert status == 0 and 'command not found' not in output
  assert len(project.pip_calls()) == 2


@pytest.mark.skipif(os.path.exists('/usr/local/cuda-10.0'), reason='this machine has CUDA 10.0')
@pytest.mark.parametrize('missing', CUDA_LIBRARIES)
def test_one_missing_cuda_library_takes_the_cpu_wheel(project, missing):
  project.add_python()
  os.makedirs(project.path('cuda'))
  for library in set(CUDA_LIBRARIES) - {missing}:
    open(project.path('cuda', library), 'w').close()
  _, output = project.setup(LD_LIBRARY_PATH=project.path('cuda'))
  assert 'setup: requirements-cpu.txt (without CUDA 10.0: %s was not found)' % missing in output
  assert '-r requirements-cpu.txt -r requirements-dev.txt' in project.pip_calls()[-1]


def test_cuda_known_to_the_loader_takes_the_gpu_wheel(project):
  project.add_python()
  lines = ['\t%s (libc6,x86-64) => /somewhere/%s' % (name, name) for name in CUDA_LIBRARIES]
  project.add_program('ldconfig', "#!/bin/bash\necho '%s'\n" % '\n'.join(lines))
  _, output = project.setup(STACK='1.13')
  assert 'setup: requirements.txt (CUDA 10.0' in output
  assert '-r requirements.txt -r requirements-dev.txt' in project.pip_calls()[-1]


def test_a_driver_takes_the_gpu_wheel_of_the_current_stack(project):
  project.add_python('python3.12', 'CPython 3.12.1')
  _, output = project.setup(STACK='current', LD_LIBRARY_PATH=project.add_driver())
  assert 'setup: requirements-tf2-gpu.txt (an NVIDIA driver was found)' in output
  assert '-r requirements-tf2-gpu.txt -r requirements-tf2-dev.txt' in project.pip_calls()[-1]


def test_on_arm_a_driver_changes_nothing(project):
  project.set_machine('Linux aarch64')
  project.add_python('python3.12', 'CPython 3.12.1')
  _, output = project.setup(STACK='current', LD_LIBRARY_PATH=project.add_driver())
  assert 'setup: requirements-tf2.txt (without a GPU: there is no such wheel' in output
