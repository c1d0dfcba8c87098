#!/usr/bin/env bash
# Tests of how tools are installed and run: lib.sh, setup.sh and buildifier.sh.
set -euo pipefail

# shellcheck source=scripts/tests/fixture.sh
source "$(dirname "${BASH_SOURCE[0]}")/fixture.sh"
mkdir "$scratch/bin" "$scratch/case"
export PATH=$scratch/bin:$PATH TMPDIR=$scratch

# stub NAME LINE…: a program of this name is found first.
stub() {
  printf '%s\n' '#!/bin/sh' "${@:2}" >"$scratch/bin/$1"
  chmod +x "$scratch/bin/$1"
}

# Two scripts install packages at the same time. The second apt-get begins while the first one runs, unless it waits.
stub apt-get "mkdir '$scratch/installing' || echo 'two at once' >>'$scratch/mistakes'" "sleep 1" \
  "[ -x '$scratch/policy-rc.d' ] || echo 'services are allowed' >>'$scratch/mistakes'" "rmdir '$scratch/installing'"
install_twice_at_once() (
  # shellcheck disable=SC2034  # lib.sh reads them
  apt_lock=$scratch policy_rc_d=$scratch/policy-rc.d
  apt_install_or_update one 2>/dev/null &
  apt_install_or_update other 2>/dev/null &
  wait
  [ ! -e "$scratch/mistakes" ] && [ ! -e "$policy_rc_d" ]
)
holds "two scripts that install packages wait for each other" install_twice_at_once

# cached FILE…: what these files pin is installed.
tool_cache=$scratch/cache/telemetry-tools
cached() {
  local folder
  folder=$(cache_folder "$@")
  mkdir -p "$folder"
  touch "$folder/.complete"
}
cd "$scratch/tree"
cached tools/buf/requirements.txt
cached examples/python/requirements.txt
cached tools/cargo/programs.txt

# Without buildifier, which needs npm
stub npm "exit 1"
sets_up() { XDG_CACHE_HOME=$scratch/cache VALKEY_SERVER=/opt/valkey-server expect "$@"; }
sets_up "the environment although a program is missing" 1 "export TELEMETRY_PYTHON=$tool_cache/python-" setup.sh
sets_up "the program that is missing" 1 "  buildifier: is there an npm " setup.sh
sets_up "what is wrong" 1 "error: not everything could be installed; this is missing:" setup.sh

# With a buildifier that fails if a file does not exist
program=$(buildifier_program .)
mkdir -p "$(dirname "$program")"
stub buildifier "for file; do case \$file in -*) ;; *) [ -e \"\$file\" ] || { echo \"\$file: not found\"; exit 3; } ;; esac; done"
mv "$scratch/bin/buildifier" "$program"
delete_tracked_file() { git init -q && git add -A && rm "$schema/BUILD.bazel"; }
XDG_CACHE_HOME=$scratch/cache expect "a file that the working tree does not have is not checked" 0 "" buildifier.sh delete_tracked_file
cached tools/buildifier/package-lock.json tools/buildifier/package.json
sets_up "everything is there" 0 "export TELEMETRY_PYTHON=" setup.sh

close
