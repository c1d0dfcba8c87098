# shellcheck shell=bash
# What the scripts of this repository share: messages, installing Debian packages, and the pinned Rust.

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $1"
  shift
  for remedy in "$@"; do say "  $remedy"; done
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# step TITLE COMMAND…: runs quietly, says how long it took; on failure the log's end is shown. STEP_LOG, if set, is the log.
step() {
  local title=$1 log=${STEP_LOG:-} started=$SECONDS status=0
  shift
  [ -n "$log" ] || log=$(mktemp)
  printf -- '--> %s ... ' "$title" >&2
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" -eq 0 ]; then
    say "$((SECONDS - started)) s"
    [ -n "${STEP_LOG:-}" ] || rm -f "$log"
  else
    say "FAILED (exit code $status) after $((SECONDS - started)) s; the end of $log:"
    tail -n 40 "$log" | sed 's/^/    /' >&2
  fi
  return "$status"
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# provide COMMAND PACKAGE…: installs Debian packages unless the command is there. Fails if it cannot.
provide() {
  local command=$1
  shift
  have "$command" && return
  is_root && have apt-get || return
  step "apt-get install $*" apt_install_or_update "$@"
}

# Two scripts at once wait for each other: the one that ends first must not allow services while the other one installs.
apt_lock=/var/lib/dpkg
policy_rc_d=/usr/sbin/policy-rc.d

# A new machine has no list of packages, and an old list names versions that the mirror no longer has.
apt_install_or_update() (
  flock 9
  apt_install "$@" || { apt-get update && apt_install "$@"; }
) 9<"$apt_lock"

# Only the programs in a package are used: its services are not started. Other users of apt may hold its lock for a while.
apt_install() (
  if [ ! -e "$policy_rc_d" ]; then
    trap 'rm -f "$policy_rc_d"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy_rc_d"
    chmod +x "$policy_rc_d"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends "$@" 9<&-
)

# Makes cargo and rustc of the version in rust-toolchain.toml callable.
use_pinned_rust() {
  local workspace=$1 pinned toolchain
  pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$workspace/rust-toolchain.toml")
  have cargo || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
  have cargo || die "there is no Rust here" "get rustup (https://rustup.rs), then: rustup toolchain install $pinned"
  rustc_is "$pinned" "$workspace" && return
  if have rustup; then
    # The right version may be there under another name ("stable").
    for toolchain in $(rustup toolchain list | cut -d' ' -f1); do
      if RUSTUP_TOOLCHAIN=$toolchain rustc_is "$pinned" "$workspace"; then
        export RUSTUP_TOOLCHAIN=$toolchain
        return
      fi
    done
    step "rustup toolchain install $pinned" rustup toolchain install "$pinned" --profile minimal -c clippy -c rustfmt &&
      rustc_is "$pinned" "$workspace" && return
  fi
  die "Rust $pinned, the version in rust-toolchain.toml, is not installed and could not be" "install it: rustup toolchain install $pinned"
}

rustc_is() { [[ $(cd "$2" && rustc --version 2>/dev/null) == "rustc $1 "* ]]; }
