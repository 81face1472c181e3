"""The standard library's asyncio streams as an echo server: what a reader of the documentation would write."""

import asyncio
import sys


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main() -> None:
    """Serve for ever."""
    server = await asyncio.start_server(echo, None, int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


asyncio.run(main())
