#!/usr/bin/env bash
# Gets what checks and tests take from package registries (buf, Python packages) into a cache outside the tree, once a machine,
# and prints the environment that names it: eval "$(scripts/setup.sh)"
set -euo pipefail

workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$workspace/scripts/lib.sh"

no_packages="is there a python3 with venv (Debian: apt-get install python3-venv), and can PyPI be reached?"
provide_buf "$workspace" || die "buf is not to be had" "$no_packages"
provide_python "$workspace" || die "the Python packages are not to be had" "$no_packages"
printf 'export TELEMETRY_PYTHON=%q\n' "$TELEMETRY_PYTHON"
