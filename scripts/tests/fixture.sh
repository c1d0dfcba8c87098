# shellcheck shell=bash
# What tests of the scripts share: a copy of the files that the scripts read, one mistake at a time.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=scripts/tools.sh
source "$root/scripts/tools.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

# The copy that every case starts from. The sources are named so that cargo finds the targets of each package.
(
  mkdir "$scratch/tree"
  cd "$root" || exit
  find . \( -name .git -o -name target -o -name 'bazel-*' \) -prune -o \
    \( -name Cargo.toml -o -name Cargo.lock -o -name '*.rs' -o -path './proto/*' -o -path './scripts/*.sh' \
    -o -path './tools/b*' -o -path './tools/cargo/*' -o -name rust-toolchain.toml -o -name MODULE.bazel -o -name .bazelrc -o -name .bazelversion \
    -o -name CHANGELOG.md -o -path './examples/python/requirements.txt' \) -type f -print0 |
    xargs -0 cp --parents -t "$scratch/tree"
)

# expect NAME EXIT-CODE LINE SCRIPT EDIT-COMMAND…: after the edit of a copy, SCRIPT ends so and prints a line that begins so,
# where * may stand for anything.
expect() {
  local name=$1 code=$2 line=$3 script=$4 got=0 said
  shift 4
  rm -rf "$scratch/case"
  cp -r "$scratch/tree" "$scratch/case"
  (cd "$scratch/case" && "${@:-true}")
  said=$("$scratch/case/scripts/$script" 2>&1) || got=$?
  if [ "$got" -eq "$code" ] && grep -qE "^$(line_pattern "$line")" <<<"$said"; then
    passed=$((passed + 1))
    echo "ok     $name"
  else
    failed=$((failed + 1))
    echo "FAILED $name: expected exit code $code and a line '$line', got exit code $got and:"
    printf '%s\n' "$said" | sed 's/^/    /'
  fi
}

# holds NAME COMMAND…: the command succeeds in the last copy.
holds() {
  if (cd "$scratch/case" && "${@:2}"); then
    passed=$((passed + 1))
    echo "ok     $1"
  else
    failed=$((failed + 1))
    echo "FAILED $1"
  fi
}

line_pattern() { sed 's/[][().$^+?{}|\\]/\\&/g; s/\*/.*/g' <<<"$1"; }

edit() { sed -i "$@"; }

# The schema and changes of it
schema=proto/telemetry/v1
cpu=$schema/cpu.proto
last=$(find "$root/proto/released" -mindepth 1 -maxdepth 1 -name '1.*' -printf '%f\n' | sort -V | tail -n 1)
next=1.$(($(cut -d. -f2 <<<"$last") + 1)).0

# What the schema has had since its last release is no matter here.
release_todays_schema() (
  cd "$scratch/tree" || exit
  BUF_CACHE_DIR=$tool_cache/buf-cache "$(buf_program .)" build proto --exclude-source-info -o "proto/released/$last/image.binpb"
  echo "$last" >"$schema/SCHEMA_VERSION"
)

add_field() { edit '/^message LoadAverages {/a\  // Over an hour.\n  optional double sixty = 4;' "$cpu"; }
add_field_and_bump() { add_field && echo "$next" >"$schema/SCHEMA_VERSION"; }
rename_field() { edit 's/double usage_percent = 1;/double busy_percent = 1;/' "$cpu"; }

close() {
  local verdict=FAILED
  [ "$failed" -gt 0 ] || verdict=ok
  echo "test result: $verdict. $passed passed; $failed failed;"
  [ "$failed" -eq 0 ]
}
