#!/bin/sh
# Common code of the hooks of the demo pool `local`, which source this file. It is not a hook itself.
#
# Each resource is a folder, $root/NAME, with the served files in `files` and the output of the server in `log`. The
# folder is created first and removed last, so the folders show which resources exist. No pid is stored: a server is
# found by its command line, which contains its folder from the beginning. So a server can be found after a start that
# was killed midway, and a pid that the system has used again is never killed.
#
# Settings, from the environment of the scheduler. Both must stay the same while a resource exists.
#   LOCAL_BASE_PORT   the port of the resource whose id in the pool is 0; the others follow. By default each web port
#                     has ten, from 20000 + PORT % 997 * 10, so that servers with different PORT use different ports.
#   LOCAL_POOL_DIR    the folder of the folders, by default in /tmp (or $TMPDIR), one for each user and base port. Two
#                     servers must not share it: each would delete the other's resources as unknown ones.
# shellcheck disable=SC2034  # the scripts that source this file use its variables

set -eu
umask 077

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

base_port=${LOCAL_BASE_PORT:-$((20000 + ${PORT:-49100} % 997 * 10))}
case $base_port in
*[!0-9]*) die "LOCAL_BASE_PORT is \"$base_port\"; set it to a port number" ;;
esac

user=$(id -u)
root=${LOCAL_POOL_DIR:-${TMPDIR:-/tmp}/resalloc-local-$user-$base_port}
case $root in
/*) ;;
*) die "the folder \"$root\" is relative; set LOCAL_POOL_DIR to an absolute path" ;;
esac
# Other users can write to /tmp, so do not use a folder of another user.
if [ -e "$root" ] && [ -z "$(find "$root" -prune -type d -user "$user")" ]; then
    die "$root is not a folder of this user; remove it or set LOCAL_POOL_DIR"
fi

name=${RESALLOC_NAME:-}
case $name in
'' | .* | */*) die "RESALLOC_NAME is \"$name\"; it must be a resource's name" ;;
esac
folder=$root/$name
files=$folder/files
marker=resource-name.txt

# write_marker: writes the file that shows which server answers, atomically.
write_marker() {
    printf '%s\n' "$name" >"$folder/$marker.new" &&
        mv -f -- "$folder/$marker.new" "$files/$marker"
}

# answers HOST:PORT: succeeds if the server of this resource answers there within 2 seconds.
answers() {
    [ "$(curl -q -fs --noproxy '*' --max-time 2 "http://$1/$marker")" = "$name" ]
}

# server_pids: prints the process ids of this resource's server, if it runs.
server_pids() {
    grep -lsF -- "$files" /proc/[0-9]*/cmdline | while read -r file; do
        case $(tr '\0' ' ' 2>/dev/null <"$file") in
        *" -m http.server "*" --directory $files ")
            pid=${file#/proc/}
            echo "${pid%/cmdline}"
            ;;
        esac
    done
}

# stop_server: kills this resource's server, if it runs, and waits until it has ended. It has no data to save.
stop_server() {
    deadline=$(($(date +%s) + 10))
    while pids=$(server_pids) && [ -n "$pids" ]; do
        for pid in $pids; do
            kill -KILL "$pid" 2>/dev/null || : # it may have ended meanwhile
        done
        [ "$(date +%s)" -le "$deadline" ] || die "the server of $name, process $pid, does not end"
        sleep 0.02
    done
}
