"""Tests yamabiko with three WebSocket libraries, with and without compression. wire.py checks every byte on the wire.

    interop.py [arguments of unittest]     run.sh installs the libraries and calls this file

A program for each library (peer_*) has three modes. The tests use the modes only, and depend on no library:

    echo URL DEFLATE FOLDER                     sends each message of FOLDER, and requires an equal message in return
    room URL DEFLATE FOLDER RECEIVED SENDERS    sends the first message, waits for a message, prints `ready`, and waits
                                                for a line on standard input. Then sends the other messages, and writes
                                                each message that it receives to the folder RECEIVED, until it has
                                                received the last message of as many members as SENDERS gives
    serve DEFLATE FOLDER                        prints its port; a client of /runCase is sent each message of FOLDER and
                                                must return an equal one, as examples/autobahn_client.rs does

DEFLATE is `null`, or the parameters that the library offers as client or requires as server, as JSON with the names of
RFC 7692 §7.1.
"""
import json
import os
import re
import select
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
LIBRARIES = {
    "ws": ["node", str(HERE / "peer_ws.mjs")],
    "websockets": [sys.executable, "-B", str(HERE / "peer_websockets.py")],
    "aiohttp": [sys.executable, "-B", str(HERE / "peer_aiohttp.py")],
}
SECONDS_MAX = 120  # for one program, and for a line of it
# yamabiko must compress a message of this length or more, if compression was agreed on.
COMPRESSED_FROM = 4096

# The parameters that a library offers or requires: context takeover in both directions or in none, or small windows.
CONTEXT_TAKEOVER = {}
NO_CONTEXT_TAKEOVER = {"server_no_context_takeover": True, "client_no_context_takeover": True}
SMALL_WINDOWS = {"server_max_window_bits": 9, "client_max_window_bits": 9}
SMALLEST_WINDOW = {"server_max_window_bits": 8}

# The server's flags.
NO_COMPRESSION = ["--no-compress"]
CLIENT_TAKEOVER = ["--compress-takeover", "15"]


class Program:
    """A process. A failure reports what it wrote to standard error."""

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
        """The next line. All that was printed before has been read."""
        if not select.select([self.process.stdout], [], [], SECONDS_MAX)[0]:
            self.fail(f"printed nothing within {SECONDS_MAX} s")
        return self.process.stdout.readline() or self.fail("printed nothing")

    def send_line(self, line):
        try:
            print(line, file=self.process.stdin, flush=True)
        except OSError:
            self.fail("has closed its standard input")

    def succeed(self):
        try:
            self.process.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.fail(f"did not end within {SECONDS_MAX} s")
        if self.process.returncode != 0:
            self.fail(f"ended with exit status {self.process.returncode}")

    def fail(self, sentence):
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        raise AssertionError(f"{' '.join(map(str, self.command))} {sentence}\n{self.errors.read()[-3000:]}")


class Yamabiko(Program):
    """A running server of the program, and its port."""

    def __init__(self, command, *flags):
        super().__init__(YAMABIKO, command, "--listen", "127.0.0.1:0", *flags)
        self.port = int(re.search(r"://127\.0\.0\.1:(\d+)", self.line())[1])


class Interop(unittest.TestCase):
    """The parts that all tests share: a temporary folder, the programs and the assertions."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.written = 0

    def start(self, program):
        self.addCleanup(program.stop)
        return program

    def folder_of(self, sent):
        self.written += 1
        folder = self.folder / str(self.written)
        messages.write(folder, sent)
        return folder

    def start_library(self, name, mode, *arguments):
        arguments = [argument if isinstance(argument, str) else json.dumps(argument) for argument in arguments]
        return self.start(Program(*LIBRARIES[name], mode, *arguments))

    def assertSent(self, sent, expected, by_yamabiko):
        """These messages were sent. If yamabiko sent them, those that it compressed are smaller."""
        lengths = [(kind, len(payload)) for kind, payload in expected]
        self.assertEqual([(one.kind, len(one.payload)) for one in sent], lengths)
        for one, (_, payload) in zip(sent, expected):
            self.assertTrue(one.payload == payload, f"{one.kind} of {len(payload)} bytes differs")
            if by_yamabiko and one.compressed:
                self.assertLess(one.bytes_sent, len(one.payload))

    def assertCompressed(self, sent, bits):
        """Every long compressible message was compressed, except with a window of 256 bytes, which zlib cannot use."""
        for one in sent:
            compressible = one.kind == "text" or one.payload[:2048] == messages.structured(2048)
            if compressible and len(one.payload) >= COMPRESSED_FROM and bits > 8:
                self.assertTrue(one.compressed, f"{one.kind} of {len(one.payload)} bytes was not compressed")
                # At its lowest level, zlib compresses little with a window of 512 bytes.
                self.assertLess(one.bytes_sent, len(one.payload) / (3 if bits == 15 else 1))


def window(parameters, endpoint):
    return int(parameters.get(f"{endpoint}_max_window_bits") or 15)


class Echo(Interop):
    """The libraries as clients of `yamabiko echo`."""

    def echo(self, name, deflate, *flags):
        """Returns the agreed parameters, and the length on the wire of the second of two equal messages: as the client
        sent it, and as the server sent it."""
        server = self.start(Yamabiko("echo", *flags))
        tap = Tap(server.port)
        sent = messages.all_lengths()
        self.start_library(name, "echo", f"ws://127.0.0.1:{tap.port}/", deflate, str(self.folder_of(sent))).succeed()
        (conversation,) = tap.conversations()
        parameters = conversation.parameters
        self.assertEqual(parameters is not None, deflate is not None and list(flags) != NO_COMPRESSION)
        self.assertSent(conversation.from_client, sent, by_yamabiko=False)
        self.assertSent(conversation.from_server, sent, by_yamabiko=True)
        if parameters is not None:
            self.assertTrue(any(one.compressed for one in conversation.from_client))
            self.assertCompressed(conversation.from_server, window(parameters, "server"))
        return parameters, conversation.from_client[-1].bytes_sent, conversation.from_server[-1].bytes_sent

    def test_a_client_without_compression_receives_plain_messages(self):
        for name in LIBRARIES:
            with self.subTest(name):
                self.assertIsNone(self.echo(name, None)[0])

    def test_the_server_does_not_compress_with_the_option_no_compress(self):
        for name in LIBRARIES:
            with self.subTest(name):
                self.assertIsNone(self.echo(name, CONTEXT_TAKEOVER, *NO_COMPRESSION)[0])

    def test_the_server_compresses_without_context_takeover(self):
        for name in LIBRARIES:
            with self.subTest(name):
                parameters, *_ = self.echo(name, CONTEXT_TAKEOVER)
                self.assertIn("server_no_context_takeover", parameters)

    def test_a_client_uses_context_takeover_if_the_server_allows_it(self):
        for name in LIBRARIES:
            with self.subTest(name):
                parameters, from_client, from_server = self.echo(name, CONTEXT_TAKEOVER, *CLIENT_TAKEOVER)
                self.assertNotIn("client_no_context_takeover", parameters)
                self.assertLess(from_client, 100, "the client does not refer to the message before")
                self.assertGreater(from_server, 2000, "the server refers to the message before")

    def test_a_client_refers_only_to_the_window_that_the_server_allows(self):
        for name in LIBRARIES:
            with self.subTest(name):
                parameters, from_client, _ = self.echo(name, CONTEXT_TAKEOVER, "--compress-takeover", "10")
                self.assertEqual(parameters["client_max_window_bits"], "10")
                self.assertGreater(from_client, 2000, "the message before is outside the window")

    def test_neither_endpoint_uses_context_takeover_if_that_is_agreed(self):
        for name in ("ws", "websockets"):
            with self.subTest(name):
                parameters, from_client, from_server = self.echo(name, NO_CONTEXT_TAKEOVER, *CLIENT_TAKEOVER)
                self.assertLessEqual(set(NO_CONTEXT_TAKEOVER), set(parameters))
                self.assertGreater(min(from_client, from_server), 2000)

    def test_the_server_uses_the_small_window_that_a_client_offers(self):
        for name, offer, bits in [
            ("ws", SMALL_WINDOWS, 9), ("websockets", SMALL_WINDOWS, 9), ("aiohttp", SMALL_WINDOWS, 9),
            ("ws", SMALLEST_WINDOW, 8), ("websockets", SMALLEST_WINDOW, 8),
        ]:
            with self.subTest(name, bits=bits):
                parameters, *_ = self.echo(name, offer, *CLIENT_TAKEOVER)
                self.assertEqual(parameters["server_max_window_bits"], str(bits))


class Serve(Interop):
    """The libraries as members of rooms of `yamabiko serve`, with and without compression."""

    MEMBERS = [
        ("ws", CONTEXT_TAKEOVER), ("ws", None), ("ws", SMALLEST_WINDOW),
        ("websockets", CONTEXT_TAKEOVER), ("websockets", SMALL_WINDOWS),
        ("aiohttp", CONTEXT_TAKEOVER), ("aiohttp", None),
    ]

    def run_room(self, path, messages_of):
        """Returns the messages that each member received. Asserts that the server sent it these messages, compressed as
        agreed. The messages repeat one pattern, which DEFLATE compresses as far as it can."""
        server = self.start(Yamabiko("serve", "--backlog-bytes-max", "256MiB", "--inflate-ratio-max", "1032"))
        taps = [Tap(server.port) for _ in self.MEMBERS]
        members = [self.join(path, messages_of, tap, number) for number, tap in enumerate(taps)]
        for member in members:
            self.assertEqual(member.line(), "ready\n")
        for member in members:
            member.send_line("send")
        for member in members:
            member.succeed()
        return [self.received(tap, number) for number, tap in enumerate(taps)]

    def join(self, path, messages_of, tap, number):
        name, deflate = self.MEMBERS[number]
        folder, received = self.folder_of(messages_of(number)), self.folder / f"received {number}"
        url = f"ws://127.0.0.1:{tap.port}{path}"
        return self.start_library(name, "room", url, deflate, str(folder), str(received), str(len(self.MEMBERS)))

    def received(self, tap, number):
        _, deflate = self.MEMBERS[number]
        (conversation,) = tap.conversations()
        self.assertEqual(conversation.parameters is not None, deflate is not None)
        if conversation.parameters is not None:
            self.assertCompressed(conversation.from_server, window(conversation.parameters, "server"))
        received = messages.read(self.folder / f"received {number}")
        # The folder does not have the first message, which the member received before it printed `ready`, and the
        # messages after the last one, which report that other members left.
        self.assertSent(conversation.from_server[1 : 1 + len(received)], received, by_yamabiko=True)
        return received

    def assertSame(self, received, sent):
        for one in received[1:]:
            self.assertTrue(one == received[0], "two members received different messages, or in different orders")
        self.assertEqual(len(received[0]), len(sent))
        self.assertTrue(sorted(received[0]) == sorted(sent), "the members did not receive the messages that were sent")

    def test_all_members_of_a_room_receive_the_same_messages(self):
        received = self.run_room("/broadcast/all-lengths", messages.broadcast)
        received = [[message for message in one if not message[1].endswith(b" is here")] for one in received]
        sent = [message for number in range(len(received)) for message in messages.broadcast(number)[1:]]
        self.assertSame(received, sent)

    def test_all_members_of_a_chat_receive_the_same_texts(self):
        received = self.run_room("/chat/all-libraries", messages.chat)
        received = [[json.loads(text) for _, text in one] for one in received]
        texts = [[("text", message["text"]) for message in one if message["type"] == "message"] for one in received]
        sent = [json.loads(text) for number in range(len(received)) for _, text in messages.chat(number)[1:]]
        self.assertSame(texts, [("text", message["text"]) for message in sent])


class Client(Interop):
    """yamabiko's client with the libraries as servers, which send each message and require an equal one in return."""

    def echo(self, name, required):
        """Returns the same as `Echo.echo`. Here the library, as server, chooses the parameters."""
        server = self.start_library(name, "serve", required, str(self.folder_of(messages.all_lengths())))
        tap = Tap(int(server.line()))
        client = self.start(Program(CLIENT, f"ws://127.0.0.1:{tap.port}", "yamabiko"))
        server.succeed()
        client.succeed()
        (conversation,) = [one for one in tap.conversations() if one.target.startswith("/runCase")]
        parameters, sent = conversation.parameters, messages.all_lengths()
        self.assertEqual(parameters is not None, required is not None)
        self.assertSent(conversation.from_server, sent, by_yamabiko=False)
        self.assertSent(conversation.from_client, sent, by_yamabiko=True)
        if parameters is not None:
            self.assertTrue(any(one.compressed for one in conversation.from_server))
            self.assertCompressed(conversation.from_client, window(parameters, "client"))
        return parameters, conversation.from_client[-1].bytes_sent, conversation.from_server[-1].bytes_sent

    def test_the_client_does_not_compress_if_the_server_does_not(self):
        for name in LIBRARIES:
            with self.subTest(name):
                self.assertIsNone(self.echo(name, None)[0])

    def test_both_endpoints_use_context_takeover_if_it_is_agreed(self):
        for name in LIBRARIES:
            with self.subTest(name):
                _, from_client, from_server = self.echo(name, CONTEXT_TAKEOVER)
                self.assertLess(max(from_client, from_server), 100, "an endpoint does not refer to the message before")

    def test_neither_endpoint_uses_context_takeover_if_that_is_agreed(self):
        for name in ("ws", "websockets"):
            with self.subTest(name):
                parameters, from_client, from_server = self.echo(name, NO_CONTEXT_TAKEOVER)
                self.assertLessEqual(set(NO_CONTEXT_TAKEOVER), set(parameters))
                self.assertGreater(min(from_client, from_server), 2000)

    def test_the_client_uses_the_small_window_that_a_server_requires(self):
        for name in ("ws", "websockets"):
            with self.subTest(name):
                parameters, *_ = self.echo(name, SMALL_WINDOWS)
                self.assertEqual(parameters["client_max_window_bits"], "9")


if __name__ == "__main__":
    unittest.main()
