"""Labs from Python: `with Lab("tcp-demo") as lab: lab.host("client").run("lab tcp greet tcp-server")`; with pytest and without.

Who knows testcontainers knows the names: `with_*`, `start`, `stop`, `exec`, `get_logs`, `get_service_host_and_port`, wait strategies.
"""

from labctl.testing.host import ExecResult, LabHost, Ran
from labctl.testing.lab import Lab
from labctl.testing.network import LabNetwork
from labctl.testing.waits import wait_for_exit, wait_for_health, wait_for_http, wait_for_log, wait_for_port

__all__ = [
    "ExecResult",
    "Lab",
    "LabHost",
    "LabNetwork",
    "Ran",
    "wait_for_exit",
    "wait_for_health",
    "wait_for_http",
    "wait_for_log",
    "wait_for_port",
]
