# Sourced by bin/labctl and bin/test: finds a Python, and makes `.venv` from a lock file where it is not there or out of date.
# Sets `python`. Needs `root` (the checkout) and `lock` (the lock file's name) set, and `yes` (1: install what is missing unasked).

stamp=$root/.venv/lock # which lock it was made from; written last, so a half-made .venv is made again

die() { # what, hint
    printf 'error: %s\n\nhint: %s\n' "$1" "$2" >&2
    exit 3
}

is_debian_like() {
    [ -r /etc/os-release ] && grep -Eq '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release
}

offer() { # what is missing, package: installs it, or says how and exits with 3
    sudo=
    [ "$(id -u)" = 0 ] || sudo='sudo '
    if ! is_debian_like; then
        die "$1" "install it with this system's packages, then try again"
    fi
    if [ "$yes" != 1 ]; then
        if [ -t 0 ] && [ -t 2 ]; then
            printf '%s. Install the package `%s`? [y/N] ' "$1" "$2" >&2
            read -r answer
            case $answer in [yY]*) yes=1 ;; esac
        fi
    fi
    [ "$yes" = 1 ] || die "$1" "\`${sudo}apt-get install -y $2\` installs it; so does this command with --yes"
    echo "installing the package $2" >&2
    export DEBIAN_FRONTEND=noninteractive
    ${sudo}apt-get install -y --no-install-recommends "$2" >/dev/null 2>&1 ||
        { ${sudo}apt-get update >/dev/null 2>&1 && ${sudo}apt-get install -y --no-install-recommends "$2" >/dev/null; } ||
        die "the package \`$2\` could not be installed" "\`${sudo}apt-get install -y $2\` shows why"
}

find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            base_python=$candidate
            return 0
        fi
    done
    return 1
}

is_current() { # the venv was made from this lock, or from the tests' lock, which holds all of it
    [ -f "$stamp" ] || return 1
    made=
    read -r made <"$stamp" || :
    case $made in
    requirements-dev.lock) ;;
    "$lock") ;;
    *) return 1 ;;
    esac
    # `-nt` is no part of POSIX, and dash, bash and busybox all have it
    [ ! "$root/$made" -nt "$stamp" ]
}

make_venv() {
    find_python || offer 'there is no Python 3.11 or newer here' python3
    find_python || die 'there is no Python 3.11 or newer here' 'install one, then try again'
    "$base_python" -c 'import venv, ensurepip' 2>/dev/null || offer 'this Python has no venv' python3-venv
    # One at a time: a second first run waits for the first. The lock goes with the process that holds it.
    new=$root/.venv
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$root/.venv.lock"
        flock 9
        if is_current; then
            exec 9>&-
            return 0
        fi
    fi
    echo "making .venv from $lock (once)" >&2
    rm -rf "$new"
    "$base_python" -m venv "$new" >&2 || die 'the venv could not be made' "is there room on the disk, and may $root be written?"
    "$new/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$root/$lock" >&2 ||
        die "the packages of $lock could not be installed" 'is the package index in reach? pip reads its settings from pip.conf and PIP_* variables'
    "$new/bin/python" -c 'import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "labctl.pth").write_text(sys.argv[1] + "\n")' "$root"
    printf '%s\n' "$lock" >"$stamp"
    rm -f "$root/.venv.lock"
    exec 9>&- 2>/dev/null || :
}

is_current || make_venv
python=$root/.venv/bin/python
