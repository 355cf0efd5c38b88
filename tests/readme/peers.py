"""ws, websockets, Chromium and the README's own client, with the servers of the README.

run.sh compiles the programs and installs the peers.
"""

import asyncio
import os
import socket
import subprocess
import time
import unittest
from pathlib import Path

from websockets.asyncio.client import connect

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE.parents[1] / "target/readme/target/debug"
START_SECONDS_MAX = 60
PEER_SECONDS_MAX = 120

# Both kinds of messages, and one that many reads bring.
TEXTS = ["", "やまびこ", "x" * 1_000_000]
BYTES = [b"", bytes(range(256)) * 4000]

WS = """
const { WebSocket } = require("ws");
const socket = new WebSocket(process.argv[1]);
const sent = ["", "やまびこ", "x".repeat(1_000_000), Buffer.alloc(1_000_000, 7)];
let next = 0;
socket.on("open", () => sent.forEach((message) => socket.send(message)));
socket.on("message", (data, isBinary) => {
  const expected = sent[next++];
  const same = isBinary ? Buffer.isBuffer(expected) && data.equals(expected) : data.toString() === expected;
  if (!same) throw new Error(`message ${next} came back changed`);
  if (next === sent.length) socket.close(1000, "done");
});
socket.on("close", (code) => process.exit(code === 1000 && next === sent.length ? 0 : 1));
"""


class Server:
    """A program of the README on a free port."""

    def __init__(self, name):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.process = subprocess.Popen([PROGRAMS / name], env={**os.environ, "ADDRESS": self.address})
        self.wait()

    def wait(self):
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def stop(self):
        self.process.kill()
        self.process.wait()


def run(*command, **environment):
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PEER_SECONDS_MAX, check=False
    )
    if result.returncode != 0:
        raise AssertionError(f"{command[:2]}: {result.stdout}{result.stderr}")
    return result.stdout


async def echoes_to_websockets(url):
    async with connect(url, max_size=None) as client:
        for message in TEXTS + BYTES:
            await client.send(message)
            if await client.recv() != message:
                raise AssertionError(f"a message of {len(message)} came back changed")
    if client.close_code != 1000:
        raise AssertionError(f"closed with {client.close_code}")


class Echo:
    """The rules of both servers."""

    name = path = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server(cls.name)
        cls.addClassCleanup(cls.server.stop)
        cls.url = f"ws://{cls.server.address}{cls.path}"

    def test_ws_receives_what_it_sends(self):
        run("node", "-e", WS, self.url)

    def test_websockets_receives_what_it_sends(self):
        asyncio.run(asyncio.wait_for(echoes_to_websockets(self.url), PEER_SECONDS_MAX))

    def test_chromium_receives_what_it_sends(self):
        run("node", str(HERE / "chromium.mjs"), self.url)


class TokioEcho(Echo, unittest.TestCase):
    name, path = "echo", "/"

    def test_client_of_the_readme_receives_what_it_sends(self):
        self.assertIn("hello", run(str(PROGRAMS / "client"), ADDRESS=self.server.address))


class AxumEcho(Echo, unittest.TestCase):
    name, path = "axum_echo", "/echo"


if __name__ == "__main__":
    unittest.main()
