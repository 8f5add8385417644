#!/usr/bin/env bash
# Every promise in the README names a test that exists, and every file that the texts link exists.
# Usage: readme.sh ROOT. Exit codes: 0 kept, 1 a violation (each is printed).
set -euo pipefail
cd "$1"

violations=0
report() {
  printf '%s\n' "$1"
  violations=$((violations + 1))
}

names=$(grep -rhoE '^TEST_CASE\("[^"]*' tests --include='*.cpp' | sed 's/^TEST_CASE("//')
promises=0
while IFS='|' read -r _ number _ test _; do
  promises=$((promises + 1))
  test=$(sed 's/^ *`//; s/` *$//' <<<"$test")
  [ -n "${test// /}" ] && grep -qE -- "$test" <<<"$names" ||
    report "README.md: invariant$number names the test '$test', which does not exist"
done < <(grep -E '^\| [0-9]+ \|' README.md)
[ "$promises" -gt 0 ] || report "README.md: no table of invariants"

for text in *.md docs/*.md; do
  [ -f "$text" ] || continue
  while IFS= read -r target; do
    [ -e "$(dirname "$text")/$target" ] || report "$text: no file $target"
  done < <(grep -oE '\]\([^)#:]+\)' "$text" | sed 's/^](//; s/)$//')
  while IFS= read -r target; do # files that a text names in backquotes
    [ -e "$target" ] || report "$text: no file $target"
  done < <(grep -oE '`(traces|sim|profiler|gui|tests|scripts|docs)/[A-Za-z_./-]+`' "$text" |
    tr -d '`')
done

[ "$violations" -eq 0 ] || exit 1
