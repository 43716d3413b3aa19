#!/usr/bin/env bash
# Installs what the targets need and the machine lacks: deps.sh [--list] GROUP…
# Groups: rust lint install test proofs demo bench wheel, or all. Says what is missing before it touches anything.
# --list stops there, and answers 1 when something is missing.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

RUST_WANTED=1.89
PYTHON_WANTED=3.11
# group | how to tell that it is there | Debian package
NEEDS='
rust     cmd:cc                                      gcc
rust     hdr:stdio.h                                 libc6-dev
rust     file:/etc/ssl/certs/ca-certificates.crt     ca-certificates
install  cmd:strip                                   binutils
test     cmd:cmake                                   cmake
test     cmd:ninja                                   ninja-build
test     cmd:pkg-config                              pkg-config
test     cmd:gcc                                     gcc
test     cmd:g++                                     g++
test     cmd:clang                                   clang
test     cmd:valgrind                                valgrind
test     cmd:abidiff                                 abigail-tools
test     cmd:readelf                                 binutils
test     cmd:luajit                                  luajit
test     hdr:boost/lockfree/queue.hpp                libboost-dev
test     cmd:shellcheck                              shellcheck
proofs   cmd:coqc                                    coq
proofs   cmd:ocamlfind                               ocaml-findlib
proofs   cmd:ocamlopt                                ocaml-nox
proofs   cmd:make                                    make
demo     cmd:g++                                     g++
demo     cmd:strip                                   binutils
bench    cmd:g++                                     g++
bench    hdr:concurrentqueue/concurrentqueue.h       libconcurrentqueue-dev
bench    hdr:boost/lockfree/queue.hpp                libboost-dev
bench    hdr:oneapi/tbb/concurrent_queue.h           libtbb-dev
'
# group | what pip is asked for
PIP_NEEDS='
test   maturin>=1.10,<2
test   pytest
test   numpy
test   mypy
demo   maturin>=1.10,<2
bench  maturin>=1.10,<2
wheel  maturin>=1.10,<2
wheel  ziglang
'

list_only=0
# Scripts ask for what they need and hear nothing when it is there; a person who asks for all gets an answer.
answer=0
groups=()
for word in "$@"; do
    case $word in
    --list) list_only=1 answer=1 ;;
    all)
        answer=1
        groups+=(rust lint install test proofs demo bench wheel)
        ;;
    rust | lint | install | test | proofs | demo | bench | wheel) groups+=("$word") ;;
    *) die "unknown group '$word' (rust lint install test proofs demo bench wheel all)" ;;
    esac
done
[ ${#groups[@]} -gt 0 ] || die "which group? (rust lint install test proofs demo bench wheel all)"

wanted() {
    local group
    for group in "${groups[@]}"; do [ "$group" = "$1" ] && return 0; done
    return 1
}
present() {
    case $1 in
    cmd:*) have "${1#cmd:}" ;;
    hdr:*) [ -e "/usr/include/${1#hdr:}" ] || [ -e "/usr/local/include/${1#hdr:}" ] ||
        compgen -G "/usr/include/*-linux-gnu/${1#hdr:}" >/dev/null ;;
    # Where there is no apt, certificates lie elsewhere and are somebody else's care.
    file:*) [ -e "${1#file:}" ] || ! have apt-get ;;
    esac
}

AS_ROOT=()
can_install() {
    have apt-get || return 1
    if [ "$(id -u)" -eq 0 ]; then return 0; fi
    if have sudo && sudo -n true 2>/dev/null; then
        AS_ROOT=(sudo -n)
        return 0
    fi
    return 1
}

# What is missing, said before anything happens.

packages=()
add_package() {
    local known
    for known in "${packages[@]}"; do [ "$known" = "$1" ] && return; done
    packages+=("$1")
}
while read -r group check package; do
    if [ -z "$group" ] || ! wanted "$group"; then continue; fi
    present "$check" || add_package "$package"
done <<<"$NEEDS"

rustup_line='curl --proto "=https" --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c rustfmt -c clippy'
# The compiler is either there, or comes from Debian, or somebody has to decide.
rust_missing=
found=
if have cargo; then found=$(cargo --version | awk '{ print $2 }'); fi
if ! wanted rust && ! wanted lint; then
    :
elif [ -n "$found" ] && version_at_least "$found" "$RUST_WANTED"; then
    if wanted lint || wanted test; then
        if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
            if have rustup; then rust_missing=components; else
                add_package rustfmt-web
                add_package rust-web-clippy
            fi
        fi
    fi
elif [ -n "$found" ]; then
    rust_missing="cargo $found is too old: version $RUST_WANTED or newer is needed"
    if have rustup; then rustup_line='rustup update stable'; fi
else
    # Whether Debian's is new enough shows after `apt-get update`; the lists on an image are often old or absent.
    if have apt-get; then
        add_package rustc-web
        add_package cargo-web
        if wanted lint || wanted test; then
            add_package rustfmt-web
            add_package rust-web-clippy
        fi
    else
        rust_missing="cargo is missing: version $RUST_WANTED or newer is needed"
    fi
fi

pips=()
while read -r group pip; do
    if [ -z "$group" ] || ! wanted "$group"; then continue; fi
    case " ${pips[*]} " in *" $pip "*) ;; *) pips+=("$pip") ;; esac
done <<<"$PIP_NEEDS"
python_is_new() {
    "$1" -c "import sys; sys.exit(sys.version_info < tuple(map(int, '$PYTHON_WANTED'.split('.'))))" >/dev/null 2>&1
}
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && python_is_new "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}
python=
if [ ${#pips[@]} -gt 0 ]; then
    if python_is_new "$VENV/bin/python" && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        # Only what the environment lacks, by the names that pip knows it under.
        mapfile -t pips < <("$VENV/bin/python" - "${pips[@]}" <<'PY'
import re, sys
from importlib import metadata

for wanted in sys.argv[1:]:
    name, bounds = re.match(r"([A-Za-z0-9_.-]+)(.*)", wanted).groups()
    try:
        have = tuple(int(n) for n in re.findall(r"\d+", metadata.version(name))[:3])
    except metadata.PackageNotFoundError:
        print(wanted)
        continue
    for sign, bound in re.findall(r"(>=|<)([\d.]+)", bounds):
        bound = tuple(int(n) for n in bound.split("."))
        if not (have >= bound if sign == ">=" else have < bound):
            print(wanted)
            break
PY
        )
    elif ! python=$(find_python); then
        add_package python3
        add_package python3-venv
    elif ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        add_package python3-venv
    fi
fi

if [ ${#packages[@]} -eq 0 ] && [ ${#pips[@]} -eq 0 ] && [ -z "$rust_missing" ]; then
    [ "$answer" -eq 0 ] || say "deps: nothing is missing"
    exit 0
fi
say "Missing for ${groups[*]}:"
if [ ${#packages[@]} -gt 0 ]; then say "  Debian packages: ${packages[*]}"; fi
case $rust_missing in
'') ;;
components) say "  Rust components: rustfmt clippy" ;;
*) say "  $rust_missing" ;;
esac
if [ ${#pips[@]} -gt 0 ]; then say "  Python packages (in .venv): ${pips[*]}"; fi
[ "$list_only" -eq 0 ] || exit 1

# Install.

if [ ${#packages[@]} -gt 0 ]; then
    if ! can_install; then
        if have apt-get; then
            die "not root and no password-free sudo. Run this, then try again:
  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}"
        fi
        die "there is no apt-get here. Install what these Debian packages hold, then try again: ${packages[*]}"
    fi
    mkdir -p "$TARGET/deps-logs"
    APT=("${AS_ROOT[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    say "apt-get update"
    run_logged "apt-get update" 600 "$TARGET/deps-logs/apt-update.log" "${APT[@]}" update ||
        say "  apt-get update failed; going on with the lists that are there ($TARGET/deps-logs/apt-update.log)"
    case " ${packages[*]} " in
    *" cargo-web "*)
        candidate=$(apt-cache policy cargo-web | awk '/Candidate:/ { print $2 }')
        if [ -z "$candidate" ] || ! version_at_least "$candidate" "$RUST_WANTED"; then
            die "Debian offers no cargo $RUST_WANTED or newer here (found: ${candidate:-none}). Run this, then try again:
  $rustup_line"
        fi
        ;;
    esac
    say "apt-get install ${packages[*]}"
    if ! run_logged "apt-get install" 1800 "$TARGET/deps-logs/apt-install.log" \
        "${APT[@]}" install -y --no-install-recommends "${packages[@]}"; then
        tail -n 15 "$TARGET/deps-logs/apt-install.log" >&2
        die "apt-get install failed; the whole output is in $TARGET/deps-logs/apt-install.log"
    fi
    hash -r
fi

case $rust_missing in
'') ;;
components)
    say "rustup component add rustfmt clippy"
    rustup component add rustfmt clippy
    ;;
*)
    die "$rust_missing. Run this, then try again:
  $rustup_line"
    ;;
esac

if [ ${#pips[@]} -gt 0 ]; then
    mkdir -p "$TARGET/deps-logs"
    if [ -n "$python" ] || ! python_is_new "$VENV/bin/python"; then
        [ -n "$python" ] || python=$(find_python) || die "Python $PYTHON_WANTED or newer is needed and was not found"
        say "$python -m venv .venv"
        rm -rf "$VENV"
        "$python" -m venv "$VENV" || die "$python cannot make a virtual environment (on Debian: apt-get install python3-venv)"
    fi
    say "pip install ${pips[*]}"
    if ! run_logged "pip install" 900 "$TARGET/deps-logs/pip.log" \
        "$VENV/bin/python" -m pip install --retries 5 "${pips[@]}"; then
        tail -n 15 "$TARGET/deps-logs/pip.log" >&2
        die "pip install failed; the whole output is in $TARGET/deps-logs/pip.log"
    fi
fi
say "deps: everything for ${groups[*]} is there"
