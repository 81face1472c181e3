"""Addresses as text; each is written once and then remembered, since a capture repeats few of them often."""

import ipaddress

_KNOWN: dict[bytes, str] = {}
_MOST = 1 << 16  # addresses remembered; a scan of a /8 must not fill the memory


def text_of(octets: bytes) -> str:
    """Return 4 octets as IPv4, 16 as IPv6 (RFC 5952), 6 as a hardware address, others in hexadecimal."""
    text = _KNOWN.get(octets)
    if text is None:
        if len(_KNOWN) >= _MOST:
            _KNOWN.clear()
        text = _KNOWN[octets] = _write(octets)
    return text


def _write(octets: bytes) -> str:
    if len(octets) == 4:
        return "{}.{}.{}.{}".format(*octets)
    if len(octets) == 16:
        return str(ipaddress.IPv6Address(octets))
    return octets.hex(":")


def joined(host: str, port: int | None) -> str:
    """Return `host:port`; an IPv6 address is set in brackets (RFC 3986 section 3.2.2)."""
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
