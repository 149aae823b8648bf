#!/usr/bin/env bash
# Makes .venv: CPython 3.7 or 3.6 with the pinned requirements. A repeat changes nothing.
# PYTHON=... names the interpreter; without it the first one that really runs is taken.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Of two makes at once, one waits until the other has made .venv.
exec 9<.ci/setup.sh
flock 9

# A package seen through PYTHONPATH would look installed; the interpreter of .venv cannot remake it.
unset PYTHONPATH PYTHONHOME
PATH=${PATH//"$PWD/.venv/bin:"/}

readonly stamp=.venv/setup.stamp log=.venv/setup.log
# The pips of CPython 3.6 and 3.7 are too old for some of the pinned wheels; these read them all.
readonly installers=(pip==21.3.1 setuptools==59.6.0 wheel==0.37.1)
# What tensorflow-gpu 1.13.1 is linked to (readelf -d): it does not import where one is missing.
readonly cuda_libraries=(
  libcublas.so.10.0 libcudnn.so.7 libcuda.so.1 libcudart.so.10.0 libcusolver.so.10.0)
readonly fused_ops=adj_quant/scripts/ops fused_ops_stamp=build/fused_ops.stamp

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 2
}

# Prints e.g. "CPython 3.7.16"; fails where $1 does not run, as a pyenv shim may.
describe() {
  "$1" -c 'import platform as p
print("%s %s" % (p.python_implementation(), p.python_version()))' 2>/dev/null </dev/null
}

is_supported() {
  [[ $1 == "CPython 3.7."* || $1 == "CPython 3.6."* ]]
}

# Prints the first interpreter that runs and is supported.
find_python() {
  local candidate versions=${PYENV_ROOT:-${HOME:-}/.pyenv}/versions
  for candidate in python3.7 python3.6 python3 python \
      "$versions"/3.7.*/bin/python "$versions"/3.6.*/bin/python; do
    if is_supported "$(describe "$candidate")"; then
      echo "$candidate"
      return
    fi
  done
  fail 'no CPython 3.7 or 3.6 that runs was found; TensorFlow 1.13.1 has wheels for no later one.' \
    'Get one: `pyenv install 3.7.16`, or `conda create -n py37 python=3.7`, or a container' \
    '(python:3.7), or name an interpreter you have: `make setup PYTHON=/path/to/python3.7`.'
}

check_named_python() {
  local found
  found=$(describe "$1") || fail "PYTHON=$1 does not run: name a CPython 3.7 or 3.6 or unset it."
  is_supported "$found" ||
    fail "PYTHON=$1 is $found: TensorFlow 1.13.1 needs CPython 3.7 or 3.6; name one or unset it."
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

# Sets `requirements` to the file of this machine and `reason` to why.
choose_requirements() {
  local library loader_cache
  loader_cache=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null || true)
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
  printf '%s\n' "$PWD" "$1" "$requirements"
  sha256sum .ci/setup.sh requirements*.txt
}

# Compiles the fused ops unless it was tried already with these sources, compilers and .venv.
compile_fused_ops() {
  local sources
  sources=$(command -v ${CXX:-g++ clang++ c++} || true
            sha256sum "$fused_ops"/*.py "$fused_ops"/cc/* "$stamp")
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
  local python=$1 version
  version=$(describe "$python")
  echo "setup: making .venv with $version ($python), which takes minutes the first time"
  rm -rf .venv
  mkdir .venv
  step 'making the virtual environment' "$python" -m venv .venv
  local pip=(.venv/bin/python -m pip install --disable-pip-version-check --no-input)
  step 'installing pip' "${pip[@]}" "${installers[@]}"
  step "installing $requirements" "${pip[@]}" -r "$requirements" -r requirements-dev.txt
  step 'importing TensorFlow' .venv/bin/python -c 'import tensorflow'
  # Last, so that an interrupted installation is done again.
  fingerprint "$version" >"$stamp"
}

main() {
  local python=${PYTHON:-} requirements reason
  [[ -z $python ]] || check_named_python "$python"
  choose_requirements
  echo "setup: $requirements ($reason)"
  if ! is_finished; then
    [[ -n $python ]] || python=$(find_python)
    install "$python"
  fi
  compile_fused_ops
}

main
