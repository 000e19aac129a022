# Completion of resalloc and resalloc-maint for bash, to be sourced, or to be installed as
# PREFIX/share/bash-completion/completions/resalloc and .../resalloc-maint. Commands and options come from --help. Ids
# and names come from the server; it is asked for at most one second.

# Prints the synopsis of each command, one on each line.
_resalloc_synopses() {
    "$1" --help 2>/dev/null </dev/null | awk '
        sub(/^(usage:|      ) *resalloc \[--connection URL\] /, "") { print; next }
        /^    [^ ]/ && before ~ /^[a-z]/ { print before }
        { before = $0 }'
}

# Prints the n-th word of each line of the server's reply to a path. The server is the one in --connection on the
# command line, else $RESALLOC_URL.
_resalloc_ask() {
    local url=${RESALLOC_URL:-http://localhost:49100}
    [[ ! $COMP_LINE =~ --connection[=\ ]+([^\ ]+)\  ]] || url=${BASH_REMATCH[1]}
    url=${url%/} url=${url%/RPC2}
    curl -q -gsf --noproxy '*' --max-time 1 "${url%/}$1" </dev/null 2>/dev/null | awk -v n="$2" '{ print $n }'
}

# Offers the lines that begin with the word at the cursor. compgen -W would expand the server's reply.
_resalloc_offer() {
    local line
    while read -r line; do
        [[ -z $line || $line != "$current"* ]] || COMPREPLY+=("$(printf %q "$line")")
    done
}

_resalloc() {
    local current=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD - 1]}
    local synopses synopsis='' wanted='' line word offset=0
    COMPREPLY=()
    synopses=$(_resalloc_synopses "$1")
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        offset=$((offset + 1))
        if [[ $synopsis == 'run '* && $word == -- ]]; then # the rest is the command line of another command
            if declare -F _command_offset >/dev/null; then
                _command_offset "$((offset + 1))"
            else
                mapfile -t COMPREPLY < <(compgen -c -f -- "$current")
            fi
            return
        fi
        [[ -z $synopsis ]] || continue
        while read -r line; do
            [[ ${line%% *} != "$word" ]] || synopsis=$line
        done <<<"$synopses"
    done

    if [[ $last == --connection ]]; then
        return
    elif [[ $last == --* && $synopsis =~ (^|[\ \[])"$last"\ ([A-Z|]+) ]]; then
        wanted=${BASH_REMATCH[2]} # the value of an option
    elif [[ $current == -* ]]; then
        [[ $synopsis != 'run '* ]] || synopsis+=' -- COMMAND'
        _resalloc_offer < <(grep -oE -- '--[a-z-]*' <<<"--connection --help --version $synopsis" | sort -u)
    elif [[ -z $synopsis ]]; then
        _resalloc_offer < <(awk '{ print $1 }' <<<"$synopses")
    else
        wanted=$(sed -E 's/\[[^]]*\]|--[a-z-]+ [A-Z|]+//g' <<<"$synopsis") # the arguments that are not options
    fi
    case $wanted in
    *FILE*)
        compopt -o filenames 2>/dev/null # bash adds a slash to folders and quotes names
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    *'ID|NAME'*) _resalloc_offer < <(_resalloc_ask /resources 3) ;;
    *POOL*) _resalloc_offer < <(_resalloc_ask /pools 1) ;;
    *ID*) _resalloc_offer < <(_resalloc_ask /tickets 1) ;;
    esac
}

complete -F _resalloc resalloc resalloc-maint
