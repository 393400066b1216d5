# The leash of one private Postgres: the parent of the server, run by /bin/sh with the rights of
# the server's account. The owner holds the other end of standard input and writes orders to it,
# one a line; each is answered with one line on standard output. When the owner ends, however it
# ends, the kernel closes that end, `read` fails, and the leash stops the server and cleans up.
#
# It must run under dash, bash 3.2 and busybox, so it keeps to POSIX and to `test -ef`.

set -u
umask 077
# Only the owner's end may end a leash. Postgres installs its own handlers for these signals.
trap '' HUP INT TERM PIPE

home=$1
sockets=$2
initdb=$3
postgres=$4
lifetime=$5
sync=$6
configuration=$7

data=$home/data
log=$home/postgres.log
name=${sockets##*/}
server=
started=no
memory=

reply() {
    printf '%s\n' "$*"
}

# True while the process exists and is more than a zombie that nobody has reaped yet.
alive() {
    kill -0 "$1" 2>/dev/null || return 1
    if [ -d /proc/self ]; then
        read -r _ _ state _ 2>/dev/null <"/proc/$1/stat" || return 1
    else
        state=$(ps -o stat= -p "$1" 2>/dev/null)
    fi
    case $state in '' | Z*) return 1 ;; esac
}

# The process that this data directory's lock file names as its postmaster, dead or alive.
find_leader() {
    leader=
    read -r leader 2>/dev/null <"$data/postmaster.pid"
    [ -n "$leader" ]
}

# The server processes that live in this data directory, whoever their parent is by now. Postgres
# works inside its data directory, which tells its processes from all others even when a killed
# postmaster has left them to init. Where there is no `/proc`, their titles do, which begin with the
# name that the configuration gives to the cluster.
members() {
    if [ -d /proc/self ]; then
        for process in /proc/[0-9]*; do
            [ "$process/cwd" -ef "$data" ] || continue
            read -r pid program state _ 2>/dev/null <"$process/stat" || continue
            [ "$program" = '(postgres)' ] || continue
            [ "$state" = Z ] || printf '%s ' "$pid"
        done
    else
        ps -A -o pid= -o stat= -o args= 2>/dev/null | while read -r pid state title; do
            case $state in Z*) continue ;; esac
            case $title in *"-D $data -c "* | "postgres: $name: "*) printf '%s ' "$pid" ;; esac
        done
    fi
}

# Waits until the given processes and those of the data directory are gone, or the time, in
# twentieths of a second, has passed.
gone() {
    ticks=$1
    shift
    while :; do
        left=$(members)
        for pid in "$@"; do
            if alive "$pid"; then left="$left $pid"; fi
        done
        [ -n "$left" ] || return 0
        [ "$ticks" -gt 0 ] || return 1
        ticks=$((ticks - 1))
        sleep 0.05
    done
}

# Without this the number of the dead server stays taken, and Postgres would take it for a living
# owner of its lock files.
reap() {
    if [ -n "$server" ] && ! alive "$server"; then
        wait "$server" 2>/dev/null
        server=
    fi
}

# Remembers the shared memory files of the running server: one that is killed cannot remove them.
note_memory() {
    for pid in "$@"; do
        memory="$memory $(sed -n 's|.* \(/dev/shm/PostgreSQL\.[0-9]*\)$|\1|p' "/proc/$pid/maps" \
            2>/dev/null | sort -u | tr '\n' ' ')"
    done
}

# Asks the server to end, in the way that the signal means to a postmaster: INT rolls back what
# runs and writes a checkpoint, QUIT leaves recovery to the next start.
ask() {
    running=$(members)
    [ -n "$running" ] || return 0
    if find_leader && alive "$leader"; then
        kill "-$1" "$leader" 2>/dev/null
        gone "$2"
    else
        return 1
    fi
}

# Kills every process of the server at once. The postmaster is stopped first, so that it cannot
# replace a child between the listing and the kill.
kill_all() {
    if [ -n "$server" ]; then kill -STOP "$server" 2>/dev/null; fi
    victims=$(members)
    note_memory $victims
    kill -KILL $server $victims 2>/dev/null
    gone 200 $server $victims
    status=$?
    reap
    return "$status"
}

halt() {
    ask INT 300 || ask QUIT 120 || kill_all
    status=$?
    reap
    return "$status"
}

# The directory gets its name only once it is whole, so an interrupted attempt leaves none behind.
initialise() {
    [ -f "$data/PG_VERSION" ] && return 0
    rm -rf "$data.new"
    flag=
    if [ "$sync" = off ]; then flag=--no-sync; fi
    "$initdb" -D "$data.new" -U postgres --auth=trust -E UTF8 --locale=C --no-instructions $flag \
        </dev/null >>"$log" 2>&1 && mv "$data.new" "$data"
}

# Processes of an earlier server can be left if its leash was killed as well.
start() {
    halt || return 1
    printf '%s' "$configuration" >"$home/holdfast.conf" || return 1
    "$postgres" -D "$data" -c config_file="$home/holdfast.conf" </dev/null >>"$log" 2>&1 &
    server=$!
    started=yes
}

# Line 8 of the lock file says `ready` once recovery is over and connections are accepted.
look() {
    reap
    if [ -z "$server" ]; then
        reply dead
    elif find_leader && [ "$leader" = "$server" ] &&
        [ "$(sed -n '8s/ *$//p' "$data/postmaster.pid" 2>/dev/null)" = ready ]; then
        memory=
        note_memory "$server"
        reply "ready $server"
    else
        reply starting
    fi
}

# What a killed server could not free by itself: its lock file is still there and names the
# System V segment in its seventh line. The file of a server that this leash did not start may date
# from before a reboot, and the number be another's by now.
free_memory() {
    if [ "$started" = no ] || [ ! -f "$data/postmaster.pid" ]; then return 0; fi
    segment=$(sed -n '7s/^ *[0-9]* *\([0-9]*\) *$/\1/p' "$data/postmaster.pid")
    if [ -n "$segment" ]; then ipcrm -m "$segment" 2>/dev/null; fi
    rm -f $memory
}

# The sockets go first and the home last: as long as there is a home, a later start finds it and
# finishes what was interrupted.
remove() {
    rm -rf "$sockets"
    [ "$lifetime" = temporary ] || return 0
    attempts=40
    while :; do
        rm -rf "$data" "$data.new" && rm -rf "$home"
        [ -e "$home" ] || return 0
        attempts=$((attempts - 1))
        [ "$attempts" -gt 0 ] || return 1
        sleep 0.05
    done
}

while read -r order; do
    case $order in
    initialise) if initialise; then reply done; else reply failed; fi ;;
    start) if start; then reply done; else reply failed; fi ;;
    look) look ;;
    halt) if halt; then reply done; else reply failed; fi ;;
    crash) if kill_all; then reply done; else reply failed; fi ;;
    *) reply unknown ;;
    esac
done

# Read by an owner that wants the same home next: this one is on its way out.
echo ending >&2

if [ "$lifetime" = temporary ]; then
    ask QUIT 120 || kill_all
    reap
    free_memory
else
    halt
fi
remove
