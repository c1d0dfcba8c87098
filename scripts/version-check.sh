#!/usr/bin/env bash
# Holds together what several tools must be told separately: versions, edition, lints.
#
# One line a check, `ok` or `FAIL` with the remedy; exit code 1 if anything fails. Reads only, and needs no network.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

failures=0

ok() { printf 'ok   %s: %s\n' "$1" "$2"; }

fail() {
  printf 'FAIL %s\n' "$1"
  failures=$((failures + 1))
}

# same WHAT FILE VALUE [FILE VALUE]…: every value must be the first one.
same() {
  local what=$1 from=$2 expected=$3 complaint=
  shift 3
  while [ $# -gt 0 ]; do
    if [ "$2" != "$expected" ] || [ -z "$2" ]; then
      [ -n "$complaint" ] || complaint="$what: expected ${expected:-a value} ($from)"
      complaint+=", got ${2:-nothing} ($1); fix: $(remedy "$1" "$2" "$expected")"
    fi
    shift 2
  done
  if [ -n "$complaint" ]; then fail "$complaint"; else ok "$what" "$expected"; fi
}

remedy() {
  if [ -n "$2" ] && [ -n "$3" ]; then
    printf "sed -i 's/\\\\b%s\\\\b/%s/' %s, then look at git diff" "${2//./\\.}" "$3" "$1"
  else
    printf 'write it into %s' "$1"
  fi
}

# value FILE SED-PATTERN: the first match's first group; nothing if there is none.
value() { [ ! -e "$1" ] || sed -n "s/$2/\\1/p;T;q" "$1"; }

# in_table FILE TABLE PATTERN: as value, within one TOML table.
in_table() { [ ! -e "$1" ] || sed -n "/^\\[$2\\]/,/^\\[/{s/$3/\\1/p;T;q}" "$1"; }

# locked NAME…: "name version" of these packages in Cargo.lock.
locked() {
  awk -v names="$*" '
    BEGIN { split(names, list, " "); for (i in list) wanted[list[i]] }
    $1 == "name" { name = $3; gsub(/"/, "", name) }
    $1 == "version" && name in wanted { gsub(/"/, "", $3); print name, $3 }
  ' Cargo.lock
}

product_version() {
  same "product version" \
    MODULE.bazel "$(value MODULE.bazel '^    version = "\(.*\)",$')" \
    Cargo.toml "$(in_table Cargo.toml workspace.package '^version = "\(.*\)"')" \
    CHANGELOG.md "$(value CHANGELOG.md '^## \[\([0-9][^]]*\)\].*')"
}

rust_version() {
  local pinned cargo
  pinned=$(value MODULE.bazel '^    versions = \["\(.*\)"\],$')
  # Cargo's rust-version is a minimum and may leave the patch level out.
  cargo=$(in_table Cargo.toml workspace.package '^rust-version = "\(.*\)"')
  [[ $pinned != "$cargo".* ]] || cargo=$pinned
  same "Rust version" \
    MODULE.bazel "$pinned" \
    rust-toolchain.toml "$(value rust-toolchain.toml '^channel = "\(.*\)"')" \
    Cargo.toml "$cargo"
}

bazel_version() {
  same "Bazel version" \
    .bazelversion "$(cat .bazelversion)" \
    tools/bazel/closed_network/bazel "$(value tools/bazel/closed_network/bazel '^debian_bazel=\(.*\)$')"
}

edition() {
  same "edition" \
    Cargo.toml "$(in_table Cargo.toml workspace.package '^edition = "\(.*\)"')" \
    MODULE.bazel "$(value MODULE.bazel '^    edition = "\(.*\)",$')"
}

schema_version() {
  local version file=proto/telemetry/v1/SCHEMA_VERSION others
  version=$(cat "$file" 2>/dev/null || true)
  if ! [[ $version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$ ]]; then
    fail "schema version: expected MAJOR.MINOR.PATCH, got '$version' ($file); fix: echo 1.0.0 > $file"
  elif [ "${version%%.*}" != 1 ]; then
    fail "schema version: expected major 1 (package telemetry.v1), got $version ($file); fix: a new major is a new package, proto/telemetry/v${version%%.*}"
  elif others=$(grep -L '^package telemetry\.v1;' proto/telemetry/v1/*.proto) && [ -n "$others" ]; then
    fail "schema version: expected package telemetry.v1 (proto/telemetry/v1), got another (${others//$'\n'/, }); fix: sed -i 's/^package .*;/package telemetry.v1;/' ${others//$'\n'/ }"
  else
    ok "schema version" "$version"
  fi
}

# in_step WHAT PACKAGE…: all of one minor version, that of the first.
in_step() {
  local what=$1 first=$2 expected name version complaint=
  shift
  expected=$(locked "$first" | cut -d' ' -f2 | head -n 1)
  while read -r name version; do
    [ "${version%.*}" = "${expected%.*}" ] ||
      complaint+=", got $version (Cargo.lock, $name); fix: cargo update -p $name@$version"
  done < <(locked "$@")
  if [ -z "$expected" ]; then
    fail "$what: expected $first (Cargo.lock), got nothing; fix: cargo add -p telemetry-proto $first"
  elif [ -n "$complaint" ]; then
    fail "$what: expected ${expected%.*}.x (Cargo.lock, $first)$complaint"
  else
    ok "$what" "${expected%.*}.x"
  fi
}

# Bazel's clippy does not read Cargo's lint table.
lints() {
  local cargo bazel difference
  cargo=$(awk '
    BEGIN { prefix = "none" }
    /^\[/ { prefix = $0 == "[workspace.lints.rust]" ? "" : $0 == "[workspace.lints.clippy]" ? "clippy::" : "none" }
    /^[a-z_-]+ *=/ && prefix != "none" {
      match($0, /"(allow|warn|deny|forbid)"/)
      name = $1; gsub(/-/, "_", name)
      print "-" toupper(substr($0, RSTART + 1, 1)) prefix name
    }
  ' Cargo.toml | LC_ALL=C sort)
  bazel=$(sed -n 's/^build .*:clippy_flag=\(-[AWDF].*\)$/\1/p' .bazelrc | grep -vx -e -Dwarnings | LC_ALL=C sort || true)
  difference=$(LC_ALL=C comm -3 <(echo "$cargo") <(echo "$bazel") | tr -d '\t' | paste -sd' ')
  if [ -n "$difference" ]; then
    fail "lints: expected [workspace.lints] (Cargo.toml), got others (.bazelrc); fix: make them agree on $difference"
  else
    ok "lints" "$(echo "$cargo" | grep -c .) the same in Cargo.toml and .bazelrc"
  fi
}

cargo_lock() {
  local said
  if ! command -v cargo >/dev/null || ! compgen -G "${CARGO_HOME:-$HOME/.cargo}/registry/index/*" >/dev/null; then
    echo "skip Cargo.lock: no cargo, or it has no registry yet"
  elif said=$(cargo metadata --locked --offline --format-version 1 2>&1 >/dev/null); then
    ok "Cargo.lock" "as the Cargo.toml files ask"
  elif [[ $said == *"attempting to make an HTTP request"* || $said == *"is not installed"* ]]; then
    echo "skip Cargo.lock: crates that cargo has not downloaded yet"
  else
    fail "Cargo.lock: expected what the Cargo.toml files ask for, got another (Cargo.lock); fix: cargo update --workspace"
  fi
}

product_version
rust_version
bazel_version
edition
schema_version
in_step "tonic crates" tonic tonic-build tonic-prost tonic-prost-build tonic-health tonic-reflection
in_step "prost crates" prost prost-build prost-derive prost-types
lints
cargo_lock

[ "$failures" -eq 0 ]
