#!/usr/bin/env bash
# Freezes the schema as the version that SCHEMA_VERSION names: its descriptors and messages that this code writes go to
# proto/released/VERSION, where tests hold all later code to them.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/schema.sh
source scripts/schema.sh

new=

main() {
  trap '[ -z "$new" ] || rm -rf "$new"' EXIT
  local version
  provide_buf "$PWD" || die "buf could not be installed" "scripts/setup.sh says what is missing"
  version=$(cat "$schema_version_file")
  compare_schema
  check_version "$version"

  use_pinned_rust "$PWD"
  new=$(mktemp -d)
  mkdir "$new/golden"
  run_buf build proto --path "$schema_package" --exclude-source-info -o "$new/image.binpb"
  step "messages by today's code" cargo run --locked -p telemetry-proto --example write_goldens -- "$new/golden"
  [ -n "$(ls "$new/golden")" ] || die "no messages were written"
  mkdir -p proto/released
  cp -r "$new" "proto/released/$version"
  chmod 755 "proto/released/$version"
  say "schema $version is in proto/released/$version; test it (cargo test -p telemetry-proto), add it to the changelog and commit"
}

check_version() {
  local version=$1
  case $schema_change in
    breaking)
      die "this schema breaks what $schema_last promised: $schema_details" \
        "put it back; such a change is a new package, proto/telemetry/v$((schema_major + 1))"
      ;;
    none) die "the schema has not changed since $schema_last was released, but for comments" ;;
  esac
  [ "$version" = "$schema_demanded" ] ||
    die "the schema must be version $schema_demanded and is $version; since ${schema_last:-no release}: $schema_details" \
      "echo $schema_demanded > $schema_version_file"
}

main
