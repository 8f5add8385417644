#!/usr/bin/env bash
# scripts/gpu-check without a GPU builds nothing, says so in one line and ends with 2.
# Usage: gpu_check_test.sh ROOT. Exit codes: 0 it does, 1 it does not.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
# An nvidia-smi that finds nothing, as on a machine whose driver does not work.
printf '#!/bin/sh\necho "No devices were found"\nexit 6\n' >"$scratch/bin/nvidia-smi"
chmod +x "$scratch/bin/nvidia-smi"
code=0
PATH=$scratch/bin:$PATH "$1/scripts/gpu-check" "$scratch/out" >"$scratch/text" 2>&1 || code=$?
[ "$code" -eq 2 ] || { echo "exit code $code, expected 2" && exit 1; }
[ "$(wc -l <"$scratch/text")" -eq 1 ] || { cat "$scratch/text" && exit 1; }
grep -q 'no NVIDIA GPU here' "$scratch/text" || { cat "$scratch/text" && exit 1; }
[ ! -e "$scratch/out" ] || { echo "it made its folder" && exit 1; }
