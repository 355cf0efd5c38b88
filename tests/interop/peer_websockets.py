"""Runs the Python library websockets for interop.py, which describes the modes.

    peer_websockets.py echo URL DEFLATE FOLDER
    peer_websockets.py room URL DEFLATE FOLDER RECEIVED SENDERS
    peer_websockets.py serve DEFLATE FOLDER
"""
import asyncio
import sys
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve as listen
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

import peer


class Socket:
    def __init__(self, connection):
        self.connection = connection

    async def send(self, kind, payload):
        await self.connection.send(payload.decode() if kind == "text" else payload)

    async def receive(self):
        message = await self.connection.recv()
        return ("text", message.encode()) if isinstance(message, str) else ("binary", message)

    async def close(self):
        await self.connection.close()


async def open_socket(url, deflate):
    extensions = [ClientPerMessageDeflateFactory(**deflate)] if deflate is not None else None
    return Socket(await connect(url, compression=None, extensions=extensions))


async def serve(deflate, handle):
    async def accept(connection):
        await handle(urlsplit(connection.request.path).path, Socket(connection))

    extensions = [ServerPerMessageDeflateFactory(**deflate)] if deflate is not None else None
    server = await listen(accept, "127.0.0.1", 0, compression=None, extensions=extensions)

    async def stop():
        server.close()
        await server.wait_closed()

    return server.sockets[0].getsockname()[1], stop


if __name__ == "__main__":
    asyncio.run(peer.run(open_socket, serve, *sys.argv[1:]))
