"""`lab rpc list|call HOST …`: call procedures over HTTP, with the standard library's `xmlrpc.client` (Python 2: `xmlrpclib`).

A call is an HTTP POST whose body is XML; `--xml` shows both bodies.
"""

import argparse
import http.client
import json
import sys
from typing import Any
from xmlrpc.client import DateTime, Fault, ProtocolError, ResponseError, ServerProxy, Transport

from services.client.errors import ClientError, is_of_a_name, report
from services.client.options import TIMEOUT, port_number, seconds

PORT = 8000


class PlainTransport(Transport):
    """HTTP with a time-out, which shows what it carries where it is asked to.

    Args:
        show: write the XML of request and reply to stderr.
    """

    def __init__(self, timeout: float, *, show: bool) -> None:
        super().__init__(use_builtin_types=True)
        self._timeout = timeout
        self._show = show

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(host, timeout=self._timeout)

    def send_content(self, connection: http.client.HTTPConnection, request_body: Any) -> None:
        self._tell("request", request_body)
        connection.putheader("Content-Type", "text/xml")
        connection.putheader("Content-Length", str(len(request_body)))
        connection.endheaders(request_body)

    def parse_response(self, response: http.client.HTTPResponse) -> Any:
        body = response.read()
        self._tell("reply", body)
        parser, unmarshaller = self.getparser()
        parser.feed(body)
        parser.close()
        return unmarshaller.close()

    def _tell(self, what: str, body: bytes) -> None:
        if self._show:
            sys.stderr.write(f"-- {what}, {len(body)} octets\n{body.decode('utf-8', 'replace').strip()}\n")


def main(argv: list[str]) -> int:
    """Run one verb and return its exit code; a fault is 1."""
    parser = argparse.ArgumentParser("lab rpc", description="Call procedures over HTTP, by XML-RPC.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="tell what can be called, as the server describes itself")
    call = verbs.add_parser("call", help="call METHOD; an ARG is JSON, and text where it is not")
    for verb in (listing, call):
        verb.add_argument("host", metavar="HOST")
        verb.add_argument("--port", type=port_number, default=PORT, help="default %(default)s")
        verb.add_argument("--timeout", type=seconds, default=TIMEOUT, metavar="SECONDS", help="default %(default)g")
        verb.add_argument("--xml", action="store_true", help="show the XML of requests and replies, on stderr")
    call.add_argument("method", metavar="METHOD")
    call.add_argument("args", nargs="*", metavar="ARG")
    options = parser.parse_args(argv)
    place = f"{options.host}:{options.port}"
    server = ServerProxy(
        f"http://{place}/RPC2", transport=PlainTransport(options.timeout, show=options.xml), allow_none=True
    )
    try:
        return _list(server) if options.verb == "list" else _call(server, options)
    except Fault as fault:
        return report(ClientError(f"fault {fault.faultCode}: {fault.faultString}"), place)
    except (ProtocolError, ResponseError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, UnicodeError) and is_of_a_name(error):
            return report(error, place)
        return report(ClientError(f"that is no reply of XML-RPC: {error}"), place)
    except (OSError, ClientError) as error:
        return report(error, place)


def _list(server: ServerProxy) -> int:
    names: Any = server.system.listMethods()
    for name in names:
        signatures: Any = server.system.methodSignature(name)
        text: Any = server.system.methodHelp(name)
        if isinstance(signatures, list):
            for returned, *taken in signatures:
                sys.stdout.write(f"{returned} {name}({', '.join(taken)})\n")
        else:
            sys.stdout.write(f"{name}(…)\n")
        sys.stdout.write("".join(f"    {line.strip()}\n" for line in str(text).splitlines()))
    return 0


def _call(server: ServerProxy, options: argparse.Namespace) -> int:
    try:
        result: Any = getattr(server, options.method)(*map(_argument, options.args))
    except (OverflowError, TypeError) as error:
        raise ClientError(f"XML-RPC cannot carry that: {error}", "its int has 32 bits") from error
    sys.stdout.write((result if isinstance(result, str) else json.dumps(result, default=_plain)) + "\n")
    return 0


def _argument(text: str) -> Any:
    """Read an argument of the command line: JSON, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _plain(value: object) -> str:
    """Return what JSON has no type for."""
    if isinstance(value, bytes):
        return value.hex()
    return value.value if isinstance(value, DateTime) else str(value)
