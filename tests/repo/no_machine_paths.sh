#!/usr/bin/env bash
# The text of the project names no path of somebody's machine and no address without a name.
# Usage: no_machine_paths.sh ROOT. Exit codes: 0 kept, 1 a violation (each is printed).
set -euo pipefail
cd "$1"

folders=()
for entry in traces sim profiler gui tests scripts cmake docs .ci ./*.md CMakeLists.txt \
  CMakePresets.json .clang-tidy .clang-format .gitignore; do
  [ ! -e "$entry" ] || folders+=("$entry")
done

# A path below a home, root or work folder; a URL with a bare IP number or with a port.
machine_path='(^|[^[:alnum:]_./-])/(work|home|root)/'
bare_address='[a-z]+://([0-9]+\.[0-9]+\.|[^/ ]+:[0-9]{2,5})'
if grep -rnIE --exclude='*.tmk' -e "$machine_path" -e "$bare_address" "${folders[@]}"; then
  exit 1
fi
