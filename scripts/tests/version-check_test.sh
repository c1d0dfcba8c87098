#!/usr/bin/env bash
# Tests of version-check.sh: each mistake is named, in its line.
set -euo pipefail

# shellcheck source=scripts/tests/fixture.sh
source "$(dirname "${BASH_SOURCE[0]}")/fixture.sh"
provide_buf "$root" || die "buf could not be installed" "scripts/setup.sh says what is missing"
cd "$root"

# The checks that do not need buf are quicker without it. A cache below a file cannot be created, so buf cannot be installed.
finds_without_buf() { XDG_CACHE_HOME=$scratch/no-folder finds "$@"; }
touch "$scratch/no-folder"
finds() { expect "$1" 1 "$2" version-check.sh "${@:3}"; }

version=$(sed -n 's/^    version = "\(.*\)",$/\1/p' MODULE.bazel | head -n 1)
edition=$(sed -n 's/^    edition = "\(.*\)",$/\1/p' MODULE.bazel)
bazel=$(cat .bazelversion)
rust=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
release_todays_schema

# What several files say
expect "all in step" 0 "ok   product version: $version" version-check.sh
finds_without_buf "product version in Cargo.toml" "FAIL product version: expected $version (MODULE.bazel), got 9.9.9 (Cargo.toml); fix: sed -i " \
  edit 's/^version = .*/version = "9.9.9"/' Cargo.toml
finds_without_buf "product version in the changelog" "FAIL product version: expected $version (MODULE.bazel), got 9.9.9 (CHANGELOG.md); fix: sed -i " \
  edit '0,/^## \[/s/^## \[.*/## [9.9.9] - 2000-01-01/' CHANGELOG.md
finds_without_buf "no changelog" "FAIL product version: expected $version (MODULE.bazel), got nothing (CHANGELOG.md); fix: write it into CHANGELOG.md" \
  rm CHANGELOG.md
finds_without_buf "product version of one crate" "FAIL product version: expected $version (MODULE.bazel), got 9.9.9 (libs/telemetry-proto/Cargo.toml)" \
  edit 's/^version.workspace = true/version = "9.9.9"/' libs/telemetry-proto/Cargo.toml
finds_without_buf "product version that the program tells" "FAIL product version: expected $version (MODULE.bazel), got 9.9.9 (services/telemetry-collector/src/lib.rs)" \
  edit 's/env!("CARGO_PKG_VERSION")/"9.9.9"/' services/telemetry-collector/src/lib.rs
finds_without_buf "Rust version of the toolchain" "FAIL Rust version: expected $rust (MODULE.bazel), got 1.2.3 (rust-toolchain.toml); fix: sed -i " \
  edit 's/^channel = .*/channel = "1.2.3"/' rust-toolchain.toml
finds_without_buf "Rust version in Cargo.toml" "FAIL Rust version: expected $rust (MODULE.bazel), got 1.2 (Cargo.toml); fix: sed -i " \
  edit 's/^rust-version = .*/rust-version = "1.2"/' Cargo.toml
finds_without_buf "Bazel version" "FAIL Bazel version: expected 9.9.9 (.bazelversion), got $bazel (tools/bazel/closed_network/bazel)" \
  edit 's/.*/9.9.9/' .bazelversion
finds_without_buf "edition" "FAIL edition: expected $edition (Cargo.toml), got 2018 (MODULE.bazel)" \
  edit 's/edition = ".*"/edition = "2018"/' MODULE.bazel
finds_without_buf "a lint that Bazel does not know" "FAIL lints: expected [workspace.lints] (Cargo.toml), got others (.bazelrc); fix: make them agree on -Wclippy::pedantic" \
  edit 's/^\[workspace.lints.clippy\]/&\npedantic = "warn"/' Cargo.toml
finds_without_buf "a lint of another level" "FAIL lints: " \
  edit 's/^unsafe_code = .*/unsafe_code = "warn"/' Cargo.toml
finds_without_buf "a crate that Bazel is not told of" "FAIL crates: expected [workspace] members (Cargo.toml), got other manifests (MODULE.bazel); fix: make them agree on libs/telemetry-proto" \
  edit '/libs\/telemetry-proto:Cargo.toml/d' MODULE.bazel

# Cargo.lock
lock_old_prost() { printf '\n[[package]]\nname = "prost"\nversion = "0.1.0"\n' >>Cargo.lock; }
use_more() { edit 's/^uuid.workspace = true/&\n'"$1"'/' libs/telemetry-proto/Cargo.toml; }
finds_without_buf "a tonic crate out of step" "FAIL tonic crates: expected " \
  edit '/^name = "tonic-health"/{n;s/".*"/"0.1.0"/}' Cargo.lock
finds_without_buf "a second prost" "FAIL prost crates: expected " lock_old_prost
finds_without_buf "Cargo.lock behind the version" "FAIL Cargo.lock: expected what the Cargo.toml files ask for, got another (Cargo.lock:*Updating telemetry-collector " \
  edit 's/^version = "'"$version"'"/version = "9.9.9"/' Cargo.toml
finds_without_buf "Cargo.lock without a locked crate's new user" "FAIL Cargo.lock: expected what the Cargo.toml files ask for, got another (Cargo.lock: other dependencies); fix: cargo update --workspace" \
  use_more 'itoa = "1"'
finds_without_buf "Cargo.lock without a new crate" "FAIL Cargo.lock: expected what the Cargo.toml files ask for, got another (Cargo.lock:error: no matching package named" \
  use_more 'no-such-crate-of-ours = "1"'

# The schema
add_enum_value() { edit 's/^  UNAVAILABLE_REASON_READ_FAILED = 9;/&\n  \/\/ Nobody looked.\n  UNAVAILABLE_REASON_NOT_ASKED = 10;/' "$schema/unavailable.proto"; }
finds "schema version is no semver" "FAIL schema version: expected MAJOR.MINOR.PATCH, got '1.0' ($schema/SCHEMA_VERSION); fix: echo 1.0.0 > $schema/SCHEMA_VERSION" \
  edit 's/.*/1.0/' "$schema/SCHEMA_VERSION"
finds "schema version of another package" "FAIL schema version: expected major 1 (package telemetry.v1), got 2.0.0" \
  edit 's/.*/2.0.0/' "$schema/SCHEMA_VERSION"
finds "package of a proto" "FAIL schema version: expected package telemetry.v1 ($schema), got another ($cpu)" \
  edit 's/^package .*/package telemetry.v2;/' "$cpu"
finds "a proto that does not compile" "FAIL schema: expected protos that compile (proto), got $cpu:" \
  edit 's/= 1;/= ;/' "$cpu"
finds "a name against the style" "FAIL schema lint: expected buf's STANDARD rules (proto/buf.yaml), got $cpu:" \
  edit 's/double fifteen = 3;/double Fifteen = 3;/' "$cpu"
finds "a proto that is not formatted" "FAIL schema format: expected buf's (proto), got another ($cpu); fix: " \
  edit 's/^  double one = 1;/  double  one = 1;/' "$cpu"
finds "a renamed field" "FAIL schema compatibility: expected what $last promised (proto/released/$last), got $cpu:*changed name from \"usage_percent\" to \"busy_percent\"*; fix: put it back" \
  rename_field
finds "a field of another type" "FAIL schema compatibility: *changed type from \"uint32\" to \"uint64\"" \
  edit 's/uint32 logical_count/uint64 logical_count/' "$cpu"
finds "a field gone" "FAIL schema compatibility: *Previously present field \"3\" with name \"fifteen\"" \
  edit '/double fifteen = 3;/d' "$cpu"
finds "a file gone" "FAIL schema: expected protos that compile" rm "$schema/unavailable.proto"
finds "a new field and the old version" "FAIL schema version bump: expected $next (proto/released/$last, since then field \"4\" with name \"sixty\" on message \"LoadAverages\" was added), got $last ($schema/SCHEMA_VERSION); fix: echo $next > $schema/SCHEMA_VERSION" \
  add_field
finds "a new enum value and the old version" "FAIL schema version bump: expected $next (proto/released/$last, since then enum value \"10\" on enum \"UnavailableReason\" was added), got $last" \
  add_enum_value
finds "an option and the old version" "FAIL schema version bump: expected $next (proto/released/$last, since then something that is no comment), got $last" \
  edit 's/double fifteen = 3;/double fifteen = 3 [deprecated = true];/' "$cpu"
finds "a new version of the same schema" "FAIL schema version bump: expected $last (proto/released/$last, no change since but of comments), got $next" \
  edit "s/.*/$next/" "$schema/SCHEMA_VERSION"
finds "nothing released" "FAIL schema release: expected one of major 1 (proto/released), got none; fix: scripts/release-schema.sh" \
  rm -r proto/released
expect "a new field and the next minor version" 0 "ok   schema version bump: $next (proto/released/$last, since then field \"4\"" version-check.sh \
  add_field_and_bump
expect "another comment" 0 "ok   schema version bump: $last (proto/released/$last, no change" version-check.sh \
  edit 's/^\/\/ Run-queue length .*/\/\/ Another comment./' "$cpu"

# Together
finds "every check runs" "FAIL schema version" bash -c "rm CHANGELOG.md && echo x > $schema/SCHEMA_VERSION"

# Without the tools
before=$(cd "$scratch/tree" && find . -type f -print0 | sort -z | xargs -0 cksum)
XDG_CACHE_HOME=$scratch/no-folder expect "no buf and no way to install it" 2 "MISSING tool: buf ($scratch/no-folder/telemetry-tools/buf-" version-check.sh
XDG_CACHE_HOME=$scratch/empty expect "a machine that has nothing yet" 0 "ok   schema lint: " version-check.sh
CARGO_HOME=$scratch/empty expect "no index of crates" 2 "MISSING tool: cargo's index of the registry (" version-check.sh

# The last copy was looked at and is as it was.
after=$(cd "$scratch/case" && find . -type f -print0 | sort -z | xargs -0 cksum)
if [ "$before" = "$after" ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED nothing is modified"; fi

close
