#!/usr/bin/env bash
# Sizes and shape of source files. Usage: style.sh ROOT
#   file <= 500 lines (a note from 400), function <= 80 lines (a note), line <= 100 characters,
#   no trailing space, no tab; a header begins with a comment, has #pragma once, and stands in the
#   CMakeLists.txt of its folder.
# Exit codes: 0 kept, 1 a violation (each is printed).
set -euo pipefail
cd "$1"
export LC_ALL=C.UTF-8

violations=0
report() {
  printf '%s\n' "$1"
  violations=$((violations + 1))
}

# Prints the lines of FILE that match REGEX as violations called NAME.
forbid() {
  local file=$1 regex=$2 name=$3 line
  while IFS=: read -r line _; do
    report "$file:$line: $name"
  done < <(grep -nP "$regex" "$file" || true)
}

check_file() {
  local file=$1 lines
  lines=$(wc -l <"$file")
  if [ "$lines" -gt 500 ]; then
    report "$file: $lines lines, expected at most 500"
  elif [ "$lines" -gt 400 ]; then
    printf 'note: %s: %d lines, split it before it grows\n' "$file" "$lines"
  fi
  forbid "$file" '^.{101,}' 'longer than 100 characters'
  forbid "$file" '[ \t]+$' 'trailing space'
  forbid "$file" '\t' 'tab'
}

# Free functions of more than 80 lines, by the shape that clang-format gives them.
note_long_functions() {
  awk -v file="$1" '
    /^[A-Za-z].*[{(,]$/ && !/^(namespace|struct|class|enum|union|extern|const|constexpr)/ {
      if (!begin) begin = NR
    }
    /^}/ {
      if (begin && NR - begin + 1 > 80)
        printf "note: %s:%d: a function of %d lines\n", file, begin, NR - begin + 1
      begin = 0
    }' "$1"
}

check_header() {
  local file=$1 name
  head -n 1 "$file" | grep -q '^//' || report "$file: no comment at the top that says what it is"
  grep -q '^#pragma once$' "$file" || report "$file: no #pragma once"
  name=${file#*/}
  case "$file" in
    tests/*) ;;
    *) # a header in no HEADERS list is not compiled alone by the test `repo_headers`
      grep -qE "(^|[ (])$name([ )]|\$)" "${file%%/*}/CMakeLists.txt" 2>/dev/null ||
        report "$file: not in a HEADERS list of ${file%%/*}/CMakeLists.txt"
      ;;
  esac
}

folders=()
for folder in traces sim profiler gui tests cmake scripts .ci; do
  [ ! -d "$folder" ] || folders+=("$folder")
done
while IFS= read -r file; do
  check_file "$file"
  case "$file" in
    *.h) check_header "$file" ;;
    *.cpp) note_long_functions "$file" ;;
  esac
done < <(find "${folders[@]}" -type f \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cmake' \
  -o -name '*.sh' -o -name CMakeLists.txt -o -path 'scripts/*' -o -path '.ci/*' \) | sort)

[ "$violations" -eq 0 ] || exit 1
