"""Framing and protocol errors, shared by the cores of all services: pure, octets in and octets out.

- `errors`: `LocalProtocolError`, `RemoteProtocolError`
- `lines`: `LineReader`, the framing of text protocols
- `small`: what daytime, time and chargen say, on TCP as on UDP
"""
