#!/usr/bin/env bash
# Library, headers, pkg-config and CMake files, command line: install.sh build|library|install|uninstall
# From the environment: PREFIX (where the files will be used), LIBDIR (below PREFIX, default lib), DESTDIR (staging).
# What is installed is relocatable: the package files find the rest relative to themselves.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

PREFIX=${PREFIX:-/usr/local} LIBDIR=${LIBDIR:-lib} DESTDIR=${DESTDIR:-}
case $PREFIX in /*) ;; *) PREFIX=$ROOT/$PREFIX ;; esac
case $LIBDIR in /*) die "LIBDIR is below PREFIX: 'lib', not '$LIBDIR'" ;; esac
VERSION=$(workspace_version)
[ -n "$VERSION" ] || die "no version in Cargo.toml"
MAJOR=${VERSION%%.*}
LIMIT=1500000
DEST=$DESTDIR$PREFIX
LIB=$DEST/$LIBDIR
BUILT=$TARGET/release

build() {
    # Under sudo the compiler of the calling user is often out of sight. What that user built is as good.
    if [ "$(id -u)" -eq 0 ] && [ -n "${SUDO_USER:-}" ] && ! have cargo && [ -f "$BUILT/libturtle.so" ]; then
        say "cargo is not in root's PATH: taking what is in $BUILT"
        return
    fi
    scripts/deps.sh rust install
    remap_paths
    say "cargo build --release $*"
    cargo build --release "$@"
}

# The file is written through `install` so that mode and owner are right and a running copy is not disturbed.
fill_in() {
    local up
    up=$(realpath -m --relative-to="/prefix/$LIBDIR/$2" /prefix)
    sed -e "s|@VERSION@|$VERSION|g" -e "s|@MAJOR@|$MAJOR|g" -e "s|@LIBDIR@|$LIBDIR|g" -e "s|@UP@|$up|g" "$1" >"$WORK/filled"
    if grep -n '@[A-Z]*@' "$WORK/filled"; then die "$1: a placeholder was not filled in"; fi
    install -m 0644 "$WORK/filled" "$3"
}

install_all() {
    local real soname size
    # Ask before the build, not after it.
    real=$DEST
    while [ ! -e "$real" ]; do real=$(dirname "$real"); done
    [ -w "$real" ] || die "$real is not writable. Run: make build && sudo make install PREFIX=$PREFIX"
    build -p turtle-c -p turtle-cli
    [ -f "$BUILT/libturtle.so" ] || die "$BUILT/libturtle.so was not built"

    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
    # The linker's name is the ABI promise: it must carry the major version.
    soname=$(readelf -d "$BUILT/libturtle.so" | sed -n 's/.*(SONAME).*\[\(.*\)\].*/\1/p')
    [ "$soname" = "libturtle.so.$MAJOR" ] || die "the library calls itself '$soname', expected libturtle.so.$MAJOR"
    strip --strip-unneeded -o "$WORK/libturtle.so" "$BUILT/libturtle.so"
    strip --strip-debug -o "$WORK/libturtle.a" "$BUILT/libturtle.a"
    strip -o "$WORK/turtle" "$BUILT/turtle"
    size=$(stat -c %s "$WORK/libturtle.so")
    [ "$size" -lt "$LIMIT" ] || die "libturtle.so is $size bytes stripped; the limit is $LIMIT"

    install -d "$LIB/pkgconfig" "$LIB/cmake/turtle" "$DEST/include" "$DEST/bin"
    install -m 0755 "$WORK/libturtle.so" "$LIB/libturtle.so.$VERSION"
    ln -sfn "libturtle.so.$VERSION" "$LIB/libturtle.so.$MAJOR"
    ln -sfn "libturtle.so.$MAJOR" "$LIB/libturtle.so"
    install -m 0644 "$WORK/libturtle.a" "$LIB/libturtle.a"
    install -m 0644 include/turtle.h include/turtle.hpp "$DEST/include/"
    install -m 0755 "$WORK/turtle" "$DEST/bin/turtle"
    fill_in bindings/c/turtle.pc.in pkgconfig "$LIB/pkgconfig/turtle.pc"
    fill_in bindings/c/cmake/turtleConfig.cmake.in cmake/turtle "$LIB/cmake/turtle/turtleConfig.cmake"
    fill_in bindings/c/cmake/turtleConfigVersion.cmake.in cmake/turtle "$LIB/cmake/turtle/turtleConfigVersion.cmake"

    installed_files | sed 's/^/  /'
    if [ -z "$DESTDIR" ]; then
        if ldconfig_knows "$LIB"; then
            if [ "$(id -u)" -eq 0 ]; then ldconfig; fi
        else
            say "The loader does not search $LIB: link with -Wl,-rpath,$LIB or set LD_LIBRARY_PATH=$LIB"
        fi
    fi
    say "install: turtle-buffers $VERSION is in $DEST; libturtle.so has $size bytes"
}

ldconfig_knows() {
    have ldconfig && ldconfig -N -X -v 2>/dev/null | grep -q "^$1:"
}

installed_files() {
    local file
    for file in "$LIB"/libturtle.so "$LIB"/libturtle.so.[0-9]* "$LIB/libturtle.a" "$LIB/pkgconfig/turtle.pc" \
        "$LIB/cmake/turtle/turtleConfig.cmake" "$LIB/cmake/turtle/turtleConfigVersion.cmake" \
        "$DEST/include/turtle.h" "$DEST/include/turtle.hpp" "$DEST/bin/turtle"; do
        if [ -e "$file" ] || [ -L "$file" ]; then say "$file"; fi
    done
}

uninstall_all() {
    local files=() folder
    mapfile -t files < <(installed_files)
    if [ ${#files[@]} -eq 0 ]; then
        say "uninstall: nothing of turtle-buffers is in $DEST"
        return
    fi
    printf '  %s\n' "${files[@]}"
    rm -f "${files[@]}"
    # A folder goes only when it is ours alone or empty.
    for folder in "$LIB/cmake/turtle" "$LIB/cmake" "$LIB/pkgconfig"; do
        if [ -d "$folder" ]; then rmdir --ignore-fail-on-non-empty "$folder"; fi
    done
    if [ -z "$DESTDIR" ] && [ "$(id -u)" -eq 0 ] && ldconfig_knows "$LIB"; then ldconfig; fi
    say "uninstall: ${#files[@]} files of turtle-buffers are gone from $DEST"
}

case ${1:-} in
library) # for tests: the C library as it ships, without the command line
    build -p turtle-c
    ;;
build)
    build -p turtle-c -p turtle-cli
    say "build: $BUILT/libturtle.so, libturtle.a and turtle are built"
    ;;
install) install_all ;;
uninstall) uninstall_all ;;
*) die "build, library, install or uninstall?" ;;
esac
