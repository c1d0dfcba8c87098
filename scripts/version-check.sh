#!/usr/bin/env bash
# Holds together what several tools must be told separately (versions, edition, lints, the list of crates), and the schema to
# what was released.
#
# One line a check: `ok`, `FAIL` with the remedy, or `MISSING` for a tool that a check needs. Exit code 1 if anything fails, 2 if
# nothing fails but a tool is missing and cannot be installed, else 0. Changes nothing in the tree and builds nothing. It needs a
# network once, to install buf.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/schema.sh
source scripts/schema.sh

failures=0
missing=0

ok() { printf 'ok   %s: %s\n' "$1" "$2"; }

fail() {
  printf 'FAIL %s\n' "$1"
  failures=$((failures + 1))
}

missing() {
  printf 'MISSING tool: %s; fix: %s\n' "$1" "$2"
  missing=$((missing + 1))
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

members() { sed -n '/^members = \[/,/\]/p' Cargo.toml | grep -o '"[^"]*"' | tr -d '"'; }

# of_crates KEY: FILE and VALUE, a line each, of the crates that do not say `KEY.workspace = true`.
of_crates() {
  local key=$1 manifest
  while read -r manifest; do
    manifest+=/Cargo.toml
    [ "$(in_table "$manifest" package "^$key.workspace = \\(true\\)")" = true ] ||
      printf '%s\n%s\n' "$manifest" "$(in_table "$manifest" package "^$key = \"\\(.*\\)\"")"
  done < <(members)
}

in_workspace() { in_table Cargo.toml workspace.package "^$1 = \"\\(.*\\)\""; }

product_version() {
  local others function=services/telemetry-collector/src/lib.rs said
  mapfile -t others < <(of_crates version)
  said=$(sed -n '/^pub fn version()/{n;s/^ *//p}' "$function")
  [ "$said" = 'env!("CARGO_PKG_VERSION")' ] || others+=("$function" "${said//\"/}")
  same "product version" \
    MODULE.bazel "$(value MODULE.bazel '^    version = "\(.*\)",$')" \
    Cargo.toml "$(in_workspace version)" \
    CHANGELOG.md "$(value CHANGELOG.md '^## \[\([0-9][^]]*\)\].*')" \
    "${others[@]}"
}

rust_version() {
  local pinned cargo
  pinned=$(value MODULE.bazel '^    versions = \["\(.*\)"\],$')
  # Cargo's rust-version is a minimum and may leave the patch level out.
  cargo=$(in_workspace rust-version)
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
  local of_crates
  mapfile -t of_crates < <(of_crates edition)
  same "edition" \
    Cargo.toml "$(in_workspace edition)" \
    MODULE.bazel "$(value MODULE.bazel '^    edition = "\(.*\)",$')" \
    "${of_crates[@]}"
}

# What buf says of the schema. Nothing more can be said of protos that do not compile.
schema() {
  local buf said
  schema_version_form
  buf=$(buf_program .)
  if ! provide_buf .; then
    missing "buf ($buf), for the schema's lint, format, compatibility and version" "scripts/setup.sh"
    return
  fi
  if said=$(differences run_buf build proto -o /dev/null); then
    complaints "schema lint" "buf's STANDARD rules (proto/buf.yaml)" "$buf lint proto" run_buf lint proto
    schema_format "$buf"
    schema_compatible
  else
    fail "schema: expected protos that compile (proto), got $said; fix: correct them"
  fi
}

# complaints WHAT EXPECTED REMEDY COMMAND…: the command says nothing when all is well.
complaints() {
  local what=$1 expected=$2 remedy=$3 said
  shift 3
  if said=$(differences "$@"); then ok "$what" "$expected"; else fail "$what: expected $expected, got $said; fix: $remedy"; fi
}

schema_format() {
  local files
  files=$(run_buf format --diff proto | sed -n 's/^diff -u \([^ ]*\)\.orig .*/\1/p' | paste -sd' ')
  if [ -n "$files" ]; then
    fail "schema format: expected buf's (proto), got another (${files// /, }); fix: $1 format -w proto"
  else
    ok "schema format" "buf's"
  fi
}

schema_version_form() {
  local version file=$schema_version_file major=$schema_major others
  version=$(cat "$file" 2>/dev/null || true)
  if ! [[ $version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$ ]]; then
    fail "schema version: expected MAJOR.MINOR.PATCH, got '$version' ($file); fix: echo $major.0.0 > $file"
  elif [ "${version%%.*}" != "$major" ]; then
    fail "schema version: expected major $major (package telemetry.v$major), got $version ($file); fix: a new major is a new package, proto/telemetry/v${version%%.*}"
  elif others=$(grep -L "^package telemetry\.v$major;" "$schema_package"/*.proto) && [ -n "$others" ]; then
    fail "schema version: expected package telemetry.v$major ($schema_package), got another (${others//$'\n'/, }); fix: sed -i 's/^package .*;/package telemetry.v$major;/' ${others//$'\n'/ }"
  else
    ok "schema version" "$version"
  fi
}

# The kind of change since the last release demands a version.
schema_compatible() {
  local version since
  version=$(cat "$schema_version_file" 2>/dev/null || true)
  compare_schema
  if [ -z "$schema_last" ]; then
    fail "schema release: expected one of major $schema_major (proto/released), got none; fix: scripts/release-schema.sh"
    return
  fi
  since="proto/released/$schema_last"
  if [ "$schema_change" = breaking ]; then
    fail "schema compatibility: expected what $schema_last promised ($since), got $schema_details ($schema_package); fix: put it back; such a change is a new package, proto/telemetry/v$((schema_major + 1))"
    return
  fi
  ok "schema compatibility" "keeps what $schema_last promised"
  [ "$schema_change" = none ] && since+=", no change since but of comments" || since+=", since then $schema_details"
  if [ "$version" = "$schema_demanded" ]; then
    ok "schema version bump" "$version ($since)"
  else
    fail "schema version bump: expected $schema_demanded ($since), got $version ($schema_version_file); fix: echo $schema_demanded > $schema_version_file"
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

# Bazel notices a change in the manifests that it is told of.
crate_list() {
  local members manifests difference
  members=$(members | LC_ALL=C sort)
  manifests=$(sed -n '/^    manifests = \[/,/\]/s/^ *"\/\/\(..*\):Cargo.toml",$/\1/p' MODULE.bazel | LC_ALL=C sort)
  difference=$(LC_ALL=C comm -3 <(echo "$members") <(echo "$manifests") | tr -d '\t' | paste -sd' ')
  if [ -n "$difference" ]; then
    fail "crates: expected [workspace] members (Cargo.toml), got other manifests (MODULE.bazel); fix: make them agree on $difference"
  else
    ok "crates" "$(echo "$members" | grep -c .) the same in Cargo.toml and MODULE.bazel"
  fi
}

# Only the versions are resolved again: that needs the registry's index, as far as Cargo.lock goes, but no crate's source.
cargo_lock() {
  local said unknown get="scripts/setup.sh"
  if ! command -v cargo >/dev/null; then
    missing "cargo, for Cargo.lock" "get rustup (https://rustup.rs), then $get"
  elif said=$(RUSTUP_AUTO_INSTALL=0 cargo update --workspace --locked --offline 2>&1); then
    ok "Cargo.lock" "as the Cargo.toml files ask"
  elif [[ $said == *"is not installed"* ]]; then
    missing "Rust as rust-toolchain.toml names it, for Cargo.lock" "$get"
  else
    # shellcheck disable=SC2016  # the quotes are cargo's
    unknown=$(sed -n 's/^error: no matching package named `\(.*\)` found$/\1/p' <<<"$said")
    if [ -n "$unknown" ] && [ -n "$(locked "$unknown")" ]; then
      missing "cargo's index of the registry ($unknown is not in it), for Cargo.lock" "$get"
    else
      said=$(grep -E '^error: |^ +(Adding|Removing|Updating|Downgrading|Upgrading) ' <<<"$said" | grep -v '^error: cannot update' | tr -s ' ' | paste -sd, || true)
      fail "Cargo.lock: expected what the Cargo.toml files ask for, got another (Cargo.lock:${said:- other dependencies}); fix: cargo update --workspace"
    fi
  fi
}

product_version
rust_version
bazel_version
edition
schema
in_step "tonic crates" tonic tonic-build tonic-prost tonic-prost-build tonic-health tonic-reflection
in_step "prost crates" prost prost-build prost-derive prost-types
lints
crate_list
cargo_lock

[ "$failures" -eq 0 ] || exit 1
[ "$missing" -eq 0 ] || exit 2
