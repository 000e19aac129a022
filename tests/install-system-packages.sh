#!/bin/sh
# Installs the system packages that the tests need, when root runs it; says what is missing otherwise.
set -eu

# command:package
needed="curl:curl busybox:busybox"

missing=
for pair in $needed; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
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
