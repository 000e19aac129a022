#!/bin/sh
# Installs the system packages that the tests need if root runs it; otherwise it says which ones are missing.
set -eu

# Each line: a command or path of the package, and the package. Playwright's own node needs libatomic1.
missing=
while read -r wanted package; do
    # shellcheck disable=SC2086 # a path may be a pattern
    command -v "$wanted" >/dev/null 2>&1 || ls $wanted >/dev/null 2>&1 || missing="$missing $package"
done <<LIST
curl curl
jq jq
busybox busybox
zsh zsh
mandoc mandoc
flock util-linux
ssh openssh-client
/usr/sbin/sshd openssh-server
/usr/lib/*/libnss_wrapper.so libnss-wrapper
/usr/sbin/nginx nginx-light
/usr/sbin/logrotate logrotate
systemd-analyze systemd
systemd-nspawn systemd-container
chromium chromium
/usr/lib/*/libatomic.so.1 libatomic1
/sbin/mkfs.ext4 e2fsprogs
losetup mount
/usr/lib/postgresql/*/bin/initdb postgresql
/usr/lib/*/libatomic.so.1 libatomic1
LIST
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # one word for each package
    apt-get install -y -qq --no-install-recommends $missing
else
    echo "*** MISSING, and the tests that need them will fail:$missing" >&2
    echo "*** Install them with your package manager, or run this as root: $0" >&2
fi
