# What stays running in a host of a lab under test: it knows how the host was at its start, and brings it back there.
#
#   mark SINCE SURE FOLDER…      remember; SINCE in seconds since the epoch: what was written later is no part of the start;
#                                SURE: `yes` where nobody can have spoken to the host since
#   back HOW FOLDER… | VOLUME…   undo; HOW: the signal by which the host's program starts itself anew, `none` where it keeps
#                                nothing in mind, `-` where only another start of the container helps
#
# Answers: `ok`; `again`: the container has to be started again; `again intact`: so too, but its volumes are as at the start;
# `written VOLUME`: this one is not.
# Bash's own commands alone, but for where something ran here: a process that is started costs more than all the rest.

# Kept are PID 1, its first child (the host's own program) with all that descends from it, and this shell. A process that was
# started by an `exec` has no parent here (0); one whose parent ended is PID 1's.
belongs() {
    local pid=$1 line
    while ((${pid:-0} > 1)); do
        ((pid == main || pid == $$)) && return 0
        read -r line < "/proc/$pid/stat" || return 0
        set -- ${line##*) }
        [[ $1 == [ZX] ]] && return 0
        pid=$2
    done
    return 1
}

kill_strays() {
    local round folder pid strays
    for round in {1..100}; do
        strays=()
        for folder in /proc/[0-9]*; do
            pid=${folder#/proc/}
            ((pid == 1)) || belongs "$pid" || strays+=("$pid")
        done
        ((${#strays[@]})) || return 0
        kill -KILL "${strays[@]}"
        pause
    done
    return 1
}

pause() { read -r -t 0.005; } # nobody says anything meanwhile; `sleep` would be a process

# Print the files of the start that are there: of a regular one its last change too; of a folder not, it changes with what is in it.
files() {
    find "$@" -xdev -mindepth 1 -depth \( -newerct "@$since" \( ! -type d -o -empty \) -delete \) -o \
        -type f -printf '%p %m %U %s %C@\n' -o -printf '%p %y %m %U %l\n' || echo failed
}

packets() { # from anywhere but the host itself
    local file count
    came=
    for file in /sys/class/net/*/statistics/rx_packets; do
        [[ $file == */lo/* ]] || { read -r count < "$file" && came+=" $count"; }
    done
}

counters() { # of TCP and UDP: a question for an address, which everybody gets, is none of them
    local lines
    mapfile -t lines < /proc/net/snmp
    heard=$(printf '%s\n' "${lines[@]}" | grep -E '^(Tcp|Udp):'; grep '^Udp6' /proc/net/snmp6)
}

listeners() { # `table/address=inode` of each socket that waits for peers, but the engine's own for names (127.0.0.11)
    local table lines line
    found=" "
    mapfile -t -s 1 lines < /proc/net/unix
    for line in "${lines[@]}"; do
        set -- $line
        [[ $4 == 00010000 && -n ${8-} ]] && found+="unix/$8=$7 "
    done
    for table in tcp tcp6 udp udp6; do
        mapfile -t -s 1 lines < "/proc/net/$table"
        for line in "${lines[@]}"; do
            set -- $line
            case $2/$3/$4 in
            0B00007F:*) ;;
            *:0000/0A | *:0000/07) found+="$table/$2=${10} " ;;
            esac
        done
    done
}

renewed() { # tell whether each address of $1 is waiting again, with another socket
    local old
    listeners
    for old in $1; do
        [[ $found != *" $old "* && $found == *" ${old%=*}="* ]] || return 1
    done
}

renew() {
    local before tries
    listeners
    before=$found
    [[ $before == *=* ]] && kill -s "$1" 1 || return 1
    for tries in {1..1000}; do
        pause
        renewed "$before" && return 0
    done
    return 1
}

remember() {
    packets; known=$came
    counters; told=$heard
    read -r _ _ _ _ spent < /proc/loadavg # the last process id that was given away here
}

mark() {
    local sure=$2
    since=$1; shift 2
    start=$(files "$@")
    remember
    [[ $sure == yes ]] || known=-
    echo ok
}

back() {
    local how=$1 folders=() volume newer pids ran heard_nothing
    shift
    while (($#)) && [[ $1 != '|' ]]; do folders+=("$1"); shift; done
    shift
    packets
    read -r _ _ _ _ pids < /proc/loadavg
    [[ $pids == "$spent" ]]; ran=$?
    if ((ran)); then
        kill_strays && [[ $(files "${folders[@]}") == "$start" ]] || { echo again; return; }
    fi
    for volume in "$@"; do
        newer=$(find "$volume" -xdev -newerct "@$since" -print -quit) && [[ -z $newer ]] || { echo "written $volume"; return; }
    done
    if ((ran)) || spoken_to "$how"; then
        case $how in
        none) ;;
        -) echo again intact; return ;;
        *) renew "$how" || { echo again intact; return; }
           since=$EPOCHREALTIME ;;
        esac
    fi
    if [[ $how == - ]]; then remember; fi
    packets; known=$came
    read -r _ _ _ _ spent < /proc/loadavg
    echo ok
}

spoken_to() {
    [[ $came == "$known" ]] && return 1
    [[ $1 == - && $known != - ]] || return 0
    counters
    [[ $heard != "$told" ]]
}

exec 2> /dev/null
read -r main _ < /proc/1/task/1/children
while read -r verb rest; do
    case $verb in
    mark) mark $rest ;;
    back) back $rest ;;
    esac
done
