#!/usr/bin/env bash
# Builds the Debian package, target/debian/partner-info_*.deb. Takes cargo-deb and dpkg-dev.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --release --features spiffe,ident
assets=target/assets
rm -rf "$assets"
mkdir -p "$assets/completions"
target/release/partner man --out "$assets/man"
for shell in bash zsh fish; do
    target/release/partner completions "$shell" >"$assets/completions/$shell"
done
cargo deb --no-build
