#!/usr/bin/env bash
# The installed package: a consumer builds against it, and the .deb holds what it should.
# Usage: package.sh ROOT BUILD        (BUILD is complete; called by scripts/test --all)
# Exit codes: 0 as promised, 1 not.
set -euo pipefail
root=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cmake --install "$build" --prefix "$scratch/prefix" >/dev/null

mkdir "$scratch/consumer"
cat >"$scratch/consumer/CMakeLists.txt" <<'TEXT'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(tidemark 0.1 REQUIRED)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE tidemark::sim)
TEXT
cat >"$scratch/consumer/main.cpp" <<'TEXT'
#include <cstdio>

#include "sim/timeline.h"
#include "traces/file.h"

int main(int, char** argv) {
  const tidemark::Trace trace = tidemark::read_trace(argv[1]);
  std::printf("%lld\n", static_cast<long long>(tidemark::replay(trace).peak.bytes));
}
TEXT
cmake -S "$scratch/consumer" -B "$scratch/consumer/build" -G Ninja \
  "-DCMAKE_PREFIX_PATH=$scratch/prefix" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
cmake --build "$scratch/consumer/build" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
peak=$("$scratch/consumer/build/consumer" "$root/tests/golden/v1_small.tmk")
[ "$peak" = 1024 ] || { echo "the consumer says a peak of $peak, expected 1024"; exit 1; }

command -v dpkg-deb >/dev/null || { echo "no dpkg-deb: the .deb is not checked"; exit 0; }
(cd "$build" && cpack -G DEB -B "$scratch/deb" >"$scratch/log" 2>&1) ||
  { cat "$scratch/log"; exit 1; }
dpkg-deb -c "$scratch"/deb/*.deb >"$scratch/contents"
programs=(tidemark tidemark-profile)
[ ! -x "$build/bin/tidemark-view" ] || programs+=(tidemark-view)
expected=(share/tidemark/samples/mlp.tmk share/doc/tidemark/FORMAT.md share/doc/tidemark/copyright
  share/bash-completion/completions/tidemark)
for program in "${programs[@]}"; do
  expected+=("bin/$program" "share/man/man1/$program.1")
done
missing=0
for file in "${expected[@]}"; do
  grep -q " \./usr/$file\$" "$scratch/contents" ||
    { echo "not in the .deb: /usr/$file"; missing=1; }
done
if grep -v ' \./usr/\| \./usr$\| \./$' "$scratch/contents"; then
  echo "in the .deb, but not under /usr"
  missing=1
fi
exit $missing
