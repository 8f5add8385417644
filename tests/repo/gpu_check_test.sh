#!/usr/bin/env bash
# scripts/gpu-check without a GPU builds nothing, says so in one line and ends with 2. With fakes of
# the GPU and of our programs it prints one table, and what fails is named and ends with 1.
# Usage: gpu_check_test.sh ROOT. Exit codes: 0 it does, 1 it does not.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
wrong() { echo "$1" && cat "$scratch/text" && exit 1; }

# fake PATH: a program made of what stands on stdin.
fake() { mkdir -p "$(dirname "$1")" && cat >"$1" && chmod +x "$1"; }

# An nvidia-smi that finds nothing, as on a machine whose driver does not work.
fake "$scratch/bin/nvidia-smi" <<<$'#!/bin/sh\necho "No devices were found"\nexit 6'
code=0
PATH=$scratch/bin:$PATH "$1/scripts/gpu-check" "$scratch/out" >"$scratch/text" 2>&1 || code=$?
[ "$code" -eq 2 ] || wrong "exit code $code, expected 2"
[ "$(wc -l <"$scratch/text")" -eq 1 ] || wrong "more than one line"
grep -q 'no NVIDIA GPU here' "$scratch/text" || wrong "another line"
[ ! -e "$scratch/out" ] || wrong "it made its folder"

# A tree of fakes with two devices: every program writes the figures that are asked of it.
mkdir -p "$scratch/tree/scripts"
cp "$1/scripts/gpu-check" "$scratch/tree/scripts/"
fake "$scratch/tree/scripts/setup" <<<'#!/bin/sh'
fake "$scratch/bin/cmake" <<<'#!/bin/sh'
fake "$scratch/bin/compute-sanitizer" <<<'#!/bin/sh'
fake "$scratch/bin/ctest" <<<$'#!/bin/sh\necho "100% tests passed, 0 tests failed out of 9"'
fake "$scratch/bin/nvidia-smi" <<'EOF'
#!/bin/sh
case "$*" in
-L) printf 'GPU 0: NVIDIA H100 80GB HBM3\nGPU 1: NVIDIA H100 80GB HBM3\n' ;;
*) printf 'NVIDIA H100 80GB HBM3\nNVIDIA H100 80GB HBM3\n' ;;
esac
EOF
fake "$scratch/tree/build/release/bin/tidemark" <<'EOF'
#!/bin/sh
[ "$1" != doctor ] || exit 0
[ "$1" != devices ] || printf '{"name": "h100-80g",\n"bf16_flops_per_s": 1e15,\n}\n'
# Writes what comes after -o; a program that is injected is started.
all="$*"
while [ $# -gt 0 ]; do
  [ "$1" != -o ] || echo trace >"$2"
  [ "$1" != -- ] || { shift && "$@" >/dev/null; break; }
  shift
done
case "$all" in *ranks.planned.tmk\ --backend*) echo trace >"$(dirname "$all")/x" 2>/dev/null ;; esac
printf '{"step_ns": 2000000,\n"step_flops": 1000000000000,\n"peak_error_bytes": 0,\n'
printf '"step_time_error_pct": 3.5,\n"peak_reserved_bytes": 100,\n"last_loss": 2.5,\n'
printf '"dropped_events": 0,\n"used_bytes": 7,\n"residual_bytes": 3\n}\n'
EOF
fake "$scratch/tree/build/release/bin/tidemark-profile" <<'EOF'
#!/bin/sh
case "$*" in
*"$FAKE_FAILS"*) echo "CUDA device: device is gone" >&2 && exit 2 ;;
esac
while [ $# -gt 0 ]; do
  [ "$1" != -o ] || echo trace >"$2"
  shift
done
printf '{"step_ns": 2000000,\n"high_water_bytes": 104\n}\n'
EOF
touch "$scratch/tree/build/release/bin/libtidemark-cuda.so"

code=0
(cd "$scratch/tree" && FAKE_FAILS=nothing PATH=$scratch/bin:$PATH scripts/gpu-check out) \
  >"$scratch/text" 2>&1 || code=$?
[ "$code" -eq 0 ] || wrong "exit code $code, expected 0"
for line in '| GPU tests | 100% tests passed, 0 tests failed out of 9 | all |' \
  '| step of the plan, error | 3.5 % | 10 % |' \
  '| MFU of gpt2-350M, attention flash | 50.0 % | 45 % |' \
  '| cuda-async, reserved against its model | +4.00 % | within 5 % |' \
  '| 2 ranks, ZeRO-2, peak error | 0 B | 0 B |' \
  '| 2 ranks, last loss against one | +0.00 % | within 0.01 % |' \
  '| compute-sanitizer memcheck | no error | no error |'; do
  grep -qF "$line" "$scratch/text" || wrong "no line '$line'"
done

code=0
(cd "$scratch/tree" && FAKE_FAILS=cuda-async PATH=$scratch/bin:$PATH scripts/gpu-check out) \
  >"$scratch/text" 2>&1 || code=$?
[ "$code" -eq 1 ] || wrong "exit code $code of a run that failed, expected 1"
grep -q 'failed: async: CUDA device: device is gone' "$scratch/text" || wrong "it is not named"
grep -q 'MFU of gpt2-1558M' "$scratch/text" || wrong "what came after it was not measured"
