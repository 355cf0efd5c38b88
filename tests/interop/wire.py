"""Records the bytes between a client and a server, and checks them against RFC 6455 and RFC 7692.

A tap listens, forwards all bytes to another address, and keeps a copy:

    client ──► Tap ──► server
           ◄──     ◄──           afterwards: Conversation(from_client, from_server)

The check shares no code with yamabiko or with the libraries: it parses the frames itself (RFC 6455 §5.2) and inflates
with zlib. If the window is smaller than 32 KiB, it inflates one byte at a time, because only then does zlib find a
reference beyond the window (RFC 7692 §7.1.2). It raises Breach for everything that the two RFCs forbid.
"""
import socket
import threading
import zlib
from dataclasses import dataclass

EXTENSION = "permessage-deflate"
KINDS = {1: "text", 2: "binary"}
TAIL = b"\x00\x00\xff\xff"  # the sender removes it (RFC 7692 §7.2.1), the receiver adds it again (§7.2.2)


class Breach(AssertionError):
    """A rule of an RFC is broken; the message names the rule."""


def require(holds, sentence):
    if not holds:
        raise Breach(sentence)


@dataclass
class Message:
    kind: str
    payload: bytes
    compressed: bool
    bytes_sent: int  # the length of the payload on the wire, compressed or not


class Conversation:
    """One connection: the opening handshake, and the messages of both endpoints.

    `parameters` has the agreed parameters of permessage-deflate (name -> value or None). Without it, it is None.
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


def split_head(data):
    head, separator, rest = bytes(data).partition(b"\r\n\r\n")
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
    require(len(parameters) == len(parts), f"duplicate parameter: {text}")
    return name.strip(), parameters


def parameter(text):
    name, sign, value = text.partition("=")
    return name.strip(), value.strip(' "') if sign else None


def agreed(accepted):
    require([name for name, _ in accepted] in ([], [EXTENSION]), f"the response has the extensions {accepted}")
    return accepted[0][1] if accepted else None


def messages(data, parameters, endpoint):
    inflater = Inflater(parameters, endpoint) if parameters is not None else None
    kind = compressed = None
    payload = b""
    for final, reserved, opcode, part in frames(data, masked=endpoint == "client"):
        if opcode >= 8:
            within = final and not reserved and len(part) <= 125
            require(within, f"a control frame of the {endpoint} is fragmented, too long, or has RSV set")
            continue
        if opcode == 0:
            require(kind, f"a continuation frame of the {endpoint} continues no message")
            require(not reserved, f"RSV is set in a continuation frame of the {endpoint}")
        else:
            require(not kind and opcode in KINDS, f"the {endpoint} sent opcode {opcode}, which is not allowed here")
            require(reserved in ((0, 4) if inflater else (0,)), f"RSV of the {endpoint} is {reserved}")
            kind, compressed, payload = KINDS[opcode], bool(reserved), b""
        payload += part
        if final:
            plain = inflater.inflate(payload) if compressed else payload
            if kind == "text":
                plain.decode()
            yield Message(kind, plain, compressed, len(payload))
            kind = None
    require(not kind, f"the {endpoint} did not finish its message")


def frames(data, masked):
    """(FIN, RSV1 to RSV3 as a number, opcode, payload) of each frame. The data must end with a whole frame."""
    at = 0

    def take(count):
        nonlocal at
        at += count
        require(at <= len(data), "the last frame is not complete")
        return data[at - count : at]

    while at < len(data):
        first, second = take(2)
        length = second & 0x7F
        if length >= 126:
            size, least = (2, 126) if length == 126 else (8, 1 << 16)
            length = int.from_bytes(take(size), "big")
            require(length >= least, f"a length of {length} is encoded in a form that is too long")
        require(bool(second & 0x80) == masked, "a client's frame is not masked, or a server's frame is masked")
        key = take(4) if masked else bytes(4)
        yield bool(first & 0x80), first >> 4 & 7, first & 15, unmasked(take(length), key)


def unmasked(payload, key):
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return number.to_bytes(len(payload), "big")


class Inflater:
    """Inflates the messages of one endpoint, and accepts only references that the agreed parameters allow."""

    def __init__(self, parameters, endpoint):
        self.endpoint = endpoint
        self.bits = int(parameters.get(f"{endpoint}_max_window_bits") or 15)
        require(8 <= self.bits <= 15, f"a window of {self.bits} bits")
        self.no_context_takeover = f"{endpoint}_no_context_takeover" in parameters
        self.stream = zlib.decompressobj(-self.bits)

    def inflate(self, payload):
        if self.no_context_takeover:
            self.stream = zlib.decompressobj(-self.bits)
        try:
            plain = self.decompress(payload + TAIL)
        except zlib.error as error:
            raise Breach(f"a message of the {self.endpoint} is not compressed as agreed: {error}") from error
        require(not self.stream.eof, f"the {self.endpoint} ended its DEFLATE stream")
        return plain

    def decompress(self, data):
        if self.bits == 15:
            return self.stream.decompress(data)
        # zlib does not check the window within the output of one call, so each call returns one byte.
        plain = bytearray()
        for start in range(0, len(data), 64):
            rest = data[start : start + 64]
            while True:
                byte = self.stream.decompress(rest, 1)
                rest = self.stream.unconsumed_tail
                plain += byte
                if not byte and not rest:
                    break
        return bytes(plain)


class Tap:
    """Listens on the loopback interface and forwards each connection to 127.0.0.1:port.

    `recorded` has the bytes of both directions of each connection.
    """

    def __init__(self, port):
        self.target = port
        self.recorded = []
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
            self.recorded.append(kept)
            for source, sink, keep in ((client, server, kept[0]), (server, client, kept[1])):
                pump = threading.Thread(target=forward, args=(source, sink, keep), daemon=True)
                self.pumps.append(pump)
                pump.start()

    def conversations(self, seconds_max=60):
        """Waits until every connection has ended, then parses all of them."""
        self.close()
        for pump in self.pumps:
            pump.join(seconds_max)
            require(not pump.is_alive(), "a connection did not end")
        for connected in self.sockets:
            connected.close()
        return [Conversation(*both) for both in self.recorded]

    def close(self):
        # `shutdown` wakes the thread that waits in `accept`; `close` alone does not.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.acceptor.join()


def forward(source, sink, keep):
    """Forwards until the source ends, then ends the sink. The other direction continues."""
    try:
        while data := source.recv(1 << 16):
            keep += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for connected in (source, sink):
            try:
                connected.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
