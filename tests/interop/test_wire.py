"""Tests of wire.py: it reads valid connections, and finds each kind of fault.

    python3 -m unittest discover --start-directory tests/interop
"""
import os
import socket
import unittest
import zlib

from wire import TAIL, Breach, Conversation, Tap, extensions

REQUEST = b"GET /x HTTP/1.1\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"


def response(parameters="; server_no_context_takeover"):
    extension = f"Sec-WebSocket-Extensions: permessage-deflate{parameters}\r\n" if parameters is not None else ""
    return f"HTTP/1.1 101 Switching Protocols\r\n{extension}\r\n".encode()


def frame(opcode, payload, final=True, reserved=0, key=None, form=None):
    length = len(payload)
    form = form or (1 if length < 126 else 3 if length < 1 << 16 else 9)
    short = {1: length, 3: 126, 9: 127}[form]
    head = bytes([final << 7 | reserved << 4 | opcode, (key is not None) << 7 | short])
    if form > 1:
        head += length.to_bytes(form - 1, "big")
    if key is None:
        return head + payload
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def deflater(bits=15):
    return zlib.compressobj(9, zlib.DEFLATED, -bits)


def deflated(payload, compressor=None):
    compressor = compressor or deflater()
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert data.endswith(TAIL)
    return data[: -len(TAIL)]


def from_server(*frames, parameters="; server_no_context_takeover"):
    return Conversation(REQUEST, response(parameters) + b"".join(frames)).from_server


def from_client(*frames, parameters=""):
    return Conversation(REQUEST + b"".join(frames), response(parameters)).from_client


class ValidConnections(unittest.TestCase):
    def test_reads_plain_and_compressed_messages_of_both_endpoints(self):
        text = "山彦".encode() * 30_000
        received = from_server(
            frame(1, b""),
            frame(2, b"ab", False), frame(9, b"?"), frame(0, b"c"),
            frame(1, deflated(text), reserved=4),
        )
        self.assertEqual([(one.kind, one.payload, one.compressed) for one in received], [
            ("text", b"", False), ("binary", b"abc", False), ("text", text, True)])
        self.assertLess(received[2].bytes_sent, len(text) / 100)
        sent = from_client(frame(1, text, key=b"\x01\x02\x03\x04"), frame(2, deflated(text), reserved=4, key=b"keys"))
        self.assertEqual([one.payload for one in sent], [text, text])

    def test_reads_a_compressed_message_with_rsv1_in_its_first_fragment_only(self):
        compressed = deflated(b"hello " * 50)
        received = from_server(frame(1, compressed[:3], False, 4), frame(0, b"", False), frame(0, compressed[3:]))
        self.assertEqual(received[0].payload, b"hello " * 50)

    def test_reads_references_to_earlier_messages_with_context_takeover(self):
        one = deflater()
        noise = os.urandom(2000)
        frames = [frame(2, deflated(noise, one), reserved=4) for _ in range(2)]
        received = from_server(*frames, parameters="")
        self.assertEqual([message.payload for message in received], [noise, noise])
        self.assertLess(received[1].bytes_sent, 100)

    def test_reads_messages_compressed_for_small_windows(self):
        text = bytes(range(256)) * 20 + os.urandom(3000)
        for bits in (9, 10, 14):
            compressed = frame(2, deflated(text, deflater(bits)), reserved=4)
            received = from_server(compressed, parameters=f"; server_max_window_bits={bits}")
            self.assertEqual(received[0].payload, text)

    def test_reads_the_target_and_the_extensions_of_a_handshake(self):
        conversation = Conversation(REQUEST, response(None))
        self.assertEqual((conversation.target, conversation.parameters), ("/x", None))
        self.assertEqual(conversation.offers, [("permessage-deflate", {"client_max_window_bits": None})])
        self.assertEqual(extensions('X\r\nsec-websocket-extensions: a;b="9", c'), [("a", {"b": "9"}), ("c", {})])


class Faults(unittest.TestCase):
    def breach(self, sentence, *frames, endpoint="server", parameters="; server_no_context_takeover"):
        with self.assertRaisesRegex(Breach, sentence):
            (from_server if endpoint == "server" else from_client)(*frames, parameters=parameters)

    def test_finds_wrong_header_bits_opcodes_and_fragments(self):
        self.breach("RSV of the server is 4", frame(1, deflated(b"x"), reserved=4), parameters=None)
        self.breach("RSV of the server is 2", frame(1, b"x", reserved=2))
        self.breach("RSV is set in a continuation", frame(1, b"x", False), frame(0, b"y", reserved=4))
        self.breach("control frame", frame(9, b"", reserved=4))
        self.breach("control frame", frame(9, b"", final=False))
        self.breach("control frame", frame(10, b"x" * 126))
        self.breach("opcode 3", frame(3, b""))
        self.breach("opcode 2", frame(1, b"x", False), frame(2, b"y"))
        self.breach("continues no message", frame(0, b"y"))
        self.breach("did not finish", frame(1, b"y", False))

    def test_finds_wrong_masking_and_lengths(self):
        self.breach("is not masked", frame(1, b"x", key=b"1234"))
        self.breach("is not masked", frame(1, b"x"), endpoint="client")
        self.breach("form that is too long", frame(1, b"x" * 125, form=3))
        self.breach("form that is too long", frame(1, b"x" * 65535, form=9))
        self.breach("not complete", frame(1, b"xy")[:-1])

    def test_finds_a_reference_to_an_earlier_message_without_context_takeover(self):
        one, noise = deflater(), os.urandom(2000)
        frames = [frame(2, deflated(noise, one), reserved=4) for _ in range(2)]
        self.breach("not compressed as agreed", *frames)

    def test_finds_a_reference_beyond_the_window(self):
        payload = os.urandom(2000)
        for bits in (8, 9, 10):
            compressed = frame(2, deflated(payload * 2), reserved=4)
            self.breach("not compressed as agreed", compressed, parameters=f"; server_max_window_bits={bits}")
        # The repetition starts 513 bytes after the original, one byte beyond the window.
        beyond = payload[:513] + payload[:513]
        compressed = frame(2, deflated(beyond), reserved=4)
        self.breach("not compressed as agreed", compressed, parameters="; server_max_window_bits=9")
        at_limit = payload[:512] + payload[:512]
        received = from_server(frame(2, deflated(at_limit), reserved=4), parameters="; server_max_window_bits=9")
        self.assertEqual(received[0].payload, at_limit)

    def test_finds_invalid_deflate_data_and_invalid_utf_8(self):
        self.breach("not compressed as agreed", frame(1, b"\xff\xff\xff", reserved=4))
        with self.assertRaises(UnicodeDecodeError):
            from_server(frame(1, deflated(b"\xff" * 50), reserved=4))

    def test_finds_failed_incomplete_and_ambiguous_handshakes(self):
        for head, sentence in [
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "failed"),
            (b"HTTP/1.1 101 Switching", "not complete"),
            (response("; a; a"), "duplicate"),
            (response(", permessage-deflate"), "the response has the extensions"),
            (response("; server_max_window_bits=7"), "7 bits"),
        ]:
            with self.assertRaisesRegex(Breach, sentence):
                Conversation(REQUEST, head)


class Taps(unittest.TestCase):
    def test_forwards_and_records_both_directions(self):
        server = socket.create_server(("127.0.0.1", 0))
        tap = Tap(server.getsockname()[1])
        client = socket.create_connection(("127.0.0.1", tap.port))
        client.sendall(REQUEST + frame(1, b"ping", key=b"abcd"))
        peer, _ = server.accept()
        received = b""
        while len(received) < len(REQUEST) + 10:
            received += peer.recv(100)
        peer.sendall(response() + frame(1, b"pong"))
        peer.shutdown(socket.SHUT_WR)
        while client.recv(100):
            pass
        client.close()
        (conversation,) = tap.conversations()
        self.assertEqual([one.payload for one in conversation.from_client], [b"ping"])
        self.assertEqual([one.payload for one in conversation.from_server], [b"pong"])
        peer.close()
        server.close()


if __name__ == "__main__":
    unittest.main()
