#!/usr/bin/env bash
# Checks format and lint of Bazel's files: scripts/buildifier.sh. With --fix, formats them and mends what it can.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/tools.sh
source scripts/tools.sh

existing() { while IFS= read -r file; do [ ! -e "$file" ] || printf '%s\n' "$file"; done; }

provide_buildifier "$PWD" || die "buildifier could not be installed" "scripts/setup.sh says what is missing"
# Not those that the index has and the working tree does not.
mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.bazel' '*.bzl' | existing)
case ${1:-} in
  --fix) exec "$(buildifier_program "$PWD")" --mode=fix --lint=fix "${files[@]}" ;;
  "") ;;
  *) die "unknown argument '$1'" "usage: scripts/buildifier.sh [--fix]" ;;
esac
"$(buildifier_program "$PWD")" --mode=check --lint=warn "${files[@]}" ||
  die "Bazel's files are not as buildifier wants them" "fix: scripts/buildifier.sh --fix; it leaves the warnings that need a person"
