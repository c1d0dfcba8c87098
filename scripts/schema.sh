# shellcheck shell=bash
# Compares the schema with its last release by buf, for version-check.sh and release-schema.sh. Runs in the workspace.

# shellcheck source=scripts/tools.sh
source "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

readonly schema_package=proto/telemetry/v1
# shellcheck disable=SC2034  # for the caller
readonly schema_version_file=$schema_package/SCHEMA_VERSION
readonly schema_major=1

# buf as it is pinned; it writes nothing but a cache, and asks no network for a module without dependencies.
run_buf() { BUF_CACHE_DIR=$tool_cache/buf-cache "$(buf_program .)" "$@"; }

released_image() { printf 'proto/released/%s/image.binpb\n' "$1"; }

last_release() {
  { find proto/released -mindepth 1 -maxdepth 1 -name "$schema_major.*" -printf '%f\n' 2>/dev/null || true; } | sort -V | tail -n 1
}

# descriptors INPUT…: of our package alone, without comments.
descriptors() { run_buf build "$@" --exclude-source-info --exclude-imports -o -; }

# differences COMMAND…: what `buf breaking` complains of, one line; fails if there is something.
differences() {
  local said
  said=$("$@" 2>&1) && return
  printf '%s\n' "$said" | sed 's/^[^:]*:1:1://; s/\.$//' | paste -sd'|' | sed 's/|/; /g'
  return 1
}

# compare_schema: sets
#   schema_last      the last release; empty if there is none
#   schema_change    what happened since: none, addition, breaking
#   schema_details   which change that is
#   schema_demanded  the version that the schema must have, therefore; empty if there is no such version of this package
# shellcheck disable=SC2034  # they are for the caller
compare_schema() {
  local image
  schema_last=$(last_release)
  if [ -z "$schema_last" ]; then
    schema_change=addition schema_details="all of it" schema_demanded=$schema_major.0.0
    return
  fi
  image=$(released_image "$schema_last")
  if ! schema_details=$(differences run_buf breaking proto --against "$image"); then
    schema_change=breaking schema_demanded=
  elif cmp -s <(descriptors proto --path "$schema_package") <(descriptors "$image"); then
    schema_change=none schema_demanded=$schema_last
  else
    local minor=${schema_last#*.}
    schema_change=addition schema_demanded=$schema_major.$((${minor%%.*} + 1)).0
    # Seen from today's schema, what was added is missing in the last one.
    schema_details=$(differences run_buf breaking "$image" --against proto --config proto/buf.yaml) &&
      schema_details="something that is no comment"
    schema_details=${schema_details//Previously present /}
    schema_details=${schema_details//was deleted/was added}
  fi
}
