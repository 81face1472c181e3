"""From a Compose service to the engine's `POST /containers/create` (API 1.41), labelled as Compose labels it.

So `docker compose -p lab-NAME ps|logs|exec|down` works on what labctl made. A key that is not honoured here is refused, never dropped.
"""

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from labctl import __version__
from labctl.errors import UsageError
from labctl.model import CALLS, LAB, ROLE, SCENARIO, VERSION, HostSpec, LabSpec

NANOSECONDS = {"us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
# labctl asks for readiness itself, so a healthcheck each second would only cost: 60 ms of CPU apiece.
HEALTH_INTERVAL = 30 * 10**9

TRACED = "x-labctl-calls"  # our own key: the host's program runs under strace
# Where it writes. Below /dev, which is made anew at each start: a mount point that is there already would give the mount its mode.
CALLS_FOLDER = "/dev/lab-calls"
TRACED_CALLS = (
    "socket,socketpair,bind,listen,accept,accept4,connect,sendto,sendmsg,sendmmsg,recvfrom,recvmsg,recvmmsg,read,readv,write,writev,sendfile,"
    "shutdown,close,setsockopt,getsockopt,poll,ppoll,select,pselect6,epoll_wait,epoll_pwait,epoll_pwait2"
)
STRACE = ("strace", "-f", "-q", "--seccomp-bpf", "--kill-on-exit", "-yy", "-s", "64", "-e", f"trace={TRACED_CALLS}", "-e", "signal=none",
           "--absolute-timestamps=format:unix,precision:ns", "--syscall-times=ns")  # fmt: skip
# Keys that need nothing here: read elsewhere, or without meaning for a single container.
READ_ELSEWHERE = {"build", "profiles", "expose", "depends_on", "networks", "image", "pull_policy", "volumes", "labels"}
Translation = Mapping[str, tuple[str, Callable[[Any], Any]]]  # Compose key → (API key, how its value is read)

CONFIG: Translation = {  # keys of the container's own configuration
    "command": ("Cmd", lambda value: value),
    "entrypoint": ("Entrypoint", lambda value: value),
    "environment": ("Env", lambda value: [f"{k}={v}" if v is not None else k for k, v in value.items()]),
    "hostname": ("Hostname", str),
    "user": ("User", str),
    "working_dir": ("WorkingDir", str),
    "stop_signal": ("StopSignal", str),
    "stop_grace_period": ("StopTimeout", lambda value: max(1, nanoseconds(value) // 10**9)),
    "tty": ("Tty", bool),
    "stdin_open": ("OpenStdin", bool),
    "healthcheck": ("Healthcheck", lambda value: _healthcheck(value)),
}
HOST_CONFIG: Translation = {  # keys of what the engine's machine grants it
    "init": ("Init", bool),
    "read_only": ("ReadonlyRootfs", bool),
    "cap_add": ("CapAdd", list),
    "cap_drop": ("CapDrop", list),
    "security_opt": ("SecurityOpt", list),
    "tmpfs": ("Tmpfs", lambda value: _tmpfs(value)),
    "sysctls": ("Sysctls", lambda value: {k: str(v) for k, v in value.items()}),
    "ulimits": ("Ulimits", lambda value: _ulimits(value)),
    "pids_limit": ("PidsLimit", int),
    "mem_limit": ("Memory", int),
    "memswap_limit": ("MemorySwap", int),
    "cpus": ("NanoCpus", lambda value: int(float(value) * 10**9)),
    "extra_hosts": ("ExtraHosts", lambda value: [entry.replace("=", ":", 1) for entry in value]),
    "dns": ("Dns", list),
    "dns_opt": ("DnsOptions", list),
    "dns_search": ("DnsSearch", list),
    "restart": ("RestartPolicy", lambda value: {"Name": value}),
    "logging": (
        "LogConfig",
        lambda value: {"Type": value.get("driver", "json-file"), "Config": value.get("options", {})},
    ),
    "shm_size": ("ShmSize", int),
    "group_add": ("GroupAdd", lambda value: [str(group) for group in value]),
}


def nanoseconds(text: str) -> int:
    """Read a duration as `docker compose config` writes it: `1m30s`, `500ms`."""
    total, number = 0, ""
    unit = ""
    for char in f"{text} ":
        if char.isdigit() or char == ".":
            if unit:
                total += int(float(number) * NANOSECONDS[unit])
                number = unit = ""
            number += char
        else:
            unit += char
    return total + int(float(number) * NANOSECONDS[unit.strip()])


def check_service(name: str, service: Mapping[str, Any], compose_file: str) -> None:
    """Refuse what labctl would not honour.

    Raises:
        UsageError: a key of the service has no translation.
    """
    known = {*READ_ELSEWHERE, *CONFIG, *HOST_CONFIG}
    unknown = sorted(key for key in service if key not in known and not key.startswith("x-"))
    if unknown:
        raise UsageError(
            f"service `{name}` uses {', '.join(f'`{key}`' for key in unknown)}, which labctl does not honour",
            where=f"{compose_file}, services.{name}.{unknown[0]}",
            hint="take it out, or run the file with `docker compose` itself",
        )


def container_name(lab: LabSpec, host: str) -> str:
    """Return the name that Compose would give: unique on the engine, so it also guards against a second `up`."""
    return f"{lab.project}-{host}-1"


def compose_labels(lab: LabSpec, **own: str) -> dict[str, str]:
    """Return the labels of any object of a lab; `own` are Compose's, without their prefix."""
    labels = {LAB: lab.name, SCENARIO: lab.scenario, VERSION: __version__, "com.docker.compose.project": lab.project}
    labels |= dict(lab.labels)
    return labels | {f"com.docker.compose.{key.replace('_', '-')}": value for key, value in own.items()}


def container_labels(lab: LabSpec, host: HostSpec) -> dict[str, str]:
    """Return what marks a container as one of a lab's hosts, in labctl's words and in Compose's."""
    own = compose_labels(lab, service=host.name, container_number="1", oneoff="False", config_hash=host.digest)
    place = {
        "com.docker.compose.project.config_files": lab.compose_file,
        "com.docker.compose.project.working_dir": str(PurePath(lab.compose_file).parent),
        "com.docker.compose.depends_on": "",
    }
    return {**host.service.get("labels", {}), **own, **place, ROLE: host.role}


def container_body(lab: LabSpec, host: HostSpec, network: str, *, publish: bool) -> dict[str, Any]:
    """Return the body of the create request for one host, on the lab's network."""
    service = host.service
    body: dict[str, Any] = {"Image": host.image, "Labels": container_labels(lab, host)}
    body |= {api: read(service[key]) for key, (api, read) in CONFIG.items() if service.get(key) is not None}
    grants = {api: read(service[key]) for key, (api, read) in HOST_CONFIG.items() if service.get(key) is not None}
    grants["NetworkMode"] = network
    if mounts := service.get("volumes"):
        grants["Mounts"] = [_mount(mount, lab) for mount in mounts]
    if host.ports:
        body["ExposedPorts"] = {str(port): {} for port in host.ports}
    if publish:
        grants["PortBindings"] = {
            str(port): [{"HostIp": "127.0.0.1", "HostPort": "" if lab.any_port else str(port.number)}]
            for port in host.ports
        }
    if service.get(TRACED):
        grants["Tmpfs"] = {**grants.get("Tmpfs", {}), CALLS_FOLDER: "mode=1777,size=64m"}
        body["Labels"][CALLS] = "strace"
    body["HostConfig"] = grants
    body["NetworkingConfig"] = {"EndpointsConfig": {network: {"Aliases": aliases(host)}}}
    return body


def trace_calls(body: dict[str, Any], image: Mapping[str, Any]) -> None:
    """Have a host's program run under strace: what it would run is in its own body, or in its image's configuration."""
    entrypoint = body.get("Entrypoint") or image.get("Entrypoint") or []
    command = body.get("Cmd") or (image.get("Cmd") if not body.get("Entrypoint") else None) or []
    body["Entrypoint"] = [*STRACE, "-o", f"{CALLS_FOLDER}/server", "--", *entrypoint]
    body["Cmd"] = list(command)


def aliases(host: HostSpec) -> list[str]:
    """Return the names of a host on the lab's network: its own, and those that compose.yaml adds."""
    extra = [name for net in (host.service.get("networks") or {}).values() for name in (net or {}).get("aliases", ())]
    return [host.name, *extra]


def volume_name(lab: LabSpec, key: str) -> str:
    """Return the name of a lab's volume, as Compose would."""
    return f"{lab.project}_{key}"


def _mount(mount: Mapping[str, Any], lab: LabSpec) -> dict[str, Any]:
    source = mount.get("source", "")
    if mount["type"] == "volume" and source:
        source = volume_name(lab, source)
    body = {"Type": mount["type"], "Target": mount["target"], "ReadOnly": bool(mount.get("read_only"))}
    return body | ({"Source": source} if source else {})


def _healthcheck(check: Mapping[str, Any]) -> dict[str, Any]:
    if check.get("disable"):
        return {"Test": ["NONE"]}
    test = check["test"] if isinstance(check["test"], list) else ["CMD-SHELL", check["test"]]
    timeout = nanoseconds(check["timeout"]) if "timeout" in check else 0
    interval = max(HEALTH_INTERVAL, nanoseconds(check.get("interval", "0s")))
    return {"Test": test, "Interval": interval, "Timeout": timeout, "Retries": check.get("retries", 0)}


def _tmpfs(entries: list[str] | str) -> dict[str, str]:
    pairs = (entry.partition(":") for entry in ([entries] if isinstance(entries, str) else entries))
    return {path: options for path, _, options in pairs}


def _ulimits(limits: Mapping[str, Any]) -> list[dict[str, Any]]:
    both = {
        name: value if isinstance(value, dict) else {"soft": value, "hard": value} for name, value in limits.items()
    }
    return [{"Name": name, "Soft": value["soft"], "Hard": value["hard"]} for name, value in both.items()]
