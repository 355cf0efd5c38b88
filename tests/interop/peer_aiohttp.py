"""Runs the Python library aiohttp for interop.py, which describes the modes.

    peer_aiohttp.py echo URL DEFLATE FOLDER
    peer_aiohttp.py room URL DEFLATE FOLDER RECEIVED SENDERS
    peer_aiohttp.py serve DEFLATE FOLDER

Of the parameters of permessage-deflate, this library lets a client choose the window, and a server none.
"""
import asyncio
import sys

import aiohttp
from aiohttp import web

import peer

MESSAGE_BYTES_MAX = 1 << 24


class Socket:
    def __init__(self, connection, session=None):
        self.connection, self.session = connection, session

    async def send(self, kind, payload):
        await (self.connection.send_str(payload.decode()) if kind == "text" else self.connection.send_bytes(payload))

    async def receive(self):
        message = await self.connection.receive()
        if message.type == aiohttp.WSMsgType.TEXT:
            return "text", message.data.encode()
        if message.type == aiohttp.WSMsgType.BINARY:
            return "binary", message.data
        raise ConnectionError(f"{message.type.name} {message.data}")

    async def close(self):
        await self.connection.close()
        if self.session is not None:
            await self.session.close()


async def open_socket(url, deflate):
    session = aiohttp.ClientSession()
    compress = deflate.get("server_max_window_bits", 15) if deflate is not None else 0
    return Socket(await session.ws_connect(url, compress=compress, max_msg_size=MESSAGE_BYTES_MAX), session)


async def serve(deflate, handle):
    async def accept(request):
        connection = web.WebSocketResponse(compress=deflate is not None, max_msg_size=MESSAGE_BYTES_MAX)
        await connection.prepare(request)
        await handle(request.path, Socket(connection))
        return connection

    application = web.Application()
    application.router.add_get("/{path:.*}", accept)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner.addresses[0][1], runner.cleanup


if __name__ == "__main__":
    asyncio.run(peer.run(open_socket, serve, *sys.argv[1:]))
