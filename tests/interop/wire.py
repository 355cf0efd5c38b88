"""What passed between two ends, read strictly: a tap on the connection, and a second opinion on every octet.

A tap listens, hands everything on to another address, and keeps it:

    client ──► Tap ──► server
           ◄──     ◄──           afterwards: Conversation(from_client, from_server)

The reader is no library under test and none of ours: it parses the frames itself (RFC 6455 §5.2) and inflates with
zlib, one octet at a time where the window is smaller than the largest, so that a reference beyond it cannot pass
(RFC 7692 §7.1.2). Anything that the standards forbid is a Breach.
"""
import socket
import threading
import zlib
from dataclasses import dataclass

EXTENSION = "permessage-deflate"
KINDS = {1: "text", 2: "binary"}
TAIL = b"\x00\x00\xff\xff"  # §7.2.1 takes it away, §7.2.2 adds it again


class Breach(AssertionError):
    """A rule of the standards is broken; the sentence says which."""


def require(holds, sentence):
    if not holds:
        raise Breach(sentence)


@dataclass
class Message:
    kind: str
    payload: bytes
    compressed: bool
    octets_sent: int  # of payload, compressed or not


class Conversation:
    """One connection: the handshake, and the messages of both ends.

    `parameters` is what was agreed of permessage-deflate, name -> value or None, or None without it.
    """

    def __init__(self, from_client, from_server):
        request, client_frames = split_head(from_client)
        response, server_frames = split_head(from_server)
        require(response.startswith("HTTP/1.1 101 "), f"the handshake failed: {response[:60]!r}")
        self.target = request.split(" ")[1]
        self.offers = extensions(request)
        self.parameters = agreed(extensions(response))
        self.from_client = list(messages(client_frames, self.parameters, "client"))
        self.from_server = list(messages(server_frames, self.parameters, "server"))


def split_head(octets):
    head, separator, rest = bytes(octets).partition(b"\r\n\r\n")
    require(separator, "the handshake is not complete")
    return head.decode("latin-1"), rest


def extensions(head):
    """[(name, {parameter: value or None})]"""
    elements = []
    for line in head.split("\r\n")[1:]:
        field, _, value = line.partition(":")
        if field.strip().lower() == "sec-websocket-extensions":
            elements += [element(part) for part in value.split(",")]
    return elements


def element(text):
    name, *parts = text.split(";")
    parameters = dict(map(parameter, parts))
    require(len(parameters) == len(parts), f"a parameter stands twice: {text}")
    return name.strip(), parameters


def parameter(text):
    name, sign, value = text.partition("=")
    return name.strip(), value.strip(' "') if sign else None


def agreed(answers):
    require([name for name, _ in answers] in ([], [EXTENSION]), f"the answer has {answers}")
    return answers[0][1] if answers else None


def messages(octets, parameters, end):
    inflater = Inflater(parameters, end) if parameters is not None else None
    kind = compressed = None
    payload = b""
    for final, reserved, opcode, data in frames(octets, masked=end == "client"):
        if opcode >= 8:
            within = final and not reserved and len(data) <= 125
            require(within, f"a control frame of the {end} is fragmented, reserved or long")
            continue
        if opcode == 0:
            require(kind, f"a continuation of the {end} continues nothing")
            require(not reserved, f"RSV is set in a continuation of the {end}")
        else:
            require(not kind and opcode in KINDS, f"the {end} sends opcode {opcode} where none may be")
            require(reserved in ((0, 4) if inflater else (0,)), f"RSV of the {end} is {reserved}")
            kind, compressed, payload = KINDS[opcode], bool(reserved), b""
        payload += data
        if final:
            plain = inflater.inflate(payload) if compressed else payload
            if kind == "text":
                plain.decode()
            yield Message(kind, plain, compressed, len(payload))
            kind = None
    require(not kind, f"the {end} did not finish its message")


def frames(octets, masked):
    """(FIN, RSV1 to RSV3 as a number, opcode, payload) of each frame; what ends within a frame is a breach."""
    at = 0

    def take(count):
        nonlocal at
        at += count
        require(at <= len(octets), "a frame is cut off")
        return octets[at - count : at]

    while at < len(octets):
        first, second = take(2)
        length = second & 0x7F
        if length >= 126:
            size, least = (2, 126) if length == 126 else (8, 1 << 16)
            length = int.from_bytes(take(size), "big")
            require(length >= least, f"a length of {length} has the longer form")
        require(bool(second & 0x80) == masked, "a frame is masked that may not be, or is not")
        key = take(4) if masked else bytes(4)
        yield bool(first & 0x80), first >> 4 & 7, first & 15, unmasked(take(length), key)


def unmasked(payload, key):
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return number.to_bytes(len(payload), "big")


class Inflater:
    """Of what one end sends: not more lenient than what was agreed."""

    def __init__(self, parameters, end):
        self.end = end
        self.bits = int(parameters.get(f"{end}_max_window_bits") or 15)
        require(8 <= self.bits <= 15, f"a window of {self.bits} bits")
        self.forgets = f"{end}_no_context_takeover" in parameters
        self.stream = zlib.decompressobj(-self.bits)

    def inflate(self, payload):
        if self.forgets:
            self.stream = zlib.decompressobj(-self.bits)
        try:
            plain = self.all_of(payload + TAIL)
        except zlib.error as error:
            raise Breach(f"what the {self.end} sent is not as agreed: {error}") from error
        require(not self.stream.eof, f"the {self.end} ended its DEFLATE stream")
        return plain

    def all_of(self, data):
        if self.bits == 15:
            return self.stream.decompress(data)
        # What one call puts out is not held to the window; so each puts out one octet.
        plain = bytearray()
        for start in range(0, len(data), 64):
            rest = data[start : start + 64]
            while True:
                octet = self.stream.decompress(rest, 1)
                rest = self.stream.unconsumed_tail
                plain += octet
                if not octet and not rest:
                    break
        return bytes(plain)


class Tap:
    """Listens on the loopback interface and hands on to 127.0.0.1:port.

    `octets` has both directions of each connection.
    """

    def __init__(self, port):
        self.target = port
        self.octets = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.listener.getsockname()[1]
        self.pumps = []
        self.sockets = []
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self.sockets += client, server
            kept = bytearray(), bytearray()
            self.octets.append(kept)
            for source, sink, keep in ((client, server, kept[0]), (server, client, kept[1])):
                pump = threading.Thread(target=hand_on, args=(source, sink, keep), daemon=True)
                self.pumps.append(pump)
                pump.start()

    def conversations(self, seconds_max=20):
        """Waits until every connection has ended, then reads all."""
        self.close()
        for pump in self.pumps:
            pump.join(seconds_max)
            require(not pump.is_alive(), "a connection did not end")
        for end in self.sockets:
            end.close()
        return [Conversation(*both) for both in self.octets]

    def close(self):
        # Wakes the thread that waits in accept, which `close` alone would not.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.acceptor.join()


def hand_on(source, sink, keep):
    """Until the source ends; then the sink is told the same, and the other direction goes on."""
    try:
        while data := source.recv(1 << 16):
            keep += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
