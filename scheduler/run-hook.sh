#!/bin/sh
# Supervises one hook run, detached from the server, so that the run outlives it.
#
#   run-hook.sh RUN OUTPUT LOG COMMAND
#
# RUN is the path of the run's files without their endings. Standard input is RUN.run, which the server locked before it
# forked: the lock is held as long as this process lives, and shows that the run is supervised. The hook gets /dev/null.
# This process and the hook are in one process group, which this process leads. It writes RUN.group (the group's id)
# before COMMAND starts, so that a server that finds the lock free can kill the hook, and RUN.result (the exit status and
# a newline; without the newline it does not count) after COMMAND ended. Standard output is appended to OUTPUT, standard
# error to LOG.
#
# Starting one more program takes as long as a grant. So a COMMAND of plain words is run directly, without a second
# shell; any other is run by /bin/sh.
run=$1 output=$2 log=$3 command=$4

# The supervisor survives signals for the hook. Unlike an ignored signal, a trap is not inherited by the hook.
trap : HUP INT QUIT TERM USR1 USR2 ALRM PIPE

{ echo $$ >"$run.group"; } 2>>"$log" || { echo 1 >"$run.result"; exit; }
case $command in
*[!A-Za-z0-9_./,:@%+=\ -]*) plain='' ;;
*) plain=${command%% *} ;;
esac
# If the command cannot be run, /bin/sh prints its usual error.
case $plain in
*=*) plain='' ;; # an assignment
*/*) [ -f "$plain" ] && [ -x "$plain" ] || plain='' ;;
*-*) command -v "$plain" >/dev/null || plain='' ;;
echo | true | false | sleep) ;;
*) plain='' ;; # it may be a builtin or a keyword of the shell
esac
if [ -n "$plain" ]; then
    # shellcheck disable=SC2086 # words
    $command </dev/null >>"$output" 2>>"$log" &
else
    /bin/sh -c "$command" </dev/null >>"$output" 2>>"$log" &
fi
hook=$!
while :; do
    wait "$hook"
    status=$?
    kill -0 "$hook" 2>/dev/null || break
done
printf '%s\n' "$status" >"$run.result"
