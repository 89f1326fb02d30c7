# bash completion for hark. Commands and options come from the command's own help, and backends from
# `hark backends`, so that nothing here can lag behind them.

_hark_first_words() { # of the indented lines: "  --size BYTES   of a message" gives --size
    local line
    while IFS= read -r line; do
        [[ $line =~ ^\ \ ([a-z-][a-z-]*) ]] && printf '%s\n' "${BASH_REMATCH[1]}"
    done
}

_hark_working_backends() {
    local name state rest
    "$1" backends 2>/dev/null | while read -r name state rest; do
        [[ $state == works ]] && printf '%s\n' "$name"
    done
}

_hark_files() {
    compopt -o filenames 2>/dev/null # fails outside of a completion, where it means nothing
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_hark() {
    local hark=$1 word=$2 previous=$3 command=${COMP_WORDS[1]} words
    COMPREPLY=()
    if ((COMP_CWORD == 1)) || [[ $command == help && $COMP_CWORD == 2 ]]; then
        words=$("$hark" --help 2>/dev/null | sed '/^environment:/,$d' | _hark_first_words)
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
        return
    fi
    # "--backend=po" arrives as three words, since "=" parts words.
    if [[ $word == '=' ]]; then
        word=
    elif [[ $previous == '=' ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $previous in
        --backend)
            mapfile -t COMPREPLY < <(compgen -W "$(_hark_working_backends "$hark")" -- "$word") ;;
        --mode)
            mapfile -t COMPREPLY < <(compgen -W "auto preload bpf procfs" -- "$word") ;;
        -p)
            mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && printf '%s ' [0-9]*)" -- "$word") ;;
        --picture | --fold | --svg)
            _hark_files "$word" ;;
        *)
            if [[ $command == stalls && $previous == --json ]]; then # a flag of the other commands
                _hark_files "$word"
                return
            fi
            [[ $word == -* ]] || return 0
            words=$("$hark" "$command" --help 2>/dev/null | _hark_first_words)
            mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
    esac
}

complete -F _hark hark
