"""Kernels in which the table is played: one that runs as a process and has netem, and this machine's own.

Debian's package `user-mode-linux` is a Linux kernel that is an ordinary program: it needs no privilege, no device and no disk. Its root is
this machine's own file system, read-only; its first process is a script of ours, which plays the table and ends it.
"""

import ctypes
import errno
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOT = ROOT / ".venv" / "uml" / "usr" / "bin"  # where `bin/test` puts it if the system has no package
WANTED = ("ipv6", "veth", "sch_ingress", "cls_bpf", "act_mirred", "sch_netem", "nf_tables")
PATIENCE = 400  # seconds; on a machine with nothing else to do it takes a tenth
PYTHON = Path(sys.executable).resolve()  # not the virtual environment's: it starts quicker, and needs nothing of it
INIT = """#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
export LD_LIBRARY_PATH={libraries} GLIBC_TUNABLES=glibc.cpu.hwcaps={without}
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t tmpfs tmp /run && mount -t hostfs none {folder} -o {folder}
cd {root} && {python} -S -m tests.impaired.inside {folder}/plan {folder}/result
echo ended with $? > {folder}/ended
echo o > /proc/sysrq-trigger
sleep 60
"""


PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, IF_EQUAL, GIVE = 0x20, 0x15, 0x06  # of classic BPF
NUMBER, REQUEST = 0, 16  # where seccomp shows a call's number, and the low half of its first argument
PTRACE, GETREGSET, SETREGSET = 101, 0x4204, 0x4205  # on x86-64, the one machine for which there is such a kernel
LARGE = [  # what uses them, as glibc calls it
    "XSAVE", "XSAVEC", "AVX", "AVX2", "AVX512F", "AVX512VL", "AVX512BW", "AVX_Fast_Unaligned_Load",
]  # fmt: skip
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EIO
NO_REGSETS = (  # (code, steps if so, steps if not, value)
    (LOAD, 0, 0, NUMBER), (IF_EQUAL, 0, 4, PTRACE),
    (LOAD, 0, 0, REQUEST), (IF_EQUAL, 1, 0, GETREGSET), (IF_EQUAL, 0, 1, SETREGSET), (GIVE, 0, 0, REFUSE),
    (GIVE, 0, 0, ALLOW),
)  # fmt: skip


class NoKernelError(Exception):
    """A kernel cannot be had, or did not do what it should."""


def boot(plan, folder):
    """Play a plan in a kernel that runs as a process; return what `inside` told.

    Raises:
        NoKernelError: there is no such kernel here, or it did not end well; with its console.
    """
    program = shutil.which("linux.uml", path=f"{os.environ['PATH']}:{GOT}")
    if program is None:
        raise NoKernelError(
            "`linux.uml` is missing, a kernel with netem that runs as a process; `bin/test tests/impaired` gets it"
        )
    modules = Path(program).resolve().parents[1] / "lib" / "uml" / "modules"
    release = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    (folder / "plan").write_text(json.dumps(plan | {"modules": files(modules / release)}))
    init = folder / "init"
    told = {
        "folder": folder,
        "root": ROOT,
        "python": PYTHON,
        "libraries": os.environ.get("LD_LIBRARY_PATH", ""),
        "without": ",".join(f"-{name}" for name in LARGE),
    }
    init.write_text(INIT.format(**told))
    init.chmod(0o755)
    argv = [program, "mem=256M", "rootfstype=hostfs", "ro", f"init={init}", "con=null", "con0=null,fd:1", "quiet"]
    console, late = run(argv, folder)
    try:
        return json.loads((folder / "result").read_text()) | {"console": console}
    except (OSError, ValueError) as error:
        why = f"did not end within {PATIENCE} s" if late else "ended without a result"
        raise NoKernelError(f"the kernel {why}; its console:\n{console}") from error


def hide_large_registers():
    """Have PTRACE_GETREGSET and PTRACE_SETREGSET fail from here on, as on an old processor.

    Linux 6.1 as a process reads its programs' registers so, into room for AVX-512 and no more; where the processor has AMX its first
    program cannot be started (EFAULT). Refused, it takes the older PTRACE_GETFPREGS, which knows nothing of registers beyond SSE's; so its
    programs may not use them (`LARGE`).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    program = (ctypes.c_char * (8 * len(NO_REGSETS))).from_buffer_copy(
        b"".join(struct.pack("=HBBI", *line) for line in NO_REGSETS)
    )
    rules = struct.pack("@HP", len(NO_REGSETS), ctypes.addressof(program))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, rules, 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp filter")


def run(argv, folder):
    """Run the kernel; return its console, and whether it had to be killed."""
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True,
        preexec_fn=hide_large_registers, env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    ) as kernel:  # fmt: skip
        try:
            octets, late = kernel.communicate(timeout=PATIENCE)[0], False
        except subprocess.TimeoutExpired:
            os.killpg(kernel.pid, signal.SIGKILL)
            octets, late = kernel.communicate()[0], True
    return octets.decode(errors="replace"), late


def files(folder):
    """Return the files of the modules that are wanted, each behind those that it needs; `folder` is the release's."""
    needs = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    built_in = (folder / "modules.builtin").read_text()
    found = []
    for name in WANTED:
        path = next((path for path in needs if re.search(rf"/{name}\.ko\b", path)), None)
        if path is None:
            if f"/{name}.ko" not in built_in:
                raise NoKernelError(f"the kernel {folder.name} has no {name}")
            continue
        found += [str(folder / item) for item in [*reversed(needs[path]), path] if str(folder / item) not in found]
    return found


def here(plan, folder):
    """Play a plan in this machine's kernel, in namespaces of its own.

    Raises:
        NoKernelError: nobody lets us, or it did not end well.
    """
    (folder / "plan").write_text(json.dumps(plan))
    argv = [str(PYTHON), "-m", "tests.impaired.inside", str(folder / "plan"), str(folder / "result")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise NoKernelError(done.stdout + done.stderr)
    return json.loads((folder / "result").read_text())


def may_play_here():
    """Tell whether this user may make namespaces and break them."""
    return (
        os.geteuid() == 0 and not subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode
    )


def has_netem_here():
    """Tell whether this machine's kernel has netem, as the shaper finds out."""
    script = "import sys; from services.tools.shaper import netem; sys.exit(not netem.is_there())"
    return not subprocess.run(["unshare", "-n", sys.executable, "-c", script], cwd=ROOT, check=False).returncode
