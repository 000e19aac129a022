#!/bin/sh
# Supervises one hook run, detached from the server, so that the run outlives it.
#
#   run-hook.sh RUN OUTPUT LOG COMMAND
#
# RUN is the path of the run's files without their endings. Standard input is RUN.run, locked by the server before it
# forked: the lock lasts as long as this process and tells that the run is supervised. The hook gets /dev/null instead.
# This process leads the group that the hook is in, too. Writes RUN.group (that group) before COMMAND starts, so that who
# finds the lock free can end the hook, and RUN.result (its exit status and a newline; without the newline it does not
# count) after it ended. Standard output is appended to OUTPUT, standard error to LOG.
#
# Each program that is started here costs as much as a grant, so there is none but the hook's own shell, and that only
# where there is something to be understood: plain words that begin with a program's are run as they are.
run=$1 output=$2 log=$3 command=$4

# A trap of ":" survives what is meant for the hook and, unlike ignoring it, is not inherited by it.
trap : HUP INT QUIT TERM USR1 USR2 ALRM PIPE

{ echo $$ >"$run.group"; } 2>>"$log" || { echo 1 >"$run.result"; exit; }
case $command in
*[!A-Za-z0-9_./,:@%+=\ -]*) plain='' ;;
*) plain=${command%% *} ;;
esac
# Of what cannot be run the hook's own shell tells, in words that people know.
case $plain in
*=*) plain='' ;; # a variable
*/*) [ -f "$plain" ] && [ -x "$plain" ] || plain='' ;;
*-*) command -v "$plain" >/dev/null || plain='' ;;
echo | true | false | sleep) ;;
*) plain='' ;; # it may be a word of the shell
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
