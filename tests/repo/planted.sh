#!/usr/bin/env bash
# The checks of this folder are tests only if they can fail: each is run on a tree that keeps its
# rule and on trees with one planted violation. Usage: planted.sh (no arguments).
# Exit codes: 0 every violation was found and nothing else, 1 not.
set -euo pipefail
checks=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

failures=0
fail() {
  printf '%s\n' "$1"
  failures=$((failures + 1))
}

# A tree that keeps every rule.
fresh_tree() {
  rm -rf "$scratch/tree"
  mkdir -p "$scratch/tree"/{traces,sim,profiler,gui,tests/sim,scripts}
  cd "$scratch/tree"
  for folder in traces sim profiler gui; do
    printf '// A noun.\n#pragma once\n#include <vector>\n#include "traces/noun.h"\n' \
      >"$folder/noun.h"
    printf 'tidemark_library(%s HEADERS noun.h)\n' "$folder" >"$folder/CMakeLists.txt"
    printf '// Its verbs.\n#include "%s/noun.h"\n' "$folder" >"$folder/noun.cpp"
  done
  printf '#include "sim/noun.h"\n#include "profiler/noun.h"\n' >tests/sim/noun_test.cpp
  printf '#!/usr/bin/env bash\n# Does nothing. Exit codes: 0.\nset -euo pipefail\n' >scripts/test
  chmod +x scripts/test
  printf '| 1 | It holds | `it holds` |\n' >README.md
  printf 'TEST_CASE("it holds") {}\n' >>tests/sim/noun_test.cpp
}

# accepts CHECK: the fresh tree passes.
accepts() {
  fresh_tree
  "$checks/$1" "$scratch/tree" >"$scratch/out" 2>&1 ||
    fail "$1 refuses a good tree: $(cat "$scratch/out")"
}

# reports CHECK FILE TEXT MESSAGE: with TEXT in FILE, the check fails and says MESSAGE.
reports() {
  if "$checks/$1" "$scratch/tree" >"$scratch/out" 2>&1; then
    fail "$1 does not see '$3' in $2"
  elif ! grep -qF "$4" "$scratch/out"; then
    fail "$1 says '$(cat "$scratch/out")' about $2, expected '$4'"
  fi
}

# finds CHECK FILE TEXT MESSAGE: TEXT is appended to FILE.
finds() {
  fresh_tree
  printf '%b\n' "$3" >>"$scratch/tree/$2"
  reports "$@"
}

# finds_only CHECK FILE TEXT MESSAGE: TEXT is all that FILE holds.
finds_only() {
  fresh_tree
  printf '%b\n' "$3" >"$scratch/tree/$2"
  reports "$@"
}

accepts layering.sh
finds layering.sh traces/noun.cpp '#include "sim/noun.h"' 'traces/ must not include sim/noun.h'
finds layering.sh sim/noun.h '#include "gui/noun.h"' 'sim/ must not include gui/noun.h'
finds layering.sh gui/noun.cpp '  #  include "profiler/noun.h"' 'gui/ must not include profiler/'
finds layering.sh profiler/noun.cpp '#include "gui/noun.h"' 'profiler/ must not include gui/'
finds layering.sh sim/noun.cpp '#include "tests/catch.h"' 'sim/ must not include tests/catch.h'
finds layering.sh sim/noun.cpp '#include "noun.h"' 'does not start with its folder'
finds layering.sh sim/noun.cpp '#include "../gui/noun.h"' 'does not start with its folder'
finds layering.sh sim/noun.cpp '#include <QWidget>' 'only gui/ may include Qt'
finds layering.sh sim/noun.h '#include <boost/graph/adjacency_list.hpp>' 'only sim/*.cpp may'

accepts style.sh
fresh_tree
for file in sim gui; do
  printf '%b\n' 'namespace {\nstruct Link {\n};\n}  // namespace' \
    'template <>\nstruct Names<Link> {\n};' >>"$scratch/tree/$file/noun.cpp"
done
"$checks/style.sh" "$scratch/tree" >"$scratch/out" 2>&1 ||
  fail "style.sh refuses two types that are not seen outside: $(cat "$scratch/out")"
finds style.sh sim/noun.cpp "// $(printf 'x%.0s' {1..98})" 'longer than 100 characters'
finds style.sh sim/noun.cpp '// end ' 'trailing space'
finds style.sh sim/noun.cpp '\tint x;' 'tab'
finds style.sh tests/sim/noun_test.cpp 'TEST_CASE("one; two") {}' 'a semicolon in the name'
part='["rows"]'
finds style.sh tests/sim/noun_test.cpp "for (auto& x : json::parse(text)$part) {}" 'gone by then'
finds style.sh sim/noun.cpp "$(printf '\\n%.0s' {1..500})" 'expected at most 500'
lines=$(printf '  x();\\n%.0s' {1..79})
finds style.sh sim/noun.cpp "void f() {\n$lines}" 'a function of 81 lines'
finds style.sh sim/noun.cpp "int f(int a,\n      int b) {\n${lines}}" 'a function of 82 lines'
members=$(printf '    x();\\n%.0s' {1..79})
finds style.sh sim/noun.cpp "class C {\n  void f() {\n$members  }\n}" 'a function of 81 lines'
both='namespace tidemark {\nstruct Link {\n'
for other in sim/noun.h gui/noun.cpp; do
  fresh_tree
  printf '%b\n}  // namespace tidemark\n' "$both};" | tee -a "$scratch/tree/$other" \
    >>"$scratch/tree/traces/noun.h"
  reports style.sh "$other" 'struct Link' 'Link is also a type of'
done
finds_only style.sh sim/noun.cpp '#include <map>\n#include "sim/noun.h"' 'its first include is not'
finds style.sh sim/verb.h '#pragma once' 'no comment at the top'
finds style.sh sim/verb.h '// A verb.' 'no #pragma once'
finds style.sh sim/verb.h '// A verb.\n#pragma once' 'not in a HEADERS list'

accepts scripts.sh
finds scripts.sh scripts/test 'if true; do' 'does not parse'
finds scripts.sh scripts/other '# Exit codes: 0' 'not executable'

accepts readme.sh
finds readme.sh README.md '| 2 | It also holds | `not tested` |' "the test 'not tested'"
finds readme.sh README.md '| 2 | It also holds | |' 'invariant 2'
finds readme.sh README.md 'See [this](docs/gone.md).' 'no file docs/gone.md'
finds readme.sh README.md 'See `sim/gone.h`.' 'no file sim/gone.h'

accepts no_machine_paths.sh
finds no_machine_paths.sh sim/noun.cpp "// /ho""me/ada/run.tmk" 'sim/noun.cpp:'
finds no_machine_paths.sh scripts/test "curl http""://10.0.0.1/x" 'scripts/test:'

[ "$failures" -eq 0 ] || exit 1
