#!/usr/bin/env bash
# Tests print_messages with the golden messages of every schema release.
set -euo pipefail

goldens=(proto/released/1.*/golden/TelemetryMessage.*.json)
printed=$(for golden in "${goldens[@]}"; do cat "$golden" && echo; done | examples/cpp/print_messages)
if [ "$(wc -l <<<"$printed")" -ne "${#goldens[@]}" ]; then
  echo "FAILED: expected ${#goldens[@]} lines, got:"
  echo "$printed"
  exit 1
fi
grep -q ': [0-9.]* % busy$' <<<"$printed" || { echo "FAILED: no sample in: $printed" && exit 1; }
grep -q ': usage unknown$' <<<"$printed" || { echo "FAILED: no sample without usage in: $printed" && exit 1; }
grep -q 'are missing (GAP_REASON_DECIMATED)$' <<<"$printed" || { echo "FAILED: no gap in: $printed" && exit 1; }

for unreadable in nothing '{"schema_version": "2.0.0"}'; do
  if output=$(examples/cpp/print_messages 2>&1 <<<"$unreadable"); then
    echo "FAILED: '$unreadable' was read: $output"
    exit 1
  fi
done
echo "test result: ok. 3 passed; 0 failed;"
