#!/usr/bin/env bash
# Every script can be run, parses, stops at the first error and says its exit codes.
# Usage: scripts.sh ROOT. Exit codes: 0 kept, 1 a violation (each is printed).
set -euo pipefail
cd "$1"

violations=0
report() {
  printf '%s\n' "$1"
  violations=$((violations + 1))
}

mapfile -t scripts < <(find scripts .ci tests -type f \( -not -path 'tests/*' -o -name '*.sh' \) \
  2>/dev/null | sort)
for file in "${scripts[@]}"; do
  [ -x "$file" ] || report "$file: not executable"
  bash -n "$file" || report "$file: does not parse"
  grep -q '^set -euo pipefail$' "$file" || report "$file: no 'set -euo pipefail'"
  head -n 12 "$file" | grep -qi 'exit code' || report "$file: its header does not say exit codes"
done
if command -v shellcheck >/dev/null; then
  shellcheck -S warning "${scripts[@]}" || report "shellcheck found something"
fi

[ "$violations" -eq 0 ] || exit 1
