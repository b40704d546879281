#!/usr/bin/env bash
# Installs the Debian package in a root that has nothing but Debian's minimum, uses what it brings, and purges it.
# As root; takes debootstrap.
set -euo pipefail
cd "$(dirname "$0")/../.."

package=$(ls target/debian/partner-info_*.deb)
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' |
    awk -v suite="$suite" '$2 == suite { print $1; exit }')
root=$(mktemp -d)
# Others than root look into it, too.
chmod 755 "$root"
trap 'umount "$root/proc" 2>/dev/null || true; rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=init-system-helpers,systemd-standalone-sysusers "$suite" "$root" "$mirror" >"$root.log" 2>&1 ||
    { cat "$root.log" >&2; exit 1; }
rm -f "$root.log"
mount -t proc proc "$root/proc"

inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive "$@"; }
expect() { "$@" >/dev/null || { echo "failed in the clean root: $*" >&2; exit 1; }; }

cp "$package" "$root/package.deb"
inside dpkg --install /package.deb
expect inside partnerd --check
expect inside partner --help
expect inside getent group partnerd
for file in etc/partner-info/partnerd.toml usr/share/man/man1/partner.1.gz \
    usr/share/bash-completion/completions/partner; do
    expect test -f "$root/$file"
done
expect test -L "$root/etc/systemd/system/sockets.target.wants/partnerd.socket"

# The stranger of docs/debian.md: the page's own policy, and its commands.
awk '/^```toml/ { inside = 1; next } /^```/ { if (inside) exit } inside' docs/debian.md \
    >"$root/etc/partner-info/policy.toml"
expect inside partner policy test --user root
expect inside runuser -u root -- partner list
for command in "partner policy test --user nobody" "runuser -u nobody -- partner list"; do
    status=0
    # shellcheck disable=SC2086
    inside $command >/dev/null 2>"$root/said" || status=$?
    [ "$status" = 1 ] || { echo "status $status, and not 1, in the clean root: $command" >&2; exit 1; }
done
grep -qi authorized "$root/said" || { echo 'the stranger was told:' >&2; cat "$root/said" >&2; exit 1; }
rm "$root/etc/partner-info/policy.toml"

# What an administrator changed stays, over an upgrade as well.
echo '# kept' >>"$root/etc/partner-info/partnerd.toml"
inside dpkg --install /package.deb
expect grep -q '^# kept' "$root/etc/partner-info/partnerd.toml"

inside dpkg --purge partner-info
expect test ! -e "$root/usr/bin/partnerd" -a ! -e "$root/etc/partner-info/partnerd.toml"
echo "installed, used, upgraded and purged in a clean root of $suite"
