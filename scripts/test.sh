#!/usr/bin/env bash
# Runs every test and check of the repository, after installing what is missing (root on Debian) or saying how to get it.
#
# Ends in the line "N passed, N failed": test cases of all runs, and one for each check. Exit code 1 if anything failed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
exec </dev/null

passed=0
failed=0
finished=false
logs=$(mktemp -d "${TMPDIR:-/tmp}/telemetry-test.XXXXXX")

main() {
  trap close EXIT
  use_pinned_rust "$PWD"
  # Crates with C in them need a compiler, integration tests a Redis and `kill`.
  provide cc gcc libc6-dev || say "note: there is no C compiler; install one (Debian: apt-get install gcc libc6-dev)"
  provide redis-server redis-server || say "note: there is no redis-server; install it (Debian: apt-get install redis-server)"

  provide ps procps || say "note: there is no kill command; install it (Debian: apt-get install procps)"
  provide faketime faketime || say "note: there is no libfaketime; install it (Debian: apt-get install faketime)"
  provide_valkey "$PWD" || say "note: there is no valkey-server; install it, or name one in VALKEY_SERVER"
  provide_buf "$PWD" || say "note: buf is not to be had; the schema's checks say so"
  provide promtool prometheus || say "note: there is no promtool; install it (Debian: apt-get install prometheus)"
  provide_python "$PWD" || say "note: there is no Python with examples/python/requirements.txt; tests that need it fail"
  provide_crates "$PWD" || say "note: cargo has not all crates that Cargo.lock names"

  check "versions in step" scripts/version-check.sh
  cases "version-check.sh's own tests" scripts/tests/version-check_test.sh
  cases "release-schema.sh's own tests" scripts/tests/release-schema_test.sh
  if provide shellcheck shellcheck; then
    check "shellcheck" shellcheck -x scripts/*.sh scripts/tests/*.sh tools/bazel/bazel tools/bazel/closed_network/{bazel,enter} fuzz/run.sh .ci/run
  else
    say "note: shellcheck is not installed; the scripts go unchecked"
  fi

  # The first time takes minutes: its steps are shown.
  say "--> Bazel at hand"
  if tools/bazel/bazel info release 2>&1 >/dev/null | tee "$logs/bazel.log" | sed -un 's/^-->/   &/p' >&2; then
    passed=$((passed + 1))
    cases "bazel test //... (with clippy and rustfmt)" tools/bazel/bazel test --config=ci --config=lint --test_output=all //...
  else
    failed=$((failed + 1))
    say "FAILED:"
    failures_in "$logs/bazel.log" | sed 's/^/    /' >&2
  fi

  check "cargo fmt" cargo fmt --all --check
  check "cargo clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
  cases "cargo test" cargo test --workspace --locked --no-fail-fast
  # Not optimised: that they build is what is asked, and the tests have built all else already.
  check "cargo bench, built" cargo bench --workspace --locked --no-run --profile dev
  finished=true
}

# check TITLE COMMAND…: counts as one.
check() {
  local status=0
  logged "$@" || status=$?
  if [ "$status" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# cases TITLE COMMAND…: counts the test cases that the command tells of. A failure that is no case's, such as a build's, is one.
cases() {
  local status=0 good bad targets
  logged "$@" || status=$?
  good=$(sum passed)
  bad=$(sum failed)
  targets=$(grep -cE '^//[^ ]+ +(FAILED|TIMEOUT|NO STATUS)' "$log" || true)
  [ "$bad" -ge "$targets" ] || bad=$targets
  [ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
  passed=$((passed + good))
  failed=$((failed + bad))
  say "    $good passed, $bad failed"
  # What the fault suite tells beside its count.
  sed -n '/^Fault cases:$/,/^$/{/^$/d;s/^/    /;p;}' "$log" >&2
}

sum() {
  awk -v word="$1" '/test result: / { for (i = 2; i <= NF; i++) if ($i == word ";") n += $(i - 1) } END { print n + 0 }' "$log"
}

logged() {
  log=$logs/${1//[^a-zA-Z0-9]/-}.log
  local title=$1 started=$SECONDS status=0
  shift
  printf -- '--> %s ... ' "$title" >&2
  "$@" >"$log" 2>&1 || status=$?
  if [ "$status" -eq 0 ]; then
    say "$((SECONDS - started)) s"
  else
    say "FAILED (exit code $status) after $((SECONDS - started)) s, all of it in $log:"
    failures_in "$log" | sed 's/^/    /' >&2
  fi
  return "$status"
}

# What a person wants to see first: compiler errors and failing cases; else the end.
failures_in() {
  local found
  found=$(awk '
    /^(error|ERROR|FAIL|Diff in)/ { show = 15 }
    /^failures:$/ { block = 1 }
    block || show > 0 { print; show-- }
    /^test result: FAILED/ { block = 0 }
  ' "$1" | head -n 150)
  if [ -n "$found" ]; then printf '%s\n' "$found"; else tail -n 40 "$1"; fi
}

close() {
  # Where nobody comes back the next minute, no server need wait for them.
  [ -z "${CI:-}" ] || tools/bazel/bazel shutdown >/dev/null 2>&1 || true
  $finished || failed=$((failed + 1))
  [ "$failed" -gt 0 ] || rm -rf "$logs"
  say "--> all in $SECONDS s"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] || exit 1
}

main
