#!/usr/bin/env bash
# Sizes and shape of source files. Usage: style.sh ROOT
#   file <= 500 lines (a note from 400), function <= 80 lines, line <= 100 characters,
#   no trailing space, no tab; a header begins with a comment, has #pragma once, and stands in the
#   CMakeLists.txt of its folder; a source includes its own header first; a type is defined once.
# Exit codes: 0 kept, 1 a violation (each is printed).
set -euo pipefail
cd "$1"
export LC_ALL=C.UTF-8

violations=0
report() {
  printf '%s\n' "$1"
  violations=$((violations + 1))
}

# forbid REGEX NAME: lines of any of the files that match.
forbid() {
  local place line
  while IFS=: read -r place line _; do
    report "$place:$line: $2"
  done < <(grep -HnP "$1" "${files[@]}" || true)
}

check_lengths() {
  local lines file
  while read -r lines file; do
    [ "$file" != total ] || continue
    if [ "$lines" -gt 500 ]; then
      report "$file: $lines lines, expected at most 500"
    elif [ "$lines" -gt 400 ]; then
      printf 'note: %s: %d lines, split it before it grows\n' "$file" "$lines"
    fi
  done < <(wc -l "${files[@]}")
}

# Functions of more than 80 lines, by the shape that clang-format gives them: a head that begins at
# some indentation and is no class or namespace, up to the closing brace at the same indentation.
# Literal tables may be longer: what clang-format leaves alone, and a switch that is mostly cases.
check_functions() {
  local place text
  while IFS=$'\t' read -r place text; do
    report "$place: $text"
  done < <(awk '
    FNR == 1 { split("", begin); table = cases = 0 }
    /clang-format off/ { table = 1 }
    /clang-format on/ { table = 0 }
    /^ *case / { cases++ }
    {
      match($0, /^ */)
      indent = RLENGTH
    }
    indent <= 4 && /^ *[A-Za-z~].*[{(,]$/ &&
        !/^ *(namespace|struct|class|enum|union|extern|const|static const|inline const)/ &&
        !/^ *(if|for|while|switch|do|else|return|case|try)[ (]/ {
      if (!(indent in begin)) { begin[indent] = FNR; cases_before[indent] = cases }
    }
    /^ *};?$/ || /^ *} \/\/ / {
      if (indent in begin && $0 ~ /^ *}$/ && FNR - begin[indent] + 1 > 80 &&
          !table && 3 * (cases - cases_before[indent]) < FNR - begin[indent])
        printf "%s:%d\ta function of %d lines, expected at most 80\n", FILENAME, begin[indent],
            FNR - begin[indent] + 1
      for (i in begin) if (i + 0 >= indent) delete begin[i]
    }' "${sources[@]}")
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

# The first include of sim/noun.cpp is sim/noun.h: so the header is compiled with nothing before it.
check_first_include() {
  local file=$1 header=${1%.cpp}.h first
  [ -e "$header" ] || return 0
  first=$(grep -m 1 '^#include' "$file" || true)
  [[ "$first" == "#include \"$header\""* || "$file" == tests/* ]] ||
    report "$file: its first include is not \"$header\""
}

# Two types of one name in one namespace share the code that the compiler makes for them (members of
# std::vector<Name>, destructors), and the linker keeps that of either: memory is overwritten.
check_one_definition() {
  local place text
  while IFS=$'\t' read -r place text; do
    report "$place: $text"
  done < <(awk '
    FNR == 1 { depth = 0 }
    /^(inline )?namespace .*\{$/ { spaces[++depth] = ($2 == "{") ? FILENAME : $2 }
    /^}  ?\/\/ namespace/ && depth > 0 { depth-- }
    /^(struct|class|enum|enum class|enum struct) [A-Za-z_0-9]+[^;]*\{/ {
      match($0, /^(struct|enum class|enum struct|class|enum) /)
      name = substr($0, RLENGTH + 1)
      match(name, /^[A-Za-z_0-9]+/)
      after = substr(name, RLENGTH + 1)
      if (after ~ /^ *(<|::)/) next  # a specialisation, or a member of a class
      name = substr(name, 1, RLENGTH)
      key = name
      for (i = depth; i > 0; i--) key = spaces[i] "::" key
      if (key in first && first[key] != FILENAME)
        printf "%s:%d\t%s is also a type of %s\n", FILENAME, FNR, name, first[key]
      first[key] = FILENAME
    }' "${sources[@]}")
}

folders=()
for folder in traces sim profiler gui tests cmake scripts .ci; do
  [ ! -d "$folder" ] || folders+=("$folder")
done
mapfile -t files < <(find "${folders[@]}" -type f \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cmake' \
  -o -name '*.sh' -o -name CMakeLists.txt -o -path 'scripts/*' -o -path '.ci/*' \) | sort)

mapfile -t sources < <(printf '%s\n' "${files[@]}" | grep -E '\.(h|cpp|cu|cuh)$')

check_lengths
forbid '^.{101,}' 'longer than 100 characters'
forbid '[ \t]+$' 'trailing space'
forbid '\t' 'tab'
forbid '^TEST_CASE\("[^"]*;' 'a semicolon in the name of a test: CTest would split it'
forbid '\bfor \([^;]* : .*\bparse\(.*\)\[' \
  'a loop over a part of a parsed value that is gone by then'
check_functions
check_one_definition
for file in "${files[@]}"; do
  [[ "$file" != *.h ]] || check_header "$file"
  [[ "$file" != *.cpp ]] || check_first_include "$file"
done

[ "$violations" -eq 0 ] || exit 1
