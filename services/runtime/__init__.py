"""The only code of the lab that opens server sockets: accept, time out, push back, drain, signals, log lines.

- `limits`: what a server allows, as flags and environment variables
- `stream`, `datagram`: a core (`protocol.py`) joined to TCP, Unix or UDP sockets
- `service`: a process: sockets open, ready, serve, drain on SIGTERM, exit 0
- `log`: one line an event, text or JSON
- `check`: the healthcheck's client
"""
