#!/usr/bin/env bash
# Runs every test and check of the repository: scripts/test.sh
#
# What is missing is installed first (root on Debian), or a line says how to get it. Bazel runs all tests; cargo shows that its own
# build, the unit tests and the documentation work without Bazel. Progress goes to standard error, one line a step.
# The last line is "N passed, N failed": test cases, and one for each check. Exit code 1 if anything failed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/tools.sh
source scripts/tools.sh
case ${1:-} in
  "") ;;
  -h | --help)
    sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' scripts/test.sh
    exit
    ;;
  *) die "unknown argument '$1'" "scripts/test.sh takes none but --help" ;;
esac
exec </dev/null

passed=0
failed=0
finished=false
logs=$(mktemp -d "${TMPDIR:-/tmp}/telemetry-test.XXXXXX")

main() {
  trap close EXIT
  use_pinned_rust "$PWD"
  provide_all
  check_files
  test_with_bazel
  test_with_cargo
  finished=true
}

provide_all() {
  # Crates with C in them need a compiler, tests a Redis.
  provide cc gcc libc6-dev || say "note: there is no C compiler; install one (Debian: apt-get install gcc libc6-dev)"
  provide redis-server redis-server || say "note: there is no redis-server; install it (Debian: apt-get install redis-server)"
  # The closed network's Bazel brings these itself (tools/bazel).
  if have bazelisk || have bazel; then
    provide ps procps || say "note: there is no kill command; install it (Debian: apt-get install procps)"
    provide faketime faketime || say "note: there is no libfaketime; install it (Debian: apt-get install faketime)"
    provide promtool prometheus || say "note: there is no promtool; install it (Debian: apt-get install prometheus)"
    have chromium || provide chromium-headless-shell chromium-headless-shell ||
      say "note: there is no chromium; install it (Debian: apt-get install chromium-headless-shell)"
    provide_valkey "$PWD" || say "note: there is no valkey-server; install it, or name one in VALKEY_SERVER"
  fi
  provide shellcheck shellcheck || say "note: there is no shellcheck; install it (Debian: apt-get install shellcheck)"
  provide_crates "$PWD" || say "note: cargo does not have all crates that Cargo.lock names"
  provide_buf "$PWD" || say "note: buf could not be installed; the schema's checks say so"
  provide_buildifier "$PWD" || say "note: buildifier could not be installed; scripts/setup.sh says what is missing"
  provide_cargo_tools "$PWD" || say "note: cargo-deny and cargo-machete could not be installed; scripts/setup.sh says what is missing"
}

check_files() {
  check "versions in step" "as each line says" scripts/version-check.sh
  cases "version-check.sh's own tests" scripts/tests/version-check_test.sh
  cases "release-schema.sh's own tests" scripts/tests/release-schema_test.sh
  cases "tests of how tools are installed and run" scripts/tests/tools_test.sh
  cases "closed_network/bazel's own tests" scripts/tests/closed_network_test.sh
  check "shellcheck" "as each message says" \
    shellcheck -x scripts/*.sh scripts/hooks/* scripts/tests/*.sh tools/bazel/bazel tools/bazel/closed_network/{bazel,enter} fuzz/run.sh .ci/run
  check "Bazel's files (buildifier)" "scripts/buildifier.sh --fix" scripts/buildifier.sh
  check "licences, sources and duplicate crates (cargo-deny)" "another crate, or an exception with its reason in deny.toml" \
    "$(cargo_tool "$PWD" cargo-deny)" --locked --offline check bans licenses sources
  check "unused dependencies (cargo-machete)" "remove them from the Cargo.toml; what only generated code uses is excepted there" \
    "$(cargo_tool "$PWD" cargo-machete)" libs services tools
}

test_with_bazel() {
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
}

# Integration tests are Bazel's: here they are compiled, by clippy, and not run a second time.
test_with_cargo() {
  check "cargo fmt" "cargo fmt --all" cargo fmt --all --check
  check "cargo clippy" "as each message says" cargo clippy --workspace --all-targets --locked -- -D warnings
  check "cycles between modules" "as above" module_cycles
  check "each library alone (cargo check)" "name the missing feature in its own Cargo.toml" libraries_alone
  check "cargo doc" "as each message says" env RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked
  check "cargo build" "as each message says" cargo build --workspace --locked
  cases "cargo test, unit tests" cargo test --workspace --locked --no-fail-fast --lib --bins
  cases "cargo test, examples in documentation" cargo test --workspace --locked --no-fail-fast --doc
  # Not optimised: whether they build is the question, and the tests have built all else already.
  check "cargo bench, built" "as each message says" cargo bench --workspace --locked --no-run --profile dev
}

module_cycles() {
  local roots
  mapfile -t roots < <(find libs services tools -path '*/src/lib.rs' -o -path '*/src/main.rs')
  cargo run --locked --package module-cycles -- "${roots[@]}"
}

# In the workspace one crate's features hide what another one forgot to ask for.
libraries_alone() {
  local manifest package status=0
  for manifest in libs/*/Cargo.toml; do
    package=$(basename "$(dirname "$manifest")")
    cargo check --locked --package "$package" || { echo "error: $package does not build alone" && status=1; }
  done
  return "$status"
}

# check TITLE REMEDY COMMAND…: counts as one; a failure is followed by the remedy.
check() {
  local status=0
  logged "$1" "${@:3}" || status=$?
  if [ "$status" -eq 0 ]; then
    passed=$((passed + 1))
  else
    say "    fix: $2"
    failed=$((failed + 1))
  fi
}

# cases TITLE COMMAND…: counts the test cases in the command's output. A failure outside a case, such as a build error, counts as one.
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
  # The summaries of the fault suite and of the hostile-client suite.
  sed -n '/^\(Fault\|Hostile\) cases:$/,/^$/{/^$/d;s/^/    /;p;}' "$log" >&2
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

# Compiler errors and failing cases if there are any, else the end of the log.
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
  # On CI no second call follows: the server need not wait for one.
  [ -z "${CI:-}" ] || tools/bazel/bazel shutdown >/dev/null 2>&1 || true
  $finished || failed=$((failed + 1))
  [ "$failed" -gt 0 ] || rm -rf "$logs"
  say "--> all in $SECONDS s"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] || exit 1
}

main
