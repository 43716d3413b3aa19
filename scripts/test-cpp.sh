#!/usr/bin/env bash
# Installs to a staging folder and uses the library from there, as a user's project would.
# DESTDIR makes the tree lie elsewhere than PREFIX says: what works here works after moving, too.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

STAGE=$TARGET/stage
PREFIX_STAGED=$STAGE/opt/turtle
VERSION=$(workspace_version)

staged_install() {
    rm -rf "$STAGE"
    PREFIX=/opt/turtle DESTDIR=$STAGE LIBDIR=lib scripts/install.sh install
}

same() { [ "$1" = "$2" ] || die "expected '$2', found '$1'"; }
file_list() {
    (cd "$1" && find . \( -type f -o -type l \) -printf '%P %l\n' | sed 's/ $//' | LC_ALL=C sort)
}
files_are_right() {
    diff <(file_list "$PREFIX_STAGED") - <<LIST
bin/turtle
include/turtle.h
include/turtle.hpp
lib/cmake/turtle/turtleConfig.cmake
lib/cmake/turtle/turtleConfigVersion.cmake
lib/libturtle.a
lib/libturtle.so libturtle.so.${VERSION%%.*}
lib/libturtle.so.${VERSION%%.*} libturtle.so.$VERSION
lib/libturtle.so.$VERSION
lib/pkgconfig/turtle.pc
LIST
    # No folder of this machine in what others will read or load.
    local files
    mapfile -t files < <(find "$PREFIX_STAGED" -type f)
    no_machine_paths "${files[@]}"
    if grep -rIlF -e "$STAGE" "$PREFIX_STAGED"; then die "these files name the staging folder"; fi
}

pkg() { PKG_CONFIG_PATH=$PREFIX_STAGED/lib/pkgconfig pkg-config "$@" turtle; }
pkg_config_consumer() {
    local out=$TARGET/pkg-config
    mkdir -p "$out"
    same "$(pkg --modversion)" "$VERSION"
    # shellcheck disable=SC2046 # the flags are words
    cc -std=c99 -Wall -Wextra -Werror -o "$out/shared" bindings/c/cmake/consumer/main.c $(pkg --cflags --libs)
    LD_LIBRARY_PATH=$PREFIX_STAGED/lib "$out/shared" "$VERSION"
    # shellcheck disable=SC2046
    cc -std=c99 -o "$out/static" bindings/c/cmake/consumer/main.c \
        $(pkg --static --cflags --libs | sed 's/-lturtle/-l:libturtle.a/')
    "$out/static" "$VERSION"
    if readelf -d "$out/static" | grep libturtle; then die "the static program still needs the shared library"; fi
}

cmake_project() { # SOURCE NAME [cmake options]
    local source=$1 build=$TARGET/cmake/$2
    shift 2
    rm -rf "$build"
    cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_PREFIX_PATH="$PREFIX_STAGED" "$@"
    cmake --build "$build"
    ctest --test-dir "$build" --output-on-failure --no-tests=error --timeout 120
}
cmake_says_no() { # WHAT, find_package's arguments: configuration must fail, and because of turtle
    local folder=$TARGET/cmake/refused
    rm -rf "$folder"
    mkdir -p "$folder"
    printf 'cmake_minimum_required(VERSION 3.16)\nproject(refused C)\nfind_package(turtle %s REQUIRED)\n' "$1" >"$folder/CMakeLists.txt"
    if cmake -S "$folder" -B "$folder/b" -DCMAKE_PREFIX_PATH="$PREFIX_STAGED" >"$folder/log" 2>&1; then
        die "find_package(turtle $1) was accepted"
    fi
    grep -q 'turtleConfig.cmake' "$folder/log" || die "find_package(turtle $1) failed for another reason: $(cat "$folder/log")"
}
wrong_versions_are_refused() {
    cmake_says_no 99.0
    cmake_says_no "${VERSION%.*}.999"
    cmake_says_no "$VERSION COMPONENTS nonsense"
}

uninstall_leaves_nothing() {
    local copy=$TARGET/stage-copy
    rm -rf "$copy"
    cp -a "$STAGE" "$copy"
    touch "$copy/opt/turtle/lib/pkgconfig/other.pc"
    PREFIX=/opt/turtle DESTDIR=$copy LIBDIR=lib scripts/install.sh uninstall
    same "$(file_list "$copy")" "opt/turtle/lib/pkgconfig/other.pc"
    rm -rf "$copy"
}

step "install to a staging folder" staged_install
step "exactly the promised files" files_are_right
step "the installed command runs" "$PREFIX_STAGED/bin/turtle" --version
step "pkg-config: shared and static program" pkg_config_consumer
runner "find_package: C and C++, shared and static" cmake_project bindings/c/cmake/consumer consumer "-DWANTED=$VERSION"
step "find_package refuses what is not there" wrong_versions_are_refused
runner "cpp_examples against the installed package" cmake_project cpp_examples cpp_examples
step "uninstall takes its files and no others" uninstall_leaves_nothing
steps_end
