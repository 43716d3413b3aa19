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
    ctest --test-dir "$build" --output-on-failure --no-tests=error --timeout 120 --parallel 4 # most of their time is spent waiting
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

# The header alone.
for_each_compiler() { # FUNCTION
    local cxx
    for cxx in g++ clang++; do
        if have "$cxx"; then "$1" "$cxx"; fi
    done
}
header_files() {
    mkdir -p "$TARGET/header"
    cd "$TARGET/header"
    echo '#include <turtle.hpp>' >alone.cpp
    printf '#include <turtle.hpp>\n#include <turtle.hpp>\nint main() { return turtle::ring_buffer<int>(3).capacity() != 3; }\n' >main.cpp
    sed -n 's/^# *include <.*/&/p' "$PREFIX_STAGED/include/turtle.hpp" "$PREFIX_STAGED/include/turtle.h" >standard.hpp
    [ "$(wc -l <standard.hpp)" -gt 10 ] || die "the header's own includes were not found"
}
# shellcheck disable=SC2046 # pkg-config's flags are words
compiles_alone() {
    local standard
    for standard in 17 20 2b; do
        "$1" "-std=c++$standard" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Werror \
            -fsyntax-only $(pkg --cflags) alone.cpp
    done
    "$1" -std=c++17 -Wall -Wextra -Werror -fsanitize=thread -fsyntax-only $(pkg --cflags) alone.cpp
    # Two units of one program: nothing is defined twice.
    "$1" -std=c++17 -o two main.cpp alone.cpp $(pkg --cflags --libs)
    LD_LIBRARY_PATH=$PREFIX_STAGED/lib ./two
}
header_compiles_alone() {
    header_files
    for_each_compiler compiles_alone
}
macros() { g++ -std=c++2b -dM -E "$@" | awk '{ sub(/\(.*/, "", $2); print $2 }' | LC_ALL=C sort -u; }
# shellcheck disable=SC2046
header_leaks_no_macro() {
    local flag leaked
    header_files
    for flag in -fexceptions -fno-exceptions -fsanitize=thread; do
        leaked=$(LC_ALL=C comm -13 <(macros "$flag" standard.hpp) <(macros "$flag" $(pkg --cflags) alone.cpp))
        grep -qx TURTLE_HPP <<<"$leaked" || die "the comparison does not even see TURTLE_HPP"
        # grep answers 1 when nothing is left, which is what is hoped for.
        leaked=$(grep -v '^TURTLE_' <<<"$leaked" || true)
        [ -z "$leaked" ] || die "with $flag these macros stay: $leaked"
        if macros "$flag" $(pkg --cflags) alone.cpp | grep -x TURTLE_SANITIZE_THREAD; then die "it stays"; fi
    done
}
header_is_cheap() {
    header_files
    "$ROOT/scripts/header-cost.py" "$TARGET/header" "$PREFIX_STAGED/include"
}

# Everything once more under sanitizers, where the compiler has their runtime.
sanitized() { # NAME FLAGS [cmake options]
    local name=$1 flags=$2 probe=$TARGET/header/probe
    shift 2
    echo 'int main() {}' >"$probe.cpp"
    if ! g++ "-fsanitize=$flags" -o "$probe" "$probe.cpp" 2>"$probe.log" || ! "$probe" 2>>"$probe.log"; then
        say "SKIP: -fsanitize=$flags does not work here: $(head -n 1 "$probe.log")"
        return
    fi
    cmake_project cpp_examples "cpp_examples_$name" "-DSANITIZE=$flags" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-g1 "$@"
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
step "the header compiles alone, in every standard" header_compiles_alone
step "the header leaves no macros behind but TURTLE_…" header_leaks_no_macro
step "the header is parsed in less than 100 ms" header_is_cheap
runner "the first project of docs/cpp.md" cmake_project cpp_examples/start start
runner "cpp_examples against the installed package" cmake_project cpp_examples cpp_examples
if have clang++; then
    runner "cpp_examples, clang" cmake_project cpp_examples cpp_examples_clang -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Debug
else
    say "SKIP: clang++ is not installed"
fi
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=history_size=4
runner "cpp_examples under AddressSanitizer and UBSan" sanitized address address,undefined "-DSTANDARDS=23"
runner "cpp_examples under ThreadSanitizer" sanitized thread thread "-DSTANDARDS=20"
step "uninstall takes its files and no others" uninstall_leaves_nothing
steps_end
