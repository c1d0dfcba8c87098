#!/usr/bin/env bash
# Fuzzes one target: fuzz/run.sh TARGET SECONDS [OPTION OF LIBFUZZER]…
#
# Uses the instrumentation of cargo-fuzz without its sanitizer, which requires nightly Rust; this code has no `unsafe`.
# Inputs that fail go to fuzz/artifacts/TARGET, new inputs to fuzz/target/corpus/TARGET.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

main() {
  local target=$1 seconds=$2 triple kept=fuzz/target/corpus/$1
  shift 2
  use_pinned_rust "$PWD"
  triple=$(rustc -vV | sed -n 's/^host: //p')
  # Use the same dependency versions as the product.
  cp Cargo.lock fuzz/Cargo.lock
  RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1" \
    cargo build --release --manifest-path fuzz/Cargo.toml --target-dir fuzz/target --target "$triple" --bin "$target"
  mkdir -p "$kept" "fuzz/artifacts/$target"
  "fuzz/target/$triple/release/$target" "-max_total_time=$seconds" "-artifact_prefix=fuzz/artifacts/$target/" \
    -timeout=10 -rss_limit_mb=2048 "-dict=fuzz/$target.dict" "$@" "$kept" "fuzz/corpus/$target"
}

[ $# -ge 2 ] || die "usage: fuzz/run.sh TARGET SECONDS [OPTION OF LIBFUZZER]…" "targets: $(cd fuzz/targets && echo *.rs | sed 's/\.rs//g')"
main "$@"
