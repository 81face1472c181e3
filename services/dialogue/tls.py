"""TLS records, as far as they can be read without a key: RFC 8446, RFC 5246.

    type 1 | version 2 | length 2 | fragment               a record, RFC 8446 section 5.1
    type 1 | length 3 | body                               a handshake message, RFC 8446 section 4

Public: `Tls`, `HANDSHAKE`.
"""

from collections.abc import Iterator

from services.dialogue.line import By, C, S, shown

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
TYPES = {
    0: "HelloRequest", 1: "ClientHello", 2: "ServerHello", 4: "NewSessionTicket", 5: "EndOfEarlyData", 8: "EncryptedExtensions",
    11: "Certificate", 12: "ServerKeyExchange", 13: "CertificateRequest", 14: "ServerHelloDone", 15: "CertificateVerify",
    16: "ClientKeyExchange", 20: "Finished", 22: "CertificateStatus", 24: "KeyUpdate",
}  # fmt: skip
ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
    42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error", 70: "protocol_version",
    71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled", 109: "missing_extension",
    110: "unsupported_extension", 112: "unrecognized_name", 116: "certificate_required", 120: "no_application_protocol",
}  # fmt: skip
VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
SUITES = {
    0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384", 0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256", 0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384", 0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
    0xC030: "ECDHE-RSA-AES256-GCM-SHA384", 0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305", 0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
}  # fmt: skip
SERVER_NAME, ALPN, SUPPORTED_VERSIONS = 0, 16, 43  # extensions: RFC 6066, RFC 7301, RFC 8446
# RFC 8446 section 4.1.3: a ServerHello with this random is a HelloRetryRequest
RETRY = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")
MOST = 1 << 16  # octets of handshake messages that wait for their rest


class _End:
    def __init__(self) -> None:
        self.inbox = b""
        self.messages = b""  # handshake messages that are not whole
        self.secret = False  # what this end sends now is encrypted
        self.skip = 0  # octets of an encrypted record still to come


class Tls:
    """One connection under TLS; `encrypted` counts the octets that could not be read in the last call, `broken` says it is none."""

    def __init__(self) -> None:
        self.ends: dict[By, _End] = {C: _End(), S: _End()}
        self.encrypted = 0
        self.broken = False
        self.version = 0

    def gap(self, by: By) -> None:
        """Octets are missing: where the next record begins is not known, so all that follows counts as encrypted."""
        end = self.ends[by]
        end.inbox, end.messages, end.secret, end.skip = b"", b"", True, 1 << 62

    def receive(self, by: By, data: bytes) -> Iterator[tuple[str, str]]:
        """Take octets and yield (name, particulars) of each message that they complete."""
        end = self.ends[by]
        self.encrypted = 0
        end.inbox += data
        while end.inbox and not self.broken:
            if end.skip:
                taken = min(end.skip, len(end.inbox))
                end.skip -= taken
                end.inbox = end.inbox[taken:]
                self.encrypted += taken
                continue
            if len(end.inbox) < 5:
                return
            kind, version, length = (
                end.inbox[0],
                int.from_bytes(end.inbox[1:3], "big"),
                int.from_bytes(end.inbox[3:5], "big"),
            )
            if not CHANGE_CIPHER_SPEC <= kind <= 24 or version >> 8 != 3 or length > 1 << 15:
                self.broken = True
                yield "ends", ": what follows are no records"
                return
            if kind == APPLICATION_DATA or (
                end.secret and kind != CHANGE_CIPHER_SPEC and not (kind == ALERT and length == 2)
            ):
                end.skip = length + 5
                continue
            if len(end.inbox) < length + 5:
                return
            fragment, end.inbox = end.inbox[5 : 5 + length], end.inbox[5 + length :]
            yield from self._record(kind, end, fragment)

    def _record(self, kind: int, end: _End, fragment: bytes) -> Iterator[tuple[str, str]]:
        if kind == CHANGE_CIPHER_SPEC:
            if self.version < 0x0304:  # in TLS 1.3 it means nothing (RFC 8446 section 5)
                end.secret = True
            yield "ChangeCipherSpec", ""
        elif kind == ALERT and len(fragment) == 2:
            level = "fatal" if fragment[0] == 2 else "warning"
            yield "Alert", f", {level}: {ALERTS.get(fragment[1], str(fragment[1]))}"
        elif kind == HANDSHAKE:
            end.messages = (end.messages + fragment)[:MOST]
            while len(end.messages) >= 4:
                length = int.from_bytes(end.messages[1:4], "big")
                if len(end.messages) < length + 4:
                    return
                number, body, end.messages = end.messages[0], end.messages[4 : 4 + length], end.messages[4 + length :]
                yield self._message(number, body)

    def _message(self, number: int, body: bytes) -> tuple[str, str]:
        name = TYPES.get(number, f"message {number}")
        if number == 1:
            return name, _client_hello(body)
        if number == 2:
            if body[2:34] == RETRY:
                return "HelloRetryRequest", ""
            self.version, suite = _server_hello(body)
            if self.version >= 0x0304:  # RFC 8446 section 2: all after the ServerHello is encrypted
                self.ends[S].secret = True
                self.ends[C].secret = True
            return (
                name,
                f", {VERSIONS.get(self.version, hex(self.version))}, {SUITES.get(suite, f'suite 0x{suite:04x}')}",
            )
        return name, ""


def _server_hello(body: bytes) -> tuple[int, int]:
    """Return the version and the cipher suite that the server chose."""
    at = 35 + (body[34] if len(body) > 34 else 0)
    chosen = _extensions(body, at + 3).get(SUPPORTED_VERSIONS, b"")
    return int.from_bytes(chosen if len(chosen) == 2 else body[:2], "big"), int.from_bytes(body[at : at + 2], "big")


def _client_hello(body: bytes) -> str:
    """Return which server is meant, and what is offered."""
    at = 35 + (body[34] if len(body) > 34 else 0)
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + (body[at] if at < len(body) else 0)
    found = _extensions(body, at)
    told = ""
    name = found.get(SERVER_NAME, b"")
    if len(name) > 5 and name[2] == 0:
        told += f", server name {shown(name[5 : 5 + int.from_bytes(name[3:5], 'big')], 80)}"
    versions = found.get(SUPPORTED_VERSIONS, b"")[1:]
    numbers = [int.from_bytes(versions[i : i + 2], "big") for i in range(0, len(versions) - 1, 2)] or [
        int.from_bytes(body[:2], "big")
    ]
    if known := [VERSIONS[number] for number in numbers if number in VERSIONS]:
        told += f", {' or '.join(known)}"
    protocols, at = found.get(ALPN, b""), 2
    names: list[str] = []
    while at < len(protocols) and len(names) < 8:
        names.append(shown(protocols[at + 1 : at + 1 + protocols[at]], 20))
        at += 1 + protocols[at]
    return told + (f", for {' or '.join(names)}" if names else "")


def _extensions(body: bytes, at: int) -> dict[int, bytes]:
    """Return the extensions whose length stands at `at` (RFC 8446 section 4.2)."""
    end = min(len(body), at + 2 + int.from_bytes(body[at : at + 2], "big"))
    at += 2
    found: dict[int, bytes] = {}
    while at + 4 <= end:
        length = int.from_bytes(body[at + 2 : at + 4], "big")
        found[int.from_bytes(body[at : at + 2], "big")] = body[at + 4 : at + 4 + length]
        at += 4 + length
    return found
