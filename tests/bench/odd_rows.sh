#!/usr/bin/env bash
# odd_rows.sh BENCH_CAPACITY DIR: rows that cannot be described are named with what is wrong; the
# others are taken all the same. Exit codes: 0 so it is, 1 a line is missing.
set -euo pipefail
out=$("$1" "$2" --json)
says() {
  grep -qF -- "$1" <<<"$out" || { echo "missing: $1" >&2; exit 1; }
}
says "column local_batch: expected a number, found ''"
says "technique: expected one that is known, found 'magic'"
says "model: expected one that is known, found 'Llama3.1-9B'"
says "device: expected one that is known, found 'TPU'"
says "GPUs: expected 8, the product of FSDP, TP, PP and CP, found 16"
says "model.heads: expected a multiple of layout.tensor = 3, found 32"
says '"described": 1'
says '"ran_out": 1'
says "global batch: expected a multiple of 0, found 16"
says "column iteration time (ms): expected a number, found ''"
