#!/bin/sh
# What the hooks of the demo pool `local` share; they read it with `.`, it is no hook itself.
#
# Each resource is a folder, $root/NAME, with the files that are served in `files` and the server's words in
# `log`. The folder is made first and removed last, so the folders are the truth about what exists. No pid is
# kept: a server is found by its command line, which names its folder from its first instant on, so that a
# start that was killed half way leaves nothing that cannot be found, and a pid that was given to another
# process is never hit.
#
# Settings, from the environment of the scheduler. Both must stay the same for as long as a resource lives.
#   LOCAL_BASE_PORT   the port of the resource whose id in the pool is 0; the others follow. By default each web
#                     port has ten, from 20000 + PORT % 997 * 10, so that farms with different PORT do not meet.
#   LOCAL_POOL_DIR    where the folders are, by default in /tmp (or $TMPDIR), one for each user and base port.
#                     Two farms must not share it: each would delete the other's resources as forgotten ones.
# shellcheck disable=SC2034  # the scripts that read this file use what it sets

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
# /tmp belongs to everybody: what somebody else put in our place is not to be trusted.
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

# write_marker: puts the file in place that proves whose server answers; never absent or half written
#               meanwhile.
write_marker() {
    printf '%s\n' "$name" >"$folder/$marker.new" &&
        mv -f -- "$folder/$marker.new" "$files/$marker"
}

# answers HOST:PORT: succeeds when the server of this very resource answers there within 2 seconds.
answers() {
    [ "$(curl -q -fs --noproxy '*' --max-time 2 "http://$1/$marker")" = "$name" ]
}

# server_pids: prints the process ids of this resource's server, none when it does not run.
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

# stop_server: ends this resource's server, if it runs, and returns when it is gone. It has nothing to save:
#              KILL.
stop_server() {
    deadline=$(($(date +%s) + 10))
    while pids=$(server_pids) && [ -n "$pids" ]; do
        for pid in $pids; do
            kill -KILL "$pid" 2>/dev/null || : # gone by itself meanwhile
        done
        [ "$(date +%s)" -le "$deadline" ] || die "the server of $name, process $pid, does not end"
        sleep 0.02
    done
}
