"""The procedures that can be called; docstrings and annotations are what introspection tells of them.

XML-RPC knows int (32 bits), boolean, string, double, dateTime.iso8601, base64, struct, array; `nil` is an extension that this server takes.
"""

import datetime
import socket
from collections.abc import Callable
from typing import Any
from xmlrpc.client import Fault

FAULT_DIVISION = 1
FAULT_RANGE = 2
MOST_PRIMES = 10_000


def add(a: float, b: float) -> float:
    """Return the sum of two numbers."""
    return a + b


def divide(a: float, b: float) -> float:
    """Return the quotient of two numbers; fault 1 where the second is 0."""
    if not b:
        raise Fault(FAULT_DIVISION, "division by zero")
    return a / b


def echo(value: Any) -> Any:
    """Return the value, whatever its type, as it came."""
    return value


def hostname() -> str:
    """Return the name of the host where this runs: not the caller's."""
    return socket.gethostname()


def now() -> datetime.datetime:
    """Return the server's date and time, in UTC."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0, tzinfo=None)


def primes(below: int) -> list[int]:
    """Return the prime numbers below a number; fault 2 where it is above 10000."""
    if not 0 <= below <= MOST_PRIMES:
        raise Fault(FAULT_RANGE, f"a number from 0 to {MOST_PRIMES} is expected")
    found: list[int] = []
    for number in range(2, below):
        if all(number % prime for prime in found if prime * prime <= number):
            found.append(number)
    return found


METHODS: tuple[Callable[..., Any], ...] = (add, divide, echo, hostname, now, primes)
# The types in XML-RPC's words, the returned one first; what `system.methodSignature` says.
SIGNATURES = {
    "add": [["double", "double", "double"]],
    "divide": [["double", "double", "double"]],
    "echo": [["array", "array"], ["struct", "struct"], ["string", "string"], ["int", "int"], ["double", "double"]],
    "hostname": [["string"]],
    "now": [["dateTime.iso8601"]],
    "primes": [["array", "int"]],
}
