#!/bin/sh
# Installs libtapsock, its header and its pkg-config file, after `cargo build --release -p tapsock-c`.
#
#   PREFIX   where it is to be found (/usr/local)
#   DESTDIR  put before PREFIX while files are copied
#   BUILD    where cargo has built it (target/release)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
prefix=${PREFIX:-/usr/local}
to=${DESTDIR:-}$prefix
build=${BUILD:-$here/../target/release}
version=$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' "$here/../Cargo.toml")

mkdir -p "$to/lib/pkgconfig" "$to/include"
install -m 644 "$here/include/tapsock.h" "$to/include/tapsock.h"
install -m 644 "$build/libtapsock_c.a" "$to/lib/libtapsock.a"
install -m 755 "$build/libtapsock_c.so" "$to/lib/libtapsock.so.$version"
ln -sf "libtapsock.so.$version" "$to/lib/libtapsock.so.0"
ln -sf libtapsock.so.0 "$to/lib/libtapsock.so"
sed "s|@prefix@|$prefix|; s|@version@|$version|" "$here/tapsock.pc.in" >"$to/lib/pkgconfig/tapsock.pc"
