"""What the programs of the Python libraries have in common: the modes that interop.py tells of.

Of a library they need
    open_socket(url, deflate) -> socket
    serve(deflate, answer) -> (port, stop)      calls answer(path, socket) for each connection
where a socket has `send(kind, payload)`, `receive() -> (kind, payload)` and `close()`; all of them are coroutines.
"""
import asyncio
import json
import sys
from pathlib import Path

import messages


async def run(open_socket, serve, mode, *words):
    if mode == "serve":
        deflate, folder = words
        await run_server(serve, json.loads(deflate), Path(folder))
        return
    url, deflate, folder, *more = words
    socket = await open_socket(url, json.loads(deflate))
    if mode == "echo":
        await expect_echo(socket, Path(folder))
    else:
        await talk(socket, Path(folder), Path(more[0]), int(more[1]))
    await socket.close()


async def run_server(serve, deflate, folder):
    """Serves what the Autobahn suite would, with one case, until a report is asked for."""
    ended = asyncio.get_running_loop().create_future()

    async def answer(path, socket):
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

    port, stop = await serve(deflate, answer)
    print(port, flush=True)
    await ended
    await stop()


async def expect_echo(socket, folder):
    """Sends each message of the folder when the one before it has come back as it was."""
    for number, message in enumerate(messages.read(folder)):
        await socket.send(*message)
        kind, payload = await socket.receive()
        if (kind, payload) != message:
            raise ValueError(f"message {number}, {message[0]}, came back as {kind} of {len(payload)} octets")


async def talk(socket, folder, heard, speakers):
    hello, *spoken = messages.read(folder)
    await socket.send(*hello)
    await socket.receive()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    speaking = asyncio.create_task(speak(socket, spoken))
    everything, ended = [], 0
    while ended < speakers:
        everything.append(await socket.receive())
        ended += messages.is_end(*everything[-1])
    await speaking
    messages.write(heard, everything)


async def speak(socket, spoken):
    for message in spoken:
        await socket.send(*message)
