# shellcheck shell=bash
# What the scripts of this folder share; sourced, not run.

say() { printf '%s\n' "$*" >&2; }

# the comment at the top of a script is its help
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$1"; }

# fail WHAT [NEXT]: what went wrong, what to do next
fail() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '  next: %s\n' "$2" >&2
  exit 1
}

# step NAME COMMAND…: a named step with its time
step() {
  local name=$1 start=$SECONDS
  shift
  say "── $name"
  "$@" || fail "$name: failed" "look at the lines above; the command was: $*"
  say "   $((SECONDS - start)) s"
}

# Rust, and what linking and aws-lc's C sources need
need_rust() {
  need_packages gcc libc6-dev make
  command -v cargo >/dev/null || fail "cargo is missing" \
    "curl -sSf https://sh.rustup.rs | sh -s -- -y && . ~/.cargo/env, then run it again"
}

# Node 20 or newer with its npm, from wherever people have it; Debian's own where that is new enough
need_node() {
  local sudo=sudo offered major
  [ "$(id -u)" -ne 0 ] || sudo=
  local get="curl -fsSL https://deb.nodesource.com/setup_22.x | ${sudo:+$sudo -E }bash - && ${sudo:+$sudo }apt-get install -y nodejs"
  if ! command -v node >/dev/null; then
    offered=$(apt-cache policy nodejs 2>/dev/null | sed -n 's/ *Candidate: \([0-9]*\).*/\1/p')
    [ "${offered:-0}" -ge 20 ] || fail "node is missing" "$get"
    need_packages nodejs npm
  fi
  command -v npm >/dev/null || fail "npm is missing, which comes with $(command -v node)" "$get"
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || fail "node $(node --version) is too old for the OpenID provider" "$get"
}

npm_ci() {
  (cd "$1" && npm ci --no-audit --no-fund --silent && touch node_modules)
}

# npm's oidc-provider in tests/op, once for all that ask at the same time
need_provider() {
  local lock
  exec {lock}<tests/op/package-lock.json
  flock "$lock"
  if [ ! -d tests/op/node_modules ] || [ tests/op/package-lock.json -nt tests/op/node_modules ]; then
    step "an OpenID provider (npm oidc-provider)" npm_ci tests/op
  fi
  exec {lock}<&-
}

# Debian packages that are missing, installed without starting any service
need_packages() {
  command -v dpkg-query >/dev/null || return 0
  local missing=() package as_root=() policy=/usr/sbin/policy-rc.d made='' log status=0
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      fail "these packages are missing: ${missing[*]}" "as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
    "${as_root[@]}" chmod 755 $policy
    made=1
  fi
  log=$(mktemp)
  {
    "${as_root[@]}" apt-get update -qq &&
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}"
  } >"$log" 2>&1 || status=$?
  [ -z "$made" ] || "${as_root[@]}" rm -f $policy
  [ $status -eq 0 ] || cat "$log" >&2
  rm -f "$log"
  [ $status -eq 0 ] || fail "apt-get could not install ${missing[*]}" "look at the lines above"
}

# cargo-deny, from the PATH or built once below target/
need_cargo_deny() {
  CARGO_DENY=$(command -v cargo-deny || true)
  [ -z "$CARGO_DENY" ] || return 0
  CARGO_DENY=$PWD/target/tools/bin/cargo-deny
  [ -x "$CARGO_DENY" ] ||
    step "cargo-deny, built once" \
      cargo install cargo-deny --version 0.20.2 --locked --quiet --root target/tools
}
