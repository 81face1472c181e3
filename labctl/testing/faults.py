"""Faults in the words of scenario files, for tests: `lab.faults.crash("tcp-server")`."""

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from labctl.commands.faults import inflict
from labctl.commands.prepare import TOOLS, tools_image
from labctl.commands.up import tagged
from labctl.engine.compose import ComposeBuilder, source_digest
from labctl.faults.read import VERBS, read_fault
from labctl.paths import lab_root
from labctl.progress import Silent

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine


class Faults:
    """Breaks and heals a lab; a verb of the scenario file is a method here, and its words are the arguments.

    `lab.faults.impair("client", "smtp-relay", at="RCPT", reply="451 4.7.1 Try again later")`; a word that Python keeps for itself, such as
    `for`, goes with the hosts: `lab.faults.impair("client", "tcp-server", "for 5s", loss="5%")`.
    """

    def __init__(self, engine: "DockerEngine", lab: str) -> None:
        self._engine = engine
        self._lab = lab

    def __call__(self, text: str) -> None:
        """Do what a scenario's `fault:` would: `lab.faults("crash tcp-server")`. It is in force when this returns.

        Raises:
            ValueError: there is no such fault.
            LabError: the host is not in a state for it.
            UsageError: the lab has no such host.
        """
        inflict(self._engine, self._lab, read_fault(text), self._image)

    def _image(self) -> str:
        """Return the image of shapers; it is built first where it is missing or old."""
        ref = tagged(tools_image(Silent()))
        if not self._engine.is_current(ref, source_digest()):
            ComposeBuilder(lab_root() / "compose.yaml", self._engine).build([TOOLS], Silent())
        return ref

    def __getattr__(self, verb: str) -> Callable[..., None]:
        if verb not in VERBS:
            raise AttributeError(f"no fault `{verb}`; known: {', '.join(VERBS)}")

        def act(*hosts: Any, **said: Any) -> None:
            words = [word for name, value in said.items() for word in (name.replace("_", "-"), shlex.quote(str(value)))]
            self(" ".join(map(str, (verb, *hosts, *words))))

        return act
