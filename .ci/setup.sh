#!/usr/bin/env bash
# Makes .venv with the pinned requirements of a stack. A repeat changes nothing.
#   stack 1.13:    TensorFlow 1.13.1 on CPython 3.7 or 3.6
#   stack current: TensorFlow 2.21.0 on CPython 3.11 to 3.13
# STACK=... and PYTHON=... choose. Without them an existing .venv keeps its stack; a new one is of
# 1.13 where that runs. This has to run on the bash 3.2 and without the GNU tools of macOS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Of two makes at once, one waits until the other has made .venv (not on macOS).
exec 9<.ci/setup.sh
! command -v flock >/dev/null || flock 9

# A package seen through PYTHONPATH would look installed; the interpreter of .venv cannot remake it.
unset PYTHONPATH PYTHONHOME
own_folder=$PWD/.venv/bin:
PATH=${PATH//"$own_folder"/}

readonly stamp=.venv/setup.stamp log=.venv/setup.log
# What tensorflow-gpu 1.13.1 is linked to (readelf -d): it does not import where one is missing.
readonly cuda_libraries=(
  libcublas.so.10.0 libcudnn.so.7 libcuda.so.1 libcudart.so.10.0 libcusolver.so.10.0)
readonly fused_ops=adj_quant/scripts/ops fused_ops_stamp=build/fused_ops.stamp

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 2
}

# Sets the stack to $1 and what follows from it; `versions` has the preferred one first.
use_stack() {
  stack=$1
  if [[ $stack == 1.13 ]]; then
    tensorflow='TensorFlow 1.13.1' machines='x86-64 Linux and macOS'
    pythons='CPython 3.7 or 3.6' versions='3.7 3.6'
    dev_requirements=requirements-dev.txt
    # The pips of these Pythons are too old for some of the pinned wheels; this one reads them all.
    installers='pip==21.3.1 setuptools==59.6.0 wheel==0.37.1'
  elif [[ $stack == current ]]; then
    tensorflow='TensorFlow 2.21.0' machines='x86-64 and Arm Linux with glibc, Arm macOS'
    pythons='CPython 3.11 to 3.13' versions='3.12 3.13 3.11'
    dev_requirements=requirements-tf2-dev.txt
    installers='pip==26.3'
  else
    fail "STACK=$stack is unknown: it is 1.13 (TensorFlow 1.13.1) or current (TensorFlow 2.21.0)."
  fi
}

# Prints e.g. "CPython 3.7.16"; fails where $1 does not run, as a pyenv shim may.
describe() {
  "$1" -c 'import platform as p
print("%s %s" % (p.python_implementation(), p.python_version()))' 2>/dev/null </dev/null
}

# Prints the stack of an interpreter that was described as $1; nothing where it has none.
stack_of() {
  case $1 in
    'CPython 3.'[67].*) echo 1.13 ;;
    'CPython 3.1'[123].*) echo current ;;
  esac
}

# Prints e.g. "Linux x86_64".
describe_machine() {
  local libc
  libc=$(ldd --version 2>&1 || true)
  case $libc in
    musl*) echo "$(uname -sm) with musl" ;;
    *) uname -sm ;;
  esac
}

# Succeeds where TensorFlow has a wheel of the stack $1 for this machine.
has_wheel() {
  case "$1: $machine" in
    *': Linux x86_64' | '1.13: Darwin x86_64') ;;
    'current: Linux aarch64' | 'current: Darwin arm64') ;;
    *) return 1 ;;
  esac
}

# Prints the first interpreter of the stack that runs; fails where there is none.
find_python() {
  local candidate version names=() folders=() pyenv=${PYENV_ROOT:-${HOME:-}/.pyenv}
  for version in $versions; do
    names+=("python$version") folders+=("$pyenv/versions/$version".*/bin/python)
  done
  for candidate in "${names[@]}" python3 python "${folders[@]}"; do
    if [[ $(stack_of "$(describe "$candidate")") == "$stack" ]]; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

fail_without_python() {
  local version=${versions%% *}
  fail "no $pythons that runs was found; $tensorflow has wheels for no other." \
    "Get one: \`pyenv install $version\`, \`conda create -n tf python=$version\` or a container" \
    "(python:$version), or name one you have: \`make setup PYTHON=/path/to/python$version\`."
}

# Sets the stack to that of PYTHON, which has to fit STACK.
use_named_python() {
  local found named
  found=$(describe "$python") || fail "PYTHON=$python does not run: name another or unset it."
  named=$(stack_of "$found")
  [[ -n $named ]] ||
    fail "PYTHON=$python is $found: name a CPython 3.7, 3.6 or 3.11 to 3.13 or unset it."
  [[ ${stack:-$named} == "$named" ]] ||
    fail "PYTHON=$python is $found, but STACK=$stack needs $pythons: unset one of the two."
  use_stack "$named"
}

# Sets the stack to 1.13 where that has a wheel and an interpreter, else to the current one.
use_default_stack() {
  local reason="has no wheel for $machine"
  if has_wheel 1.13; then
    use_stack 1.13
    if python=$(find_python) || ! has_wheel current; then
      return
    fi
    reason="needs $pythons, and none that runs was found"
  fi
  use_stack current
  echo "setup: taking TensorFlow 2.21.0 (STACK=current): 1.13.1 $reason"
}

# Succeeds where the dynamic loader would find the library $1.
has_library() {
  local folder folders
  IFS=: read -ra folders <<<"${LD_LIBRARY_PATH:-}:"  # Never empty: bash 4.3 refuses that.
  for folder in "${folders[@]}"; do
    [[ -n $folder && -e $folder/$1 ]] && return
  done
  grep -qF "$1 " <<<"$loader_cache"
}

# Sets `requirements` to the file of this stack and machine and `reason` to why.
choose_requirements() {
  local library loader_cache
  loader_cache=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null || true)
  if [[ $stack == current ]]; then
    requirements=requirements-tf2.txt reason='without a GPU: libcuda.so.1 was not found'
    if has_library libcuda.so.1; then
      reason="without a GPU: there is no such wheel for $machine"
      [[ $machine != 'Linux x86_64' ]] ||
        requirements=requirements-tf2-gpu.txt reason='an NVIDIA driver was found'
    fi
    return
  fi
  for library in "${cuda_libraries[@]}"; do
    if ! has_library "$library"; then
      requirements=requirements-cpu.txt reason="without CUDA 10.0: $library was not found"
      return
    fi
  done
  requirements=requirements.txt reason="CUDA 10.0, cuDNN 7 and a driver were found"
}

# Prints what .venv depends on, $1 being its Python. The path is one: scripts in .venv hold it.
fingerprint() {
  printf '%s\n' "$PWD" "$1" "$stack" "$requirements"
  cksum .ci/setup.sh requirements*.txt
}

# Compiles the fused ops unless it was tried already with these sources, compilers and .venv.
compile_fused_ops() {
  local sources
  sources=$(command -v ${CXX:-g++ clang++ c++} || true
            cksum "$fused_ops"/*.py "$fused_ops"/cc/* "$stamp")
  [[ -f $fused_ops_stamp && $(<"$fused_ops_stamp") == "$sources" ]] && return
  .venv/bin/python "$fused_ops/build.py" 2>>"$log" </dev/null ||
    fail "compiling the fused ops failed; all of its output is in $log."
  mkdir -p build
  echo "$sources" >"$fused_ops_stamp"
}

is_finished() {
  local installed
  [[ -f $stamp ]] && installed=$(describe .venv/bin/python) || return
  [[ -z ${PYTHON:-} || $(describe "$PYTHON") == "$installed" ]] || return
  [[ $(<"$stamp") == "$(fingerprint "$installed")" ]]
}

# Runs a command quietly; $1 names it where it fails, below the end of its output.
step() {
  "${@:2}" >>"$log" 2>&1 </dev/null && return
  tail -n 15 "$log" >&2
  fail "$1 failed; all of its output is in $log."
}

install() {
  local version release
  version=$(describe "$python") release=${version#* }
  "$python" -c 'import ensurepip; ensurepip.version()' >/dev/null 2>&1 </dev/null ||
    fail "$python lacks ensurepip; on Debian and Ubuntu: apt install python${release%.*}-venv"
  echo "setup: making .venv with $version ($python), which takes minutes the first time"
  rm -rf .venv
  mkdir .venv
  step 'making the virtual environment' "$python" -m venv .venv
  local pip=(.venv/bin/python -m pip install --disable-pip-version-check --no-input)
  step 'installing pip' "${pip[@]}" $installers
  step "installing $requirements" "${pip[@]}" -r "$requirements" -r "$dev_requirements"
  step 'importing TensorFlow' .venv/bin/python -c 'import tensorflow'
  # Last, so that an interrupted installation is done again.
  fingerprint "$version" >"$stamp"
}

main() {
  local stack=${STACK:-} python=${PYTHON:-} machine requirements reason
  machine=$(describe_machine)
  [[ -z $stack ]] || use_stack "$stack"
  [[ -z $python ]] || use_named_python
  if [[ -z $stack && -f $stamp ]]; then
    stack=$(stack_of "$(describe .venv/bin/python)")
    [[ -z $stack ]] || use_stack "$stack"
  fi
  [[ -n $stack ]] || use_default_stack
  has_wheel "$stack" ||
    fail "$tensorflow (STACK=$stack) has no wheel for $machine, only for $machines."
  choose_requirements
  echo "setup: $requirements ($reason)"
  if ! is_finished; then
    [[ -n $python ]] || python=$(find_python) || fail_without_python
    install
  fi
  compile_fused_ops
}

main
