#!/usr/bin/env bash
# Tests of version-check.sh: a copy of the files it reads, one mistake at a time.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

fresh_copy() {
  rm -rf "$scratch/tree"
  mkdir "$scratch/tree"
  (
    cd "$root"
    # The sources are named so that cargo finds the targets of each package.
    find . \( -name .git -o -name target -o -name 'bazel-*' \) -prune -o \
      \( -name Cargo.toml -o -name Cargo.lock -o -name '*.rs' -o -path './proto/*' -o -path ./scripts/version-check.sh \
      -o -path './tools/bazel/*' -o -name rust-toolchain.toml -o -name MODULE.bazel -o -name .bazelrc -o -name .bazelversion \
      -o -name CHANGELOG.md \) -type f -print0 | xargs -0 cp --parents -t "$scratch/tree"
  )
}

# expect NAME EXIT-CODE LINE [EDIT-COMMAND…]: after the edit, version-check ends so and prints a line that begins so.
expect() {
  local name=$1 code=$2 line=$3 got=0 said
  shift 3
  fresh_copy
  (cd "$scratch/tree" && "${@:-true}")
  said=$("$scratch/tree/scripts/version-check.sh" 2>&1) || got=$?
  if [ "$got" -eq "$code" ] && [[ $'\n'$said == *$'\n'"$line"* ]]; then
    passed=$((passed + 1))
    echo "ok     $name"
  else
    failed=$((failed + 1))
    echo "FAILED $name: expected exit code $code and a line '$line', got exit code $got and:"
    printf '%s\n' "$said" | sed 's/^/    /'
  fi
}

edit() { sed -i "$@"; }

lock_old_prost() { printf '\n[[package]]\nname = "prost"\nversion = "0.1.0"\n' >>Cargo.lock; }

version=$(sed -n 's/^    version = "\(.*\)",$/\1/p' "$root/MODULE.bazel" | head -n 1)
edition=$(sed -n 's/^    edition = "\(.*\)",$/\1/p' "$root/MODULE.bazel")
schema=proto/telemetry/v1/SCHEMA_VERSION

expect "all in step" 0 "ok   product version: $version"
expect "product version in Cargo.toml" 1 "FAIL product version: expected $version (MODULE.bazel), got 9.9.9 (Cargo.toml); fix: sed -i " \
  edit "s/^version = .*/version = \"9.9.9\"/" Cargo.toml
expect "product version in the changelog" 1 "FAIL product version: expected $version (MODULE.bazel), got 9.9.9 (CHANGELOG.md)" \
  edit '0,/^## \[/s/^## \[.*/## [9.9.9] - 2000-01-01/' CHANGELOG.md
expect "no changelog" 1 "FAIL product version: expected $version (MODULE.bazel), got nothing (CHANGELOG.md)" \
  rm CHANGELOG.md
expect "Rust version of the toolchain" 1 "FAIL Rust version: expected " \
  edit 's/^channel = .*/channel = "1.2.3"/' rust-toolchain.toml
expect "Rust version in Cargo.toml" 1 "FAIL Rust version: expected " \
  edit 's/^rust-version = .*/rust-version = "1.2"/' Cargo.toml
expect "Bazel version" 1 "FAIL Bazel version: expected 9.9.9 (.bazelversion), got " \
  edit 's/.*/9.9.9/' .bazelversion
expect "edition" 1 "FAIL edition: expected $edition (Cargo.toml), got 2018 (MODULE.bazel)" \
  edit 's/edition = ".*"/edition = "2018"/' MODULE.bazel
expect "schema version is no semver" 1 "FAIL schema version: expected MAJOR.MINOR.PATCH, got '1.0'" \
  edit 's/.*/1.0/' "$schema"
expect "schema version of another package" 1 "FAIL schema version: expected major 1 (package telemetry.v1), got 2.0.0" \
  edit 's/.*/2.0.0/' "$schema"
expect "package of a proto" 1 "FAIL schema version: expected package telemetry.v1 (proto/telemetry/v1), got another (proto/telemetry/v1/cpu.proto)" \
  edit 's/^package .*/package telemetry.v2;/' proto/telemetry/v1/cpu.proto
expect "a tonic crate out of step" 1 "FAIL tonic crates: expected " \
  edit '/^name = "tonic-health"/{n;s/".*"/"0.1.0"/}' Cargo.lock
expect "a second prost" 1 "FAIL prost crates: expected " \
  lock_old_prost
expect "a lint that Bazel does not know" 1 "FAIL lints: expected [workspace.lints] (Cargo.toml), got others (.bazelrc); fix: make them agree on -Wclippy::pedantic" \
  edit 's/^\[workspace.lints.clippy\]/&\npedantic = "warn"/' Cargo.toml
expect "a lint of another level" 1 "FAIL lints: " \
  edit 's/^unsafe_code = .*/unsafe_code = "warn"/' Cargo.toml
expect "every check runs" 1 "FAIL schema version" \
  bash -c "rm CHANGELOG.md && echo x > $schema"
if "$root/scripts/version-check.sh" | grep -q '^ok   Cargo.lock'; then
  expect "Cargo.lock behind" 1 "FAIL Cargo.lock: expected what the Cargo.toml files ask for" \
    edit '0,/^version = "0/s//version = "9/' services/telemetry-collector/Cargo.toml Cargo.toml
fi

if [ "$failed" -eq 0 ]; then verdict=ok; else verdict=FAILED; fi
echo "test result: $verdict. $passed passed; $failed failed;"
[ "$failed" -eq 0 ]
