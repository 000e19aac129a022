#!/bin/sh
# Generates the manual page of a program from its --help: man.sh PROGRAM >PAGE. docs/decisions/0006-man-pages.md says why.
#
# It expects help to consist of: usage lines up to a blank one; paragraphs; "TERM  explanation" with continuation lines
# indented; a line with its explanation below it, indented by 4 (lines indented further are shown verbatim);
# "-- TITLE --"; "Exit status: ..." at the start of a paragraph.
set -eu

program=$1 name=${1##*/}
{ "$program" --version && sed -n 2p "$program" && "$program" --help; } </dev/null | awk -v name="$name" '
    function roff(text) {
        gsub(/\\/, "\\e", text)
        gsub(/-/, "\\-", text)
        return text ~ /^[.'\'']/ ? "\\&" text : text
    }
    NR == 1 { version = $NF; next }
    NR == 2 { sub(/^# /, ""); sub(/[.?]( .*)?$/, ""); summary = tolower(substr($0, 1, 1)) substr($0, 2); next }
    { line[++lines] = $0 }
    END {
        printf ".TH %s 1 \"\" \"resalloc-functions %s\"\n", toupper(name), roff(version)
        printf ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.nf\n", roff(name), roff(summary)
        for (i = 1; line[i] != ""; i++) print roff(substr(line[i], 8))
        print ".fi\n.SH DESCRIPTION"
        apart = ""
        for (i++; i <= lines; i++) {
            text = line[i]
            if (text == "") { apart = ".PP"; continue }
            if (text ~ /^-- .* --$/) { print ".SS " roff(substr(text, 4, length(text) - 6)); continue }
            if (sub(/^Exit status: */, "", text)) { print ".SH EXIT STATUS"; apart = "" }
            if (text ~ /^[^ ].*[^ ]   *[^ ]/ && text !~ /\.  /) {
                match(text, /   */)
                printf ".TP\n.B %s\n", roff(substr(text, 1, RSTART - 1))
                text = substr(text, RSTART + RLENGTH)
            } else if (text ~ /^[^ ]/ && line[i + 1] ~ /^    [^ ]/) {
                printf ".TP\n.B %s\n", roff(text)
                continue
            } else if (text ~ /^        ?[^ ]/ && line[i - 1] ~ /^    [^ ]/) {
                print ".nf\n" roff(text) "\n.fi"
                continue
            } else if (text ~ /^[^ ]/ && apart != "") {
                print apart
            }
            apart = ""
            sub(/^ +/, "", text)
            print roff(text)
        }
    }'
