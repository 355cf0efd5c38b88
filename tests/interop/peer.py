"""The modes that interop.py describes, for both Python libraries.

The program of a library provides
    open_socket(url, deflate) -> socket
    serve(deflate, handle) -> (port, stop)      calls handle(path, socket) for each connection
A socket has `send(kind, payload)`, `receive() -> (kind, payload)` and `close()`. All of these are coroutines.
"""
import asyncio
import json
import sys
from pathlib import Path

import messages


async def run(open_socket, serve, mode, *arguments):
    if mode == "serve":
        deflate, folder = arguments
        await run_server(serve, json.loads(deflate), Path(folder))
        return
    url, deflate, folder, *more = arguments
    socket = await open_socket(url, json.loads(deflate))
    if mode == "echo":
        await expect_echo(socket, Path(folder))
    else:
        await join_room(socket, Path(folder), Path(more[0]), int(more[1]))
    await socket.close()


async def run_server(serve, deflate, folder):
    """Serves the requests that the Autobahn suite serves, with one case, until a client requests the report."""
    ended = asyncio.get_running_loop().create_future()

    async def handle(path, socket):
        try:
            if path == "/getCaseCount":
                await socket.send("text", b"1")
            if path == "/runCase":
                await expect_echo(socket, folder)
            await socket.close()
            if path == "/updateReports":
                ended.set_result(None)
        except Exception as error:
            ended.set_exception(error)

    port, stop = await serve(deflate, handle)
    print(port, flush=True)
    await ended
    await stop()


async def expect_echo(socket, folder):
    """Sends the messages of the folder one after another, and requires an equal message in return for each."""
    for number, message in enumerate(messages.read(folder)):
        await socket.send(*message)
        kind, payload = await socket.receive()
        if (kind, payload) != message:
            raise ValueError(f"message {number}, {message[0]}, came back as {kind} of {len(payload)} bytes")


async def join_room(socket, folder, folder_received, senders):
    first, *others = messages.read(folder)
    await socket.send(*first)
    await socket.receive()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    sending = asyncio.create_task(send_all(socket, others))
    received, ended = [], 0
    while ended < senders:
        received.append(await socket.receive())
        ended += messages.is_end(*received[-1])
    await sending
    messages.write(folder_received, received)


async def send_all(socket, sent):
    for message in sent:
        await socket.send(*message)
