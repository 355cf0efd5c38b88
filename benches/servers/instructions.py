#!/usr/bin/env python3
"""Counts the instructions of an echo on the servers for tokio, by valgrind's callgrind.

    instructions.py RESULTS_FOLDER [--only SERVER,SERVER]

Writes RESULTS_FOLDER/instructions.json. A count is the difference between a long and a short run,
divided by the additional messages, so that start and opening handshakes do not count. Before
each round the server is stopped (SIGSTOP), and it goes on when all clients have sent: so each turn of its
loop has a message of every connection, and the counts hardly change from run to run.

The programs are in target/counted, compiled by run.sh for processors with vectors of 32 bytes: valgrind does not know longer ones.
What the kernel does is not counted. Callgrind counts a copy by the instruction `rep movsb` as one
instruction for each byte, so it counts a long copy higher than a processor does.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile

import cases

PROGRAMS = cases.HERE / "target" / "counted" / "release"
# What keeps no time of a connection, as the other libraries do not.
WITHOUT_DEADLINES = f"{cases.ADAPTER} without deadlines"
SERVERS = [cases.ADAPTER, WITHOUT_DEADLINES, "fastwebsockets", "sockudo-ws", "tokio-websockets", "tokio-tungstenite"]

# Connections, bytes of a message, and the rounds of the short run; the long one has three times as many.
ECHOES = [(1, 16, 1000), (64, 16, 30), (1, 1024, 500), (64, 1024, 20), (1, 65_536, 100), (16, 65_536, 8)]

MASKING_KEY = b"\x12\x34\x56\x78"
REQUEST = (
    "GET /echo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SECONDS_MAX = 120


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--only", default=",".join(SERVERS))
    arguments = parser.parse_args()
    try:
        version = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True)
    except OSError:
        sys.exit("LEFT OUT the instructions: there is no valgrind (Debian: valgrind)")
    rows = []
    for connections, message_bytes, rounds in ECHOES:
        for server in arguments.only.split(","):
            count = instructions(command(server), connections, message_bytes, rounds)
            rows.append(
                {"server": server, "connections": connections, "bytes": message_bytes, "instructions": count}
            )
            print(f"{connections:3} {message_bytes:6} {server:18} {count:,}", flush=True)
    arguments.results.mkdir(parents=True, exist_ok=True)
    document = {"valgrind": version.stdout.strip(), "rows": rows}
    (arguments.results / "instructions.json").write_text(json.dumps(document, indent=1) + "\n")


def command(server):
    """The command line of a server that echoes on a free port."""
    if server == WITHOUT_DEADLINES:
        return [PROGRAMS / cases.ADAPTER, "0", "echo-without-deadlines"]
    return [PROGRAMS / server, "0", "echo"]


def instructions(command, connections, message_bytes, rounds):
    """Of one message."""
    short, long = (run(command, connections, message_bytes, count) for count in (rounds, 3 * rounds))
    return round((long - short) / (2 * rounds * connections))


def run(command, connections, message_bytes, rounds):
    """The instructions of the whole process."""
    with tempfile.NamedTemporaryFile() as output:
        server = subprocess.Popen(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output.name}", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            port = int(re.search(r":(\d+)", server.stdout.readline())[1])
            clients = [opened(port) for _ in range(connections)]
            exchange(server.pid, clients, message_bytes, rounds)
        finally:
            server.send_signal(signal.SIGCONT)
            server.terminate()
            server.wait(SECONDS_MAX)
        text = pathlib.Path(output.name).read_text()
    return int(re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)[1])


def opened(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(REQUEST.format(port=port).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    return client


def exchange(pid, clients, message_bytes, rounds):
    sent = frame(message_bytes)
    for _ in range(rounds):
        # What a socket does not take at once would wait for the server.
        if len(sent) <= 16 << 10:
            os.kill(pid, signal.SIGSTOP)
        for client in clients:
            client.sendall(sent)
        os.kill(pid, signal.SIGCONT)
        for client in clients:
            receive(client, len(sent) - len(MASKING_KEY))


def receive(client, count):
    while count:
        count -= len(client.recv(min(count, 1 << 20)))


def frame(message_bytes):
    """A masked binary message."""
    if message_bytes < 126:
        length = bytes([0x80 | message_bytes])
    elif message_bytes < 1 << 16:
        length = bytes([0x80 | 126]) + struct.pack(">H", message_bytes)
    else:
        length = bytes([0x80 | 127]) + struct.pack(">Q", message_bytes)
    masked = bytes((index % 251) ^ MASKING_KEY[index % 4] for index in range(message_bytes))
    return b"\x82" + length + MASKING_KEY + masked


if __name__ == "__main__":
    main()
