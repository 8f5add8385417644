#!/usr/bin/env bash
# Layering: which folder may include which. Usage: layering.sh ROOT
# Exit codes: 0 kept, 1 a violation (each is printed).
set -euo pipefail
cd "$1"

# The whole rule. Nothing includes tests/ but tests/.
declare -A may_include=(
  [traces]="traces"
  [sim]="traces sim"
  [profiler]="traces sim profiler"
  [gui]="traces sim gui"
)

violations=0
report() {
  printf '%s\n' "$1"
  violations=$((violations + 1))
}

# includes FOLDER: "file:line:included" of every #include in the folder's sources.
includes() {
  grep -rnoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]+' "$1" \
    --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh' |
    sed -E 's/#[[:space:]]*include[[:space:]]*//; s/:[[:space:]]*([<"])/:\1/' || true
}

for folder in "${!may_include[@]}"; do
  [ -d "$folder" ] || continue
  while IFS=: read -r file line included; do
    target=${included:1}
    top=${target%%/*}
    case "$included" in
      '"'*)
        # Own includes start at the root, so that a reader sees the folder.
        if [[ "$target" != */* ]] || [[ "$target" == ../* ]]; then
          report "$file:$line: '$target' does not start with its folder"
        elif [[ " ${may_include[$folder]} " != *" $top "* ]]; then
          report "$file:$line: $folder/ must not include $target"
        fi
        ;;
      '<Q'*)
        [ "$folder" = gui ] || report "$file:$line: only gui/ may include Qt ($target)"
        ;;
      '<boost/graph'*)
        # Slow to compile, and an implementation matter of the dataflow graph.
        [[ "$file" == sim/*.cpp ]] || report "$file:$line: only sim/*.cpp may include $target"
        ;;
    esac
  done < <(includes "$folder")
done

[ "$violations" -eq 0 ] || exit 1
