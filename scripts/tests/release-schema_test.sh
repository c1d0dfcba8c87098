#!/usr/bin/env bash
# Tests of release-schema.sh: what it refuses, and what it makes.
set -euo pipefail

# shellcheck source=scripts/tests/fixture.sh
source "$(dirname "${BASH_SOURCE[0]}")/fixture.sh"
provide_buf "$root" || die "buf could not be installed" "scripts/setup.sh says what is missing"
release_todays_schema

refuses() { expect "$1" 1 "error: $2" release-schema.sh "${@:3}"; }

# What the messages say is a matter of libs/telemetry-proto. The folder to write them into comes last.
mkdir "$scratch/bin"
cat >"$scratch/bin/cargo" <<'END'
#!/bin/sh
for folder; do :; done
[ ! -d "$folder" ] || echo '{}' >"$folder/TelemetryMessage.of_the_test.json"
END
chmod +x "$scratch/bin/cargo"
export PATH=$scratch/bin:$PATH

refuses "the schema of the last release" "the schema has not changed since $last was released, but for comments"
refuses "another comment" "the schema has not changed since $last was released, but for comments" \
  edit 's/^\/\/ Run-queue length .*/\/\/ Another comment./' "$cpu"
refuses "an addition that is no new version" \
  "the schema must be version $next and is $last; since $last: field \"4\" with name \"sixty\" on message \"LoadAverages\" was added" add_field
refuses "a renamed field" "this schema breaks what $last promised: $cpu:*changed name from \"usage_percent\"" rename_field
expect "an addition" 0 "schema $next is in proto/released/$next; test it" release-schema.sh add_field_and_bump

holds "the messages are kept" test -f "proto/released/$next/golden/TelemetryMessage.of_the_test.json"
holds "the last release stays" cmp "proto/released/$last/image.binpb" "$scratch/tree/proto/released/$last/image.binpb"
cp -r "$scratch/case" "$scratch/released"
rm -rf "$scratch/tree"
mv "$scratch/released" "$scratch/tree"
expect "the new release is the last one from then on" 1 "error: the schema has not changed since $next was released" release-schema.sh

close
