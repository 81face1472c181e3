"""`gui`: the desktop container in a lab, and the way by which its window reaches a screen."""

import shlex
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labctl.errors import LabError, UsageError
from labctl.gui.display import Display, DisplayError, Session, own_cookie, parse_display
from labctl.model import FoundHost, HostSpec, LabSpec
from labctl.plan import LAB_NETWORK

if TYPE_CHECKING:
    from labctl.commands.up import BuilderFor
    from labctl.engine.base import Breaking, Engine, Looking
    from labctl.engine.endpoint import Endpoint
    from labctl.progress import Progress

NAME = "desktop"
Way = Literal["relay", "ssh", "socket", "web"]
SOCKETS = "/tmp/.X11-unix"  # noqa: S108 - X11's own place
PROGRAM = ("python3", "-S", "-m", "services.desktop")  # without `site`: none of its packages is used
NO_MOUNT = "`--via relay`, `--via ssh` and `--via web` need no mount"


@dataclass(frozen=True)
class Wish:
    """What the user asked for; see the options of `labctl gui`."""

    via: str = "auto"
    trusted: bool = False
    theme: str = "light"
    tab: str = ""
    scale: float | None = None
    size: str = "1100x750"
    port: int = 0


@dataclass
class Screen:
    """The way that was chosen, and what was found out about the user's display.

    Args:
        remark: a sentence for the user: what could not be had.
    """

    way: Way
    display: Display | None = None
    cookie: bytes | None = None
    untrusted: bool = False
    remark: str = ""
    session: Session | None = field(default=None, repr=False)

    def close(self) -> None:
        """Give back what was borrowed of the display."""
        if self.session:
            self.session.close()


def choose_way(wish: Wish, display_text: str, *, why_no_socket: str = "") -> Screen:
    """Ask the display, and choose.

    Args:
        why_no_socket: why an X socket cannot be mounted; empty where it can.

    Raises:
        LabError: the way that was asked for cannot work here.
    """
    if wish.via == "web":
        return Screen("web")
    if wish.via == "socket" and why_no_socket:
        raise LabError(f"the X socket cannot be mounted: {why_no_socket}", where="--via socket", hint=NO_MOUNT)
    try:
        display = parse_display(display_text)
        cookie = own_cookie(display)
        session = Session(display, cookie)
    except DisplayError as error:
        if wish.via == "auto":
            return Screen("web", remark=f"{error}; so the window comes to the browser")
        raise LabError(
            str(error), where=f"--via {wish.via}", hint="`--via web` needs no display; `labctl doctor` tells more"
        ) from error
    if wish.via == "ssh":
        session.close()
        return Screen("ssh", display, untrusted=not wish.trusted)
    if wish.via == "socket" and (why := no_socket(display)):
        session.close()
        raise LabError(f"the X socket cannot be mounted: {why}", where="--via socket", hint=NO_MOUNT)
    way: Way = "socket" if wish.via == "socket" else "relay"
    if wish.trusted:
        session.close()
        return Screen(way, display, cookie)
    granted = session.untrusted_cookie()
    if granted:
        return Screen(way, display, granted, untrusted=True, session=session)
    session.close()
    remark = "this X server has no untrusted cookies (no SECURITY extension): the window is trusted, and could read other windows"
    return Screen(way, display, cookie, remark=remark)


def no_socket(display: Display) -> str:
    """Return why a display has no socket that can be mounted; empty where it has."""
    if not display.path:
        return f"`{display.text}` is reached by TCP"
    if str(Path(display.path).parent) != SOCKETS:
        return f"it is {display.path}, not in {SOCKETS}"
    return "" if Path(display.path).exists() else f"{display.path} is not there (its name is abstract alone)"


def running_desktop(hosts: Sequence[FoundHost], engine: "Breaking", *, socket_mount: bool) -> FoundHost | None:
    """Return the lab's desktop container where it runs and is what `ensure_desktop` would return; else None.

    Args:
        hosts: those of the lab.
    """
    own = next((host for host in hosts if host.name == NAME and host.role == "host"), None)
    if own and not socket_mount:
        return own if own.state == "running" else None
    from labctl.engine.compose import source_digest

    name = f"{NAME}-x" if socket_mount else NAME
    for host in engine.look(hosts[0].lab).hosts:
        # an image of that name that was built since gives the container's own no name but its number
        if host.name == name and host.role == "desktop" and host.state == "running":
            return host if engine.is_current(host.image, source_digest()) else None
    return None


def ensure_desktop(
    engine: "Engine",
    builder_for: "BuilderFor",
    hosts: Sequence[FoundHost],
    progress: "Progress",
    *,
    socket_mount: bool = False,
) -> FoundHost:
    """Return the lab's desktop container; it is built, made and started where it is not there.

    Args:
        hosts: those of the lab.
        socket_mount: one with the X servers' sockets mounted, beside the other; it stays for the next window, until the lab goes down.

    Raises:
        LabError: it cannot be started.
    """
    from labctl.commands.up import needs_build
    from labctl.engine.compose import read_services
    from labctl.engine.lock import lab_lock
    from labctl.engine.translate import check_service
    from labctl.paths import lab_root
    from labctl.plan import RemoveHost, plan_desktop

    lab = hosts[0].lab
    compose_file = lab_root() / "compose.yaml"
    own = next((host for host in hosts if host.name == NAME and host.role == "host"), None)
    if own and not socket_mount:
        if own.state != "running":
            raise LabError(f"host `{NAME}` does not run: it is {own.state}", hint=f"`labctl down {lab}` and up again")
        return own
    service = dict(read_services(compose_file, progress)[NAME])
    check_service(NAME, service, str(compose_file))
    name = NAME
    if socket_mount:
        name = f"{NAME}-x"
        mount = {"type": "bind", "source": SOCKETS, "target": SOCKETS, "read_only": True}
        service |= {"hostname": name, "volumes": [*service.get("volumes", ()), mount]}
    spec = HostSpec(name, service.get("image") or f"labctl/{NAME}", service, role="desktop")
    wanted = LabSpec(lab, hosts[0].scenario, (spec,), compose_file=str(compose_file))
    with lab_lock(lab, progress.note):
        stale = needs_build(engine, replace(wanted, hosts=(replace(spec, name=NAME),)), compose_file)
        if stale:
            builder_for(compose_file).build([NAME], progress)
        found = engine.look(lab)
        steps = plan_desktop(wanted, found)
        if stale and not steps:
            there = next(host for host in found.hosts if host.name == name)
            steps = (RemoveHost(there, "its image is new"), *plan_desktop(wanted, replace(found, hosts=())))
        engine.act(wanted, steps, progress)
        return next(host for host in engine.look(lab).hosts if host.name == name)


def docker_words(endpoint: "Endpoint") -> list[str]:
    """Return the docker CLI's words that reach an engine."""
    if endpoint.origin == "default":
        return ["docker"]
    words = ["docker", "-H", endpoint.url]
    if endpoint.tls:
        pem = {name: str(endpoint.tls / f"{name}.pem") for name in ("ca", "cert", "key")}
        words += ["--tlsverify", "--tlscacert", pem["ca"], "--tlscert", pem["cert"], "--tlskey", pem["key"]]
    return words


def arguments(wish: Wish, screen: Screen) -> list[str]:
    """Return the window's command line."""
    way = {"relay": "X relay", "ssh": "ssh -X", "socket": "the X socket", "web": "the browser"}[screen.way]
    kind = "" if screen.way == "web" else ", untrusted cookie" if screen.untrusted else ", trusted"
    return [*_appearance(wish), "--way", way + kind, *(["--untrusted"] if screen.untrusted else [])]


def _appearance(wish: Wish) -> list[str]:
    scale = ["--scale", f"{wish.scale:g}"] if wish.scale else []
    return ["--theme", wish.theme, "--tab", wish.tab or "tcp", *scale]


def show(
    exec_prefix: Sequence[str], wish: Wish, screen: Screen, names: Sequence[str], tell: Callable[[str], None]
) -> int:
    """Show the window until it is closed, and return its exit code.

    Args:
        exec_prefix: `docker exec -i CONTAINER`, in words.
        names: of the lab's hosts.
        tell: hears one line once the window is on its way, with the address where a browser is to open it.

    Raises:
        LabError: the way failed.
    """
    words = [*PROGRAM, *arguments(wish, screen), "--hosts", ",".join(names)]
    if screen.way == "web":
        from labctl.gui.web import run_web

        return _run(run_web(exec_prefix, words, wish.size, tell, wish.port))
    assert screen.display  # noqa: S101 - all other ways have one
    cookie = "untrusted cookie" if screen.untrusted else "trusted"
    line = f"{NAME} → your display {screen.display.text} ({screen.way}, {cookie})"
    if screen.way == "ssh":
        from labctl.gui.ssh import run_ssh, window_command

        tell(line)
        return _run(run_ssh(exec_prefix, window_command(words), trusted=not screen.untrusted))
    from labctl.gui.agent import new_cookie, start_agent

    fake = new_cookie() if screen.way == "relay" else None
    order: dict[str, Any] = {
        "argv": words,
        "relay": fake is not None,
        "cookie": (fake or screen.cookie or b"").hex(),
        "display": f":{screen.display.number}",
    }
    with start_agent(exec_prefix, order) as agent:
        tell(line)
        from labctl.gui.relay import Relay, carry_for  # imports asyncio: now the agent and the window start meanwhile

        relay = Relay(screen.display, screen.cookie if fake else None, fake or b"")
        return _run(carry_for(agent, relay))


def _run(work: Coroutine[Any, Any, int]) -> int:
    import asyncio
    import logging

    # it warns of children that its own closing has reaped: no news for a user
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    return asyncio.run(work)


def take_picture(
    exec_prefix: Sequence[str], wish: Wish, names: Sequence[str], presses: Sequence[str]
) -> tuple[bytes, str]:
    """Return a picture of the window as PNG, and what went wrong in it; see `labctl.gui.picture`.

    Args:
        names: of the lab's hosts.
        presses: buttons to press before.

    Raises:
        LabError: there is no picture.
    """
    from labctl.gui.picture import take_picture

    options = ["--theme", wish.theme, "--scale", f"{wish.scale or 1:g}", "--hosts", ",".join(names)]
    options += ["--tab", wish.tab] if wish.tab else []
    return take_picture(exec_prefix, wish.size, [*options, *presses])


def check_end(engine: "Looking", desktop: FoundHost, code: int, *, patience: float = 1.0) -> None:
    """Tell why the window ended, where nobody closed it.

    Args:
        desktop: the container in which it ran.
        code: the window's exit code, or that of what carried it.
        patience: seconds; an engine hears of a container's end a little later than `docker exec` does.

    Raises:
        LabError: its container has gone away under it, or it failed.
    """
    if code == 0:
        return
    deadline = time.monotonic() + patience
    while any(host.id == desktop.id and host.state == "running" for host in engine.look(desktop.lab).hosts):
        if time.monotonic() > deadline:
            hint = "what it said stands above; `labctl doctor` tells more"
            raise LabError(f"the window ended with exit code {code}", hint=hint)
        time.sleep(0.1)
    raise LabError(
        f"the window went with its host: `{desktop.name}` of lab `{desktop.lab}` does not run any more",
        hint="`labctl ls` shows which labs are up",
    )


def classic_commands(
    exec_prefix: Sequence[str], wish: Wish, hosts: Sequence[str], network: str, image: str = f"labctl/{NAME}"
) -> str:
    """Return the commands that do by hand what `gui` does, for reading and trying.

    Args:
        network: the lab's, as the engine knows it.
        image: the desktop's.
    """
    from labctl.gui.ssh import ssh_command, window_command

    container = exec_prefix[-1]
    docker = shlex.join(exec_prefix[: -3 if exec_prefix[-2] == "-i" else -1])
    words = [*PROGRAM, *_appearance(wish), *([] if wish.trusted else ["--untrusted"]), "--hosts", ",".join(hosts)]
    ssh = shlex.join(ssh_command(exec_prefix, "keys", "/run/labctl/keys", window_command(words), trusted=wish.trusted))
    kind = "your own" if wish.trusted else "an untrusted"
    cookie = """\
xauth -q -f untrusted generate "$DISPLAY" . untrusted timeout 0
xauth -q -f untrusted nlist |"""
    if wish.trusted:
        cookie = 'xauth -q nlist "$DISPLAY" |'
    return f"""\
# ssh -X: sshd runs for this one login, over `docker exec`, and opens no port.
mkdir -m 700 keys
ssh-keygen -q -t ed25519 -N '' -f keys/id; ssh-keygen -q -t ed25519 -N '' -f keys/host
echo "desktop $(cat keys/host.pub)" > keys/known_hosts
echo "restrict,x11-forwarding,pty $(cat keys/id.pub)" > keys/authorized_keys
tar -c -C keys host authorized_keys | {docker} exec -i {container} \\
  sh -c 'umask 077; mkdir -p /run/labctl/keys; tar -x -C /run/labctl/keys'
{ssh}

# The X socket: mounted into a container, with {kind} cookie for any host name (`ffff`).
(umask 077; : > cookie)
{cookie} sed 's/^..../ffff/' | xauth -q -f cookie nmerge -
{docker} run --rm --init --network {network} --cap-drop ALL --security-opt no-new-privileges \\
  --user "$(id -u)" -e HOME=/tmp -e DISPLAY -e XAUTHORITY=/run/cookie \\
  -v "$PWD/cookie:/run/cookie:ro" -v {SOCKETS}:{SOCKETS}:ro {image} \\
  {shlex.join(words)}
"""


def socket_obstacle(endpoint: "Endpoint", facts: Callable[[], Mapping[str, Any]]) -> str:
    """Return why sockets of this machine cannot be mounted by the engine; empty where they can.

    Args:
        facts: asks the engine, as `docker info` does; only where that decides.
    """
    if endpoint.socket is None:
        return f"the engine at {endpoint.url} is on another machine"
    if "Docker Desktop" in str(facts().get("OperatingSystem", "")):
        return "Docker Desktop runs the engine in a virtual machine"
    return ""


def network_of(engine: "Looking", lab: str) -> str:
    """Return the engine's name of a lab's network."""
    return next((network.name for network in engine.look(lab).networks if network.key == LAB_NETWORK), "NETWORK")


def lab_of(engine: "Looking", word: str | None, lab: str | None) -> tuple[FoundHost, ...] | None:
    """Return the hosts of the lab that is meant, or None where its scenario has to be brought up first.

    Raises:
        UsageError: both a scenario and another lab were named.
    """
    from labctl.commands.hosts import choose_lab

    if word is None:
        return choose_lab(engine, lab)
    found = engine.look()
    name = lab or word
    hosts = found.of(name).hosts if name in found.labs else ()
    if hosts and hosts[0].scenario != word and word != name:
        raise UsageError(f"lab `{name}` has scenario `{hosts[0].scenario}`, not `{word}`")
    if not hosts and lab is None:  # a lab of that scenario under another name will do
        named = [name for name in found.labs if any(host.scenario == word for host in found.of(name).hosts)]
        hosts = found.of(named[0]).hosts if len(named) == 1 else ()
    return hosts or None
