"""The wire of a lab under test, where the lab has a tap."""

import time
from typing import TYPE_CHECKING

from labctl.errors import LabError

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine
    from labctl.wire.ask import Wire


def read_wire(engine: "DockerEngine", lab: str, since: float = 0.0) -> "Wire":
    """Return what crossed a lab's wire, ready to be asked, once the connections begun since then are closed, or `SETTLE` s later.

    Args:
        since: seconds since the epoch; what began before, such as labctl's own questions for readiness, is left out.

    Raises:
        LabError: the lab has no tap.
    """
    from labctl.commands.trace import see_settled
    from labctl.wire.ask import Wire

    if engine.look(lab).tap is None:
        hint = "`@pytest.mark.lab(..., tap=True)`, or `Lab(...).with_tap()`, captures from the first frame"
        raise LabError(f"lab `{lab}` has no tap", hint=hint)
    since_ns = int((since or time.time()) * 1e9)
    return Wire(see_settled(engine, lab, since_ns).trace, since_ns)
