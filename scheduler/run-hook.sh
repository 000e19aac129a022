#!/bin/sh
# Supervises one hook run, detached from the server, so that the run outlives it.
#
#   run-hook.sh RUN LOG CAPTURE COMMAND
#
# RUN is the path of the run's files without their endings. Standard input is RUN.run, locked by the server before it
# forked: the lock lasts as long as this process and tells that the run is supervised. The hook gets /dev/null instead,
# but holds the lock as descriptor 3 until RUN.group is written: who finds the lock free can end the hook by its group.
# Writes RUN.group (the hook's process group) before COMMAND starts, and RUN.result (its exit status and a newline;
# without the newline it does not count) after it ended. Standard error is appended to LOG. Standard output too, but
# with CAPTURE=yes it goes to RUN.out first and is appended to LOG at the end.
run=$1 log=$2 capture=$3 command=$4
exec 3<&0
output=$log
[ "$capture" = yes ] && output=$run.out

# A trap of ":" survives a stray signal here and, unlike ignoring it, is not inherited by the hook.
trap : HUP INT QUIT TERM

# shellcheck disable=SC2016  # expanded by the inner shell, which becomes the leader of the hook's group
setsid /bin/sh -c 'echo $$ >"$1.group" && exec /bin/sh -c "$2" 3<&-' run-hook "$run" "$command" \
    </dev/null >>"$output" 2>>"$log" &
hook=$!
while :; do
    wait "$hook"
    status=$?
    kill -0 "$hook" 2>/dev/null || break
done
[ "$capture" = yes ] && cat "$run.out" >>"$log"
printf '%s\n' "$status" >"$run.result"
