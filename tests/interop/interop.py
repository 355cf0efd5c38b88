"""Real WebSocket libraries against yamabiko, with compression and without, each octet of it read by wire.py.

    interop.py [unittest's arguments]     run.sh calls it, with everything installed

Each library is a program of its own with the same modes, so that this one knows none of them:

    echo URL DEFLATE FOLDER                  sends each message of FOLDER and wants it back as it was
    room URL DEFLATE FOLDER HEARD SPEAKERS   sends the first message, waits for an answer, prints `ready`, waits for a
                                             line of input, sends the others, and writes what it hears into HEARD until
                                             so many have said that it was the end
    serve DEFLATE FOLDER                     prints its port; for /runCase sends each message of FOLDER and wants it
                                             back, as the Autobahn suite does for examples/autobahn_client.rs

DEFLATE is `null` or what the library is to offer or to demand, as JSON: the names of RFC 7692 §7.1.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import messages
from wire import Tap

HERE = Path(__file__).parent
YAMABIKO = os.environ.get("YAMABIKO_BINARY", "yamabiko")
CLIENT = os.environ.get("YAMABIKO_CLIENT", "autobahn_client")
PEERS = {
    "ws": ["node", str(HERE / "peer_ws.mjs")],
    "websockets": [sys.executable, "-B", str(HERE / "peer_websockets.py")],
    "aiohttp": [sys.executable, "-B", str(HERE / "peer_aiohttp.py")],
}
SECONDS_MAX = 30  # for any one of them
# From this length on, what yamabiko sends must be compressed where it can be.
COMPRESSED_FROM = 4096

# What a library offers: to yamabiko both ends may refer to earlier messages, none may, or the windows are small.
KEEPS = {}
FORGETS = {"server_no_context_takeover": True, "client_no_context_takeover": True}
NARROW = {"server_max_window_bits": 9, "client_max_window_bits": 9}
NARROWEST = {"server_max_window_bits": 8}

# The server's flags.
NO_COMPRESSION = ["--no-compress"]
CLIENT_KEEPS = ["--compress-takeover", "15"]


class Program:
    """A process that `stop` ends, and whose errors are told."""

    def __init__(self, *command):
        self.command = command
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )

    def stop(self):
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def line(self):
        return self.process.stdout.readline() or self.fail("printed nothing")

    def say(self, line):
        try:
            print(line, file=self.process.stdin, flush=True)
        except OSError:
            self.fail("does not listen")

    def succeed(self):
        try:
            self.process.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.fail(f"did not end in {SECONDS_MAX} s")
        if self.process.returncode != 0:
            self.fail(f"ended with {self.process.returncode}")

    def fail(self, sentence):
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        raise AssertionError(f"{' '.join(map(str, self.command))} {sentence}\n{self.errors.read()[-3000:]}")


class Yamabiko(Program):
    """A server of ours, and its port."""

    def __init__(self, command, *flags):
        super().__init__(YAMABIKO, command, "--listen", "127.0.0.1:0", *flags)
        self.port = int(re.search(r"://127\.0\.0\.1:(\d+)", self.line())[1])


class Interop(unittest.TestCase):
    """What all have in common: a folder for the files of a test."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.written = 0

    def start(self, program):
        self.addCleanup(program.stop)
        return program

    def folder_of(self, spoken):
        self.written += 1
        folder = self.folder / str(self.written)
        messages.write(folder, spoken)
        return folder

    def peer(self, name, mode, *words):
        words = [word if isinstance(word, str) else json.dumps(word) for word in words]
        return self.start(Program(*PEERS[name], mode, *words))

    def assertSent(self, sent, expected, ours):
        """That these messages were sent; and if it was yamabiko that compressed them, that it made sense."""
        lengths = [(kind, len(payload)) for kind, payload in expected]
        self.assertEqual([(one.kind, len(one.payload)) for one in sent], lengths)
        for one, (_, payload) in zip(sent, expected):
            self.assertTrue(one.payload == payload, f"{one.kind} of {len(payload)} octets differs")
            if ours and one.compressed:
                self.assertLess(one.octets_sent, len(one.payload))

    def assertCompressed(self, sent, bits):
        """That what shrinks was compressed; not with a window of 256 octets, to which the library cannot keep."""
        for one in sent:
            shrinks = one.kind == "text" or one.payload[:2048] == messages.structured(2048)
            if shrinks and len(one.payload) >= COMPRESSED_FROM and bits > 8:
                self.assertTrue(one.compressed, f"{one.kind} of {len(one.payload)} octets came plain")
                # At the lowest level, zlib itself makes little of a window of 512 octets.
                self.assertLess(one.octets_sent, len(one.payload) / (3 if bits == 15 else 1))


def window(parameters, end):
    return int(parameters.get(f"{end}_max_window_bits") or 15)


class Echo(Interop):
    """A library as client of `yamabiko echo`."""

    def echo(self, name, deflate, *flags):
        """Returns what was agreed, and how long the second of two equal messages was from either end."""
        server = self.start(Yamabiko("echo", *flags))
        tap = Tap(server.port)
        spoken = messages.all_lengths()
        self.peer(name, "echo", f"ws://127.0.0.1:{tap.port}/", deflate, str(self.folder_of(spoken))).succeed()
        (conversation,) = tap.conversations()
        parameters = conversation.parameters
        self.assertEqual(parameters is not None, deflate is not None and list(flags) != NO_COMPRESSION)
        self.assertSent(conversation.from_client, spoken, ours=False)
        self.assertSent(conversation.from_server, spoken, ours=True)
        if parameters is not None:
            self.assertTrue(any(one.compressed for one in conversation.from_client))
            self.assertCompressed(conversation.from_server, window(parameters, "server"))
        return parameters, conversation.from_client[-1].octets_sent, conversation.from_server[-1].octets_sent

    def test_without_compression(self):
        for name in PEERS:
            with self.subTest(name):
                self.assertIsNone(self.echo(name, None)[0])

    def test_a_server_that_is_told_not_to_compress(self):
        for name in PEERS:
            with self.subTest(name):
                self.assertIsNone(self.echo(name, KEEPS, *NO_COMPRESSION)[0])

    def test_compression_as_each_library_offers_it(self):
        for name in PEERS:
            with self.subTest(name):
                parameters, *_ = self.echo(name, KEEPS)
                self.assertIn("server_no_context_takeover", parameters)

    def test_a_client_that_refers_to_earlier_messages(self):
        for name in PEERS:
            with self.subTest(name):
                parameters, said, heard = self.echo(name, KEEPS, *CLIENT_KEEPS)
                self.assertNotIn("client_no_context_takeover", parameters)
                self.assertLess(said, 100, "the client's context was used")
                self.assertGreater(heard, 2000, "the server has none")

    def test_a_client_that_refers_to_earlier_messages_as_far_back_as_the_server_lets_it(self):
        for name in PEERS:
            with self.subTest(name):
                parameters, said, _ = self.echo(name, KEEPS, "--compress-takeover", "10")
                self.assertEqual(parameters["client_max_window_bits"], "10")
                self.assertGreater(said, 2000, "what was said before was longer ago")

    def test_no_end_refers_to_earlier_messages(self):
        for name in ("ws", "websockets"):
            with self.subTest(name):
                parameters, said, heard = self.echo(name, FORGETS, *CLIENT_KEEPS)
                self.assertLessEqual(set(FORGETS), set(parameters))
                self.assertGreater(min(said, heard), 2000)

    def test_small_windows(self):
        for name, offer, bits in [
            ("ws", NARROW, 9), ("websockets", NARROW, 9), ("aiohttp", NARROW, 9),
            ("ws", NARROWEST, 8), ("websockets", NARROWEST, 8),
        ]:
            with self.subTest(name, bits=bits):
                parameters, *_ = self.echo(name, offer, *CLIENT_KEEPS)
                self.assertEqual(parameters["server_max_window_bits"], str(bits))


class Serve(Interop):
    """Libraries in the rooms of `yamabiko serve`, with compression and without: everyone hears the same."""

    MEMBERS = [
        ("ws", KEEPS), ("ws", None), ("ws", NARROWEST),
        ("websockets", KEEPS), ("websockets", NARROW),
        ("aiohttp", KEEPS), ("aiohttp", None),
    ]

    def talk(self, path, script):
        """Returns what each member heard, and asserts that this is what it was sent, in the way that was agreed."""
        server = self.start(Yamabiko("serve", "--backlog-bytes-max", "256MiB"))
        taps = [Tap(server.port) for _ in self.MEMBERS]
        members = [self.enter(path, script, tap, number) for number, tap in enumerate(taps)]
        for member in members:
            self.assertEqual(member.line(), "ready\n")
        for member in members:
            member.say("speak")
        for member in members:
            member.succeed()
        return [self.heard(tap, number) for number, tap in enumerate(taps)]

    def enter(self, path, script, tap, number):
        name, deflate = self.MEMBERS[number]
        folder, heard = self.folder_of(script(number)), self.folder / f"heard {number}"
        url = f"ws://127.0.0.1:{tap.port}{path}"
        return self.peer(name, "room", url, deflate, str(folder), str(heard), str(len(self.MEMBERS)))

    def heard(self, tap, number):
        _, deflate = self.MEMBERS[number]
        (conversation,) = tap.conversations()
        self.assertEqual(conversation.parameters is not None, deflate is not None)
        if conversation.parameters is not None:
            self.assertCompressed(conversation.from_server, window(conversation.parameters, "server"))
        heard = messages.read(self.folder / f"heard {number}")
        # The first was read before the member said that it was ready; after the last, others left.
        self.assertSent(conversation.from_server[1 : 1 + len(heard)], heard, ours=True)
        return heard

    def assertSame(self, heard, spoken):
        for one in heard[1:]:
            self.assertTrue(one == heard[0], "two members heard something else, or in another order")
        self.assertEqual(len(heard[0]), len(spoken))
        self.assertTrue(sorted(heard[0]) == sorted(spoken), "what was heard is not what was said")

    def test_a_room_of_plain_messages(self):
        heard = self.talk("/broadcast/all-lengths", messages.broadcast)
        heard = [[message for message in one if not message[1].endswith(b" is here")] for one in heard]
        self.assertSame(heard, [message for number in range(len(heard)) for message in messages.broadcast(number)[1:]])

    def test_a_chat(self):
        heard = self.talk("/chat/all-of-us", messages.chat)
        talks = [[json.loads(text) for _, text in one] for one in heard]
        talks = [[("text", message["text"]) for message in one if message["type"] == "message"] for one in talks]
        spoken = [json.loads(text) for number in range(len(heard)) for _, text in messages.chat(number)[1:]]
        self.assertSame(talks, [("text", message["text"]) for message in spoken])


class Client(Interop):
    """Our client against the servers of the libraries, which send each message and want it back."""

    def echo(self, name, demand):
        """As above; here the library says what is to be agreed on."""
        server = self.peer(name, "serve", demand, str(self.folder_of(messages.all_lengths())))
        tap = Tap(int(server.line()))
        client = self.start(Program(CLIENT, f"ws://127.0.0.1:{tap.port}", "yamabiko"))
        server.succeed()
        client.succeed()
        (conversation,) = [one for one in tap.conversations() if one.target.startswith("/runCase")]
        parameters, spoken = conversation.parameters, messages.all_lengths()
        self.assertEqual(parameters is not None, demand is not None)
        self.assertSent(conversation.from_server, spoken, ours=False)
        self.assertSent(conversation.from_client, spoken, ours=True)
        if parameters is not None:
            self.assertTrue(any(one.compressed for one in conversation.from_server))
            self.assertCompressed(conversation.from_client, window(parameters, "client"))
        return parameters, conversation.from_client[-1].octets_sent, conversation.from_server[-1].octets_sent

    def test_a_server_without_compression(self):
        for name in PEERS:
            with self.subTest(name):
                self.assertIsNone(self.echo(name, None)[0])

    def test_compression_as_each_library_answers(self):
        for name in PEERS:
            with self.subTest(name):
                _, said, heard = self.echo(name, KEEPS)
                self.assertLess(max(said, heard), 100, "both contexts were used")

    def test_no_end_refers_to_earlier_messages(self):
        for name in ("ws", "websockets"):
            with self.subTest(name):
                parameters, said, heard = self.echo(name, FORGETS)
                self.assertLessEqual(set(FORGETS), set(parameters))
                self.assertGreater(min(said, heard), 2000)

    def test_small_windows(self):
        for name in ("ws", "websockets"):
            with self.subTest(name):
                parameters, *_ = self.echo(name, NARROW)
                self.assertEqual(parameters["client_max_window_bits"], "9")


if __name__ == "__main__":
    unittest.main()
