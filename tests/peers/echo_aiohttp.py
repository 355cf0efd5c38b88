"""An echo server on `aiohttp`. Prints its URL."""

import asyncio

from aiohttp import WSMsgType, web


async def echo(request):
    socket = web.WebSocketResponse(max_msg_size=1 << 25)
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def main():
    application = web.Application()
    application.router.add_get("/", echo)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"ws://127.0.0.1:{runner.addresses[0][1]}/", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
