#!/usr/bin/env bash
# scripts/demo ends with an error when a program does not do what the story says. The programs are
# played by a small script that keeps the story, or breaks it in one place (LIE).
# Usage: demo_test.sh ROOT. Exit codes: 0 every lie was seen and the true story passed, 1 not.
set -euo pipefail
root=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

bin=$scratch/build/release/bin
mkdir -p "$scratch"/{scripts,bin} "$bin"
cp "$root/scripts/demo" "$scratch/scripts/demo"
printf '#!/bin/sh\n' | tee "$scratch/scripts/setup" "$scratch/bin/cmake" >"$bin/tidemark-view"
cat >"$bin/tidemark" <<'PROGRAM'
#!/usr/bin/env bash
lie() { [ "${LIE-}" = "$1" ]; }
words=" $* "
after() { [[ "$words" == *" $1 "* ]] && sed "s/.* $1 \([^ ]*\).*/\1/" <<<"$words"; }
memory=$(after --device-memory || echo 1000000)
need=512000 height=256000
case "$words" in
  *" --schedule "*) lie exact_fails && height=256256; lie less_fits && height=1000
    [ "$memory" -ge "$height" ] || exit 3 ;;
  *" profile mlp-tiny "*) lie no_digits && echo 'no digits.csv.gz found' && exit 2
    lie no_mlp && echo 'own bug' && exit 70 ;;
  *" profile "*) lie too_large_fits && need=1000
    [ "$memory" -ge "$need" ] || exit 3 ;;
  *" show "*" --json "*) echo '{"peak_bytes": 512000, "reserved_bytes": 256000}' ;;
  *" diff "*" --json "*)
    lie peak && echo '{"peak_error_bytes": 256, "bitwise_equal": true}' && exit
    lie bits && echo '{"peak_error_bytes": 0, "bitwise_equal": false}' && exit
    lie bits_unknown && echo '{"peak_error_bytes": 0, "bitwise_equal": null}' && exit
    echo '{"peak_error_bytes": 0, "bitwise_equal": true}' ;;
  *" plan "*) lie no_plan && exit 1 ;;
esac
lie no_html && [[ "$words" == *" --html "* ]] && exit
lie no_png && [[ "$words" == *" --screenshot "* ]] && exit
for flag in -o --html --screenshot; do
  file=$(after "$flag") && echo content >"$file"
done
exit 0
PROGRAM
chmod +x "$scratch"/scripts/* "$scratch"/bin/* "$bin"/*

failures=0
# expect CODE LIE TEXT: the demo exits with CODE and says TEXT.
expect() {
  local code=0
  LIE=$2 PATH=$scratch/bin:$PATH "$scratch/scripts/demo" "$scratch/out" \
    >"$scratch/log" 2>&1 || code=$?
  if [ "$code" -ne "$1" ] || ! grep -qF -- "$3" "$scratch/log"; then
    printf "lie '%s': exit code %s, expected %s and '%s'\n" "$2" "$code" "$1" "$3"
    tail -n 5 "$scratch/log"
    failures=$((failures + 1))
  fi
}

expect 0 '' 'All files are in'
expect 0 no_digits 'it is dry, too'
expect 1 no_mlp 'own bug'
expect 1 too_large_fits 'expected exit code 3, found 0'
expect 1 no_plan 'expected exit code 0, found 1'
expect 1 exact_fails 'expected exit code 0, found 3'
expect 1 less_fits 'expected exit code 3, found 0'
expect 1 peak 'the peak differs'
expect 1 bits 'losses and weights differ'
expect 1 bits_unknown 'losses and weights differ'
expect 1 no_html 'gpt2-tiny.html was not written'
expect 1 no_png 'timeline.png was not written'

[ "$failures" -eq 0 ] || exit 1
