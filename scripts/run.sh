#!/usr/bin/env bash
# Builds and runs the collector, with a Redis to deliver to, until Ctrl-C or SIGTERM.
#
# The environment (TELEMETRY_*, OTEL_*) goes through to the collector; arguments too. What is missing is installed where that
# is possible (root on Debian); a Redis is started only if the URL is the default one and nothing answers there.
set -euo pipefail

workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$workspace"
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

readonly default_url=redis://127.0.0.1:6379/0
readonly collector=//services/telemetry-collector:telemetry-collector
readonly run=(tools/bazel/bazel run "--ui_event_filters=-info,-warning" --noshow_progress --show_result=0 "$collector" --)
url=${TELEMETRY_REDIS__URL:-${TELEMETRY_REDIS__URL_FILE:+$(cat "$TELEMETRY_REDIS__URL_FILE" 2>/dev/null || true)}}
url=${url:-$default_url}

stopped=false
interrupted=false
child=
status=0
redis=
scratch=

main() {
  trap 'stopped=true interrupted=true; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' INT TERM
  trap clean_up EXIT

  say "--> building the collector"
  local started=$SECONDS
  run_child tools/bazel/bazel build "$collector"
  ! $stopped || exit 0
  [ "$status" -eq 0 ] || exit "$status"
  say "--> built in $((SECONDS - started)) s"
  # A wrong setting is told before anything is started.
  run_child "${run[@]}" --print-config >/dev/null
  ! $stopped || exit 0
  [ "$status" -eq 0 ] || exit "$status"
  [ "$url" != "$default_url" ] || redis_answers || start_redis
  show_how_to_look
  export TELEMETRY_LOG__FORMAT=${TELEMETRY_LOG__FORMAT:-pretty}
  run_child "${run[@]}" "$@"
}

# run_child COMMAND…: leaves its exit code in $status. It runs in a process group of its own: a Ctrl-C in the terminal is
# for this script, which passes it on once.
run_child() {
  set -m
  "$@" </dev/null &
  child=$!
  set +m
  # A signal ends `wait` early: the child is given the time to stop.
  while :; do
    interrupted=false
    wait "$child" && status=0 || status=$?
    $interrupted || break
  done
  child=
}

redis_answers() {
  local answer
  { exec 3<>/dev/tcp/127.0.0.1/6379; } 2>/dev/null || return 1
  printf 'PING\r\n' >&3
  read -r -t 2 -u 3 answer || answer=
  exec 3>&-
  [ -n "$answer" ]
}

start_redis() {
  provide redis-server redis-server ||
    die "nothing answers at $url, and redis-server is not installed" \
      "install it (Debian, Ubuntu: sudo apt-get install redis-server; macOS: brew install redis)," \
      "or name a Redis that you have: TELEMETRY_REDIS__URL=redis://host:6379/0 scripts/run.sh"
  scratch=$(mktemp -d)
  # A session of its own: Ctrl-C must reach the collector first, which has messages to deliver.
  setsid redis-server --port 6379 --bind 127.0.0.1 --save '' --appendonly no --dir "$scratch" \
    >"$scratch/redis.log" 2>&1 </dev/null &
  redis=$!
  for _ in {1..50}; do
    redis_answers && break
    kill -0 "$redis" 2>/dev/null || break
    sleep 0.1
  done
  redis_answers || die "redis-server did not start:" "$(tail -n 5 "$scratch/redis.log")"
  say "--> nothing answered at $url: started a redis-server there; it and what it holds end with this script"
}

show_how_to_look() {
  local key=${TELEMETRY_REDIS__KEY:-telemetry:queue} control=${TELEMETRY_CONTROL__LISTEN:-127.0.0.1:50051} cli=redis-cli
  local http=${TELEMETRY_HTTP__LISTEN:-}
  [ "$url" = "$default_url" ] || cli="redis-cli -u \"\$TELEMETRY_REDIS__URL\""
  cat >&2 <<END
--> starting; Ctrl-C stops it. In another terminal:
      $cli LLEN $key
      $cli LINDEX $key 0 | jq
END
  # Where there is a login or another kind of address, docs/security.md has the commands.
  [ -n "${TELEMETRY_CONTROL__TLS_CERT:-}${TELEMETRY_CONTROL__TOKENS_FILE:-}" ] || [[ $control == unix:* ]] || cat >&2 <<END
      tools/bazel/bazel run //tools/telemetryctl -- watch --target $control
      grpcurl -plaintext $control list
      grpcurl -plaintext $control telemetry.v1.ControlService/GetSnapshot
      grpcurl -plaintext -d '{"interval":"0.2s"}' $control telemetry.v1.ControlService/SetInterval
END
  [ -z "$http" ] || say "    a browser: http${TELEMETRY_HTTP__TLS_CERT:+s}://$http/"
}

# shellcheck disable=SC2317  # the trap calls it
clean_up() {
  if [ -n "$redis" ]; then
    kill "$redis" 2>/dev/null || true
    wait "$redis" 2>/dev/null || true
  fi
  [ -z "$scratch" ] || rm -rf "$scratch"
}

main "$@"
exit "$status"
