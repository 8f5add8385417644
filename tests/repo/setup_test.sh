#!/usr/bin/env bash
# scripts/setup on machines that differ in what is installed, in rights and in network. The machine
# is played by small programs put first in PATH; nothing is installed. Usage: setup_test.sh ROOT
# Exit codes: 0 every case as expected, 1 not.
set -euo pipefail
root=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The real thing also looks for the data where the package would put it.
digits=/usr/lib/python3/dist-packages/sklearn/datasets/data/digits.csv.gz

shim() {
  printf '#!/usr/bin/env bash\n%s\n' "$2" >"$scratch/bin/$1"
  chmod +x "$scratch/bin/$1"
}

# machine UID NETWORK SUDO MISSING...: NETWORK and SUDO are yes or no.
machine() {
  rm -rf "${scratch:?}"/*
  mkdir -p "$scratch"/{bin,tree/scripts}
  cp "$root/scripts/setup" "$scratch/tree/scripts/setup"
  export SCRATCH=$scratch NETWORK=$2
  shim id "echo $1"
  if [ "$3" = yes ]; then
    shim sudo "echo \"sudo \$*\" >>$scratch/calls; [ \"\$1\" != -n ] || shift; exec \"\$@\""
  else
    shim sudo 'exit 1'
  fi
  shift 3
  printf '%s\n' "$@" >"$scratch/missing"
  # shellcheck disable=SC2016  # expanded by the shims, not here
  {
    shim dpkg-query 'shift 2; for p in "$@"; do
      grep -qxF "$p" "$SCRATCH/missing" || echo "$p installed"; done'
    shim apt-cache '[ ! -e "$SCRATCH/stale" ]'
    shim apt-get 'echo "apt-get $*" >>"$SCRATCH/calls"; [ "$NETWORK" = yes ] || exit 100
      case "$*" in *update) rm -f "$SCRATCH/stale" ;; *download*) touch python3-sklearn.deb ;;
      *install*) : >"$SCRATCH/missing" ;; esac'
    shim dpkg-deb 'd=$(mktemp -d); f="$d/usr/lib/python3/dist-packages/sklearn/datasets/data"
      mkdir -p "$f"; echo 1,2 | gzip >"$f/digits.csv.gz"; tar -cC "$d" .'
  }
  : >"$scratch/calls"
}

failures=0
case_name=''
fail() {
  printf '%s: %s\n' "$case_name" "$1"
  sed 's/^/    /' "$scratch/out" "$scratch/calls"
  failures=$((failures + 1))
}

# expect NAME CODE: runs set-up on the machine.
expect() {
  case_name=$1
  local code=0
  PATH=$scratch/bin:$PATH "$scratch/tree/scripts/setup" >"$scratch/out" 2>&1 || code=$?
  [ "$code" -eq "$2" ] || fail "exit code $code, expected $2"
}
says() { grep -qF -- "$1" "$scratch/out" || fail "does not say '$1'"; }
calls() { grep -qE -- "$1" "$scratch/calls" || fail "did not call '$1'"; }
calls_not() { ! grep -qE -- "$1" "$scratch/calls" || fail "called '$1'"; }
install_line='sudo apt-get update && sudo apt-get install -y --no-install-recommends'

machine 1000 yes no
expect 'nothing is missing' 0
calls_not ' install '
[ -s "$scratch/tree/build/data/digits.csv.gz" ] || fail 'no digits data set'

machine 0 yes no ninja-build libfmt-dev
expect 'root with network' 0
says 'missing Debian packages: ninja-build libfmt-dev'
calls 'install -y --no-install-recommends ninja-build libfmt-dev$'
calls_not ' update'

machine 0 yes no ninja-build
touch "$scratch/stale"
expect 'root with network and old lists' 0
calls ' update'
calls ' install .* ninja-build$'

machine 1000 yes no ninja-build qt6-base-dev
expect 'neither root nor sudo' 2
says "$install_line ninja-build qt6-base-dev"
calls_not ' install '

machine 1000 yes yes ninja-build
expect 'sudo without a password' 0
calls 'sudo env DEBIAN_FRONTEND=noninteractive apt-get .* install .* ninja-build$'

machine 0 no no ninja-build
expect 'root without network' 2
says "$install_line ninja-build"

machine 1000 no no qt6-base-dev ccache
expect 'only optional packages are missing' 0
says "$install_line ccache qt6-base-dev"
says 'these are optional'
if [ ! -s "$digits" ]; then
  says 'no digits data set'
  [ ! -e "$scratch/tree/build/data/digits.csv.gz.part" ] || fail 'left half a file'
fi

[ "$failures" -eq 0 ] || exit 1
