"""Numbers with their units written out, as design says them: `40ms`, `1mbit`, `5%`, `64kb`. Pure."""

import re

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z%]*)")
DURATIONS = {"us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000}
RATES = {"bit": 1, "kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}
SIZES = {"b": 1, "kb": 1_000, "mb": 1_000_000}


def _read(text: str, units: dict[str, int], wanted: str) -> int:
    match = _NUMBER.fullmatch(text.strip().lower())
    if match and not float(match[1]) and match[2] in ("", *units):
        return 0  # nothing needs no unit
    if match and match[2] in units and (value := round(float(match[1]) * units[match[2]])):
        return value
    raise ValueError(f"`{text}`: {wanted} is expected")


def read_duration(text: str) -> int:
    """Return nanoseconds.

    Raises:
        ValueError: it is no duration with its unit.
    """
    return _read(text, DURATIONS, "a duration with its unit, such as `40ms` or `1s`,")


def read_rate(text: str) -> int:
    """Return bit/s.

    Raises:
        ValueError: it is no rate with its unit.
    """
    return _read(text, RATES, "a rate with its unit, such as `1mbit` or `64kbit`,")


def read_size(text: str) -> int:
    """Return octets.

    Raises:
        ValueError: it is no size with its unit.
    """
    return _read(text, SIZES, "a size in octets with its unit, such as `64kb` or `1200b`,")


def read_share(text: str) -> float:
    """Return a share, 0 to 1.

    Raises:
        ValueError: it is no percentage from 0% to 100%.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match and (match[2] == "%" or not float(match[1])) and 0 <= float(match[1]) <= 100:
        return float(match[1]) / 100
    raise ValueError(f"`{text}`: a percentage from `0%` to `100%` is expected")


def _write(value: int, units: dict[str, int]) -> str:
    for unit, factor in sorted(units.items(), key=lambda item: -item[1]):
        if value >= factor and unit != "m":
            return f"{value / factor:g}{unit}"
    return f"{value}{next(iter(units))}"


def write_duration(value: int) -> str:
    """Write nanoseconds."""
    return _write(value, DURATIONS)


def write_rate(value: int) -> str:
    """Write bit/s."""
    return _write(value, RATES)


def write_size(value: int) -> str:
    """Write octets."""
    return _write(value, SIZES)


def write_share(value: float) -> str:
    """Write a share."""
    return f"{value * 100:g}%"
