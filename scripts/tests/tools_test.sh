#!/usr/bin/env bash
# Tests of how tools are installed and run: lib.sh and buildifier.sh.
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

tool_cache=$scratch/cache/telemetry-tools
cd "$scratch/tree"

# With a buildifier that fails if a file does not exist
program=$(buildifier_program .)
mkdir -p "$(dirname "$program")"
stub buildifier "for file; do case \$file in -*) ;; *) [ -e \"\$file\" ] || { echo \"\$file: not found\"; exit 3; } ;; esac; done"
mv "$scratch/bin/buildifier" "$program"
delete_tracked_file() { git init -q && git add -A && rm "$schema/BUILD.bazel"; }
XDG_CACHE_HOME=$scratch/cache expect "a file that the working tree does not have is not checked" 0 "" buildifier.sh delete_tracked_file

close
