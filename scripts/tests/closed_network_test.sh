#!/usr/bin/env bash
# Tests of tools/bazel/closed_network/bazel when it is interrupted. The programs that it runs are replaced by stubs.
set -euo pipefail

# shellcheck source=scripts/tests/fixture.sh
source "$(dirname "${BASH_SOURCE[0]}")/fixture.sh"
mkdir -p "$scratch/bin" "$scratch/sysroot/bin" "$scratch/case"

# stub PATH: a program with the text on standard input.
stub() {
  cat - >"$scratch/$1"
  chmod +x "$scratch/$1"
}

stub bin/id <<<'#!/bin/sh
echo 0'
stub bin/cc <<<'#!/bin/sh'
stub bin/rustc <<END
#!/bin/sh
case \$1 in
  --version) echo "rustc $(sed -n 's/^channel = "\(.*\)"/\1/p' "$root/rust-toolchain.toml") (stub)" ;;
  --print) echo '$scratch/sysroot' ;;
esac
END
stub bin/unshare <<'END'
#!/bin/sh
while :; do case $1 in --propagation) shift 2 ;; --*) shift ;; *) break ;; esac; done
exec "$@"
END
# It has the source of cargo-bazel at once, and then never ends.
stub bin/mmdebstrap <<'END'
#!/bin/sh
rules=$CRATE_UNIVERSE/usr/share/bazel/rules/rust/crate_universe
mkdir -p "$rules/src/splicing"
touch "$rules/Cargo.toml" "$rules/src/splicing.rs" "$rules/src/splicing/crate_index_lookup.rs" "$CRATE_UNIVERSE/.complete"
sleep 600
END
stub sysroot/bin/cargo <<END
#!/bin/sh
[ "\$1" = build ] || exit 0
echo \$\$ >'$scratch/cargo.pid'
sleep 600
END
cp "$scratch/sysroot/bin/cargo" "$scratch/bin/cargo"

eventually() {
  for _ in {1..300}; do
    if "$@"; then return; fi
    sleep 0.1
  done
  return 1
}
# A process that nobody has waited for yet has ended, too.
has_ended() { ! grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; }

interrupted() {
  local pid cargo
  # In a process group of its own, as if in a terminal.
  set -m
  PATH=$scratch/bin:$PATH XDG_CACHE_HOME=$scratch/cache "$scratch/tree/tools/bazel/closed_network/bazel" info 2>/dev/null &
  pid=$!
  set +m
  eventually test -s "$scratch/cargo.pid" || return
  cargo=$(cat "$scratch/cargo.pid")
  kill -INT -- "-$pid"
  wait "$pid" || true
  has_ended "$cargo" && return
  kill -- "-$(ps -o pgid= "$cargo" | tr -d ' ')"
  return 1
}
holds "Ctrl-C ends the compilation in the background" interrupted

close
