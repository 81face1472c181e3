# shellcheck shell=sh disable=SC2016,SC2154,SC3013 # backticks belong to messages; root and lock come from who sources this; -ef: below
# Sourced by bin/labctl and bin/test: finds a Python, and makes `.venv` from a lock file where it is not there or out of date.
# Needs `root` (the checkout), `lock` (the lock file's name) and `yes` (1: install what is missing unasked); sets `python`.

venv=$root/.venv
python=$venv/bin/python
stamp=$venv/made-from # the lock's name, then the checkout; written last, so a half-made .venv is made again

die() { # what, hint
    printf 'error: %s\n\nhint: %s\n' "$1" "$2" >&2
    exit 3
}

# Tells whether .venv was made here, from this lock or from the tests' lock, which holds all of it. Every command pays for this: one
# process. `-ef` is no part of POSIX, and dash, bash and busybox all have it: a checkout is the same by whatever path it is called.
is_current() {
    [ -r "$stamp" ] && [ -x "$python" ] || return 1 # its python is a dangling link after an upgrade of the system's
    { read -r made && IFS= read -r made_in; } <"$stamp" || return 1
    case $made in requirements-dev.lock | "$lock") ;; *) return 1 ;; esac
    [ "$made_in" -ef "$root" ] || return 1
    cmp -s "$venv/$made" "$root/$made" # not by age: an unpacked archive brings old dates
}

is_debian_like() {
    grep -Eq '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release 2>/dev/null
}

offer() { # what is missing, packages: installs them, or says how and exits with 3
    sudo=
    [ "$(id -u)" = 0 ] || sudo='sudo '
    if ! is_debian_like || ! command -v apt-get >/dev/null 2>&1; then
        die "$1" 'labctl needs Python 3.11 or newer with its venv module: install it with the packages of this system, then try again'
    fi
    if [ "$yes" != 1 ] && [ -t 0 ] && [ -t 2 ]; then
        printf '%s. Install %s now? [y/N] ' "$1" "$2" >&2
        read -r answer || answer=
        case $answer in [yY]*) yes=1 ;; esac
    fi
    [ "$yes" = 1 ] || die "$1" "\`${sudo}apt-get install -y $2\` installs it; so does this command with --yes"
    printf 'installing %s\n' "$2" >&2
    # shellcheck disable=SC2086 # several packages are several words
    apt_get install $2 2>/dev/null || { apt_get update && apt_get install $2; } ||
        die "$2 could not be installed" "\`${sudo}apt-get install -y $2\` shows why"
    hash -r
}

apt_get() {
    # shellcheck disable=SC2086 # no sudo is no word
    ${sudo}env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" </dev/null >/dev/null
}

# The path is without links, /usr/bin/python3.11 and not python3: the venv links to it, and must not become one of another version.
about_python='import os, sys
if sys.version_info < (3, 11):
    sys.exit("old")
try:
    import ensurepip, venv
except ImportError:
    print("bare", end=" ")
else:
    print("whole", end=" ")
print(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))'

find_python() { # sets base_python; else bare_python where one lacks only venv
    bare_python=
    for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
        found=$("$candidate" -I -c "$about_python" 2>/dev/null) || continue
        case $found in
        whole*) base_python=${found#whole } && return 0 ;;
        bare*) [ -n "$bare_python" ] || bare_python=${found#bare } ;;
        esac
    done
    return 1
}

need_python() {
    find_python && return 0
    if [ -n "$bare_python" ]; then
        # Debian's own Python has its venv in a package apart; its default one's is python3-venv
        case $bare_python in
        "$(readlink -f /usr/bin/python3)") offer 'this Python has no venv module' python3-venv ;;
        /usr/bin/*) offer 'this Python has no venv module' "${bare_python##*/}-venv" ;;
        *) offer "$bare_python has no venv module" python3-venv ;;
        esac
    elif command -v python3 >/dev/null 2>&1; then
        newer=python3-venv
        for version in 3.11 3.12 3.13; do
            ! apt-cache show "python$version-venv" >/dev/null 2>&1 || newer="python$version python$version-venv"
        done
        offer "$(python3 -V 2>&1) is too old, labctl needs 3.11" "$newer"
    else
        offer 'there is no Python here' python3-venv
    fi
    find_python || die 'there is still no Python 3.11 or newer with venv here' 'install one and have it on PATH, then try again'
}

make_venv() {
    need_python
    for place in "$root" "$venv" "$root/.venv.lock"; do
        [ ! -e "$place" ] || [ -w "$place" ] || die "\`$place\` cannot be written by you, and .venv is to be made anew" \
            'another user made it: have it removed or given to you (`chown -R`), or use a checkout of your own'
    done
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # One at a time: the lock stays with descriptor 9, so it ends with this shell and all that it started. flock(1) is not everywhere.
    exec 9>"$root/.venv.lock"
    "$base_python" -I -c 'import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("waiting: .venv is being made by another command", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    pass  # some network file systems have no locks' || exit
    is_current || fill_venv
    exec 9>&-
    trap - INT TERM
}

fill_venv() {
    total=$(grep -c '^[A-Za-z0-9].*==' "$root/$lock" || :)
    printf 'making .venv with %s packages of %s, once\n' "$total" "$lock" >&2
    rm -rf "$venv"
    "$base_python" -P -m venv "$venv" >&2 || die "$venv could not be made" 'is there room on the disk? `df -h .` shows it'
    log=$venv/pip.log
    # `--no-user`: a pip.conf may say `user = true`, which pip refuses in a venv
    {
        "$python" -P -m pip install --disable-pip-version-check --no-input --no-user --progress-bar off \
            --require-hashes --no-deps -r "$root/$lock" 2>&1 && echo 'all is installed'
    } | follow_pip || pip_failed
    "$python" -I -c 'import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "labctl.pth").write_text(sys.argv[1] + "\n", encoding="utf-8")' "$root"
    cp "$root/$lock" "$venv/$lock"
    printf '%s\n%s\n' "$lock" "$root" >"$stamp.new"
    mv "$stamp.new" "$stamp"
    printf '.venv is ready\n' >&2
}

follow_pip() { # reads what pip says, keeps it, shows a line a package on a terminal; fails unless pip ended well
    ended=1
    count=0
    : >"$log"
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        case $line in
        'Collecting '*)
            count=$((count + 1))
            line=${line#Collecting }
            [ ! -t 2 ] || printf '\r  %s/%s %-60.60s' "$count" "$total" "${line%% *}" >&2
            ;;
        'Installing collected'*) [ ! -t 2 ] || printf '\r  %-66s' installing >&2 ;;
        *WARNING:*) printf '%s\n' "$line" >&2 ;;
        'all is installed') ended=0 ;;
        esac
    done
    [ ! -t 2 ] || printf '\r%-68s\r' '' >&2
    return $ended
}

pip_failed() {
    said=$(tail -n 8 "$log")
    case $said in
    *'No space left'*) hint='make room on the disk, then try again' ;;
    *'DO NOT MATCH'*) hint='a file is not the one that was locked: a proxy or a mirror changes what it passes on; if the lock is old, `bin/lock` makes it anew' ;;
    *CERTIFICATE_VERIFY*) hint='name the CA of your network to pip: PIP_CERT=/path/to/ca.pem, or `cert` in pip.conf' ;;
    *'No matching distribution'*) hint='is the package index in reach? A mirror is named by PIP_INDEX_URL or pip.conf, a proxy by https_proxy' ;;
    *) hint='pip takes its settings from pip.conf and from PIP_* and https_proxy in the environment; mend it, then try again' ;;
    esac
    die "the packages of $lock could not be installed:
$(printf '%s\n' "$said" | sed 's/^/  | /')
  at $log" "$hint"
}

is_current || make_venv
