#!/usr/bin/env python3
"""Measures how much one hostile client delays the others of its worker.

    benches/fairness.py                     the built program, target/release/yamabiko
    benches/fairness.py PROGRAM [OPTIONS]   another one, with options of 'serve'
    FAIRNESS=TLS benches/fairness.py      only the rows with this in their name

The server has one worker, so that all clients share it. Eight clients in a room of their own measure the time from a message
to its copy. Each kind of hostile client runs beside them for a few seconds, in a process of its own, at full speed, when its
preparations are over. The healthy clients are measured without it before and after, because the machine's own noise differs from
minute to minute. The table has the times in milliseconds and the ratio of the 99th percentiles, and how long the longest turns of
the server's event loop took meanwhile.

The column 'control' has the 99th percentile while the same hostile client talks to another server of this program, and so only to
the machine of the healthy clients: its cores, caches and kernel. What is in it as well is not the server's doing.

The hostile process has the scheduling class 'idle' of Linux: it runs while a core is left over. Otherwise the table would show how
the kernel divides two cores among three busy processes, and a healthy client would wait for a core and not for the server.

Let nothing else run; needs Linux and two cores. The rows of TLS need the program openssl.
"""

import base64
import contextlib
import multiprocessing
import os
import pathlib
import re
import select
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "target" / "release" / "yamabiko"
SECONDS = 2.5
HEALTHY = 8
KEY = b"\x0a\x01\x06\x02"


def main():
    program, *options = sys.argv[1:] or [str(PROGRAM)]
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "serve", "--listen", "http://127.0.0.1:0", "--workers", "1", "--metrics", "--log-level", "error"]
        certificate = certificate_in(pathlib.Path(folder))
        if certificate:
            command += ["--listen", "127.0.0.1:0", *certificate]
        with started([*command, *options]) as server, started([*command, *options]) as control:
            print_table(ports_of(server), ports_of(control))


@contextlib.contextmanager
def started(command):
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server
        finally:
            server.terminate()


def certificate_in(folder):
    """Options for a new certificate, or nothing without openssl."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    made += ["-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made += ["-out", str(certificate), "-keyout", str(key)]
    try:
        subprocess.run(made, check=True, capture_output=True)
    except OSError:
        return []
    return ["--tls-cert", str(certificate), "--tls-key", str(key)]


def ports_of(server):
    """The port of each address, in the order of the options; the first one stands twice in the line."""
    return list(dict.fromkeys(int(port) for port in re.findall(r":(\d+)", server.stdout.readline())))


def print_table(ports, control_ports):
    """Ports without TLS, and with it if there is a certificate."""
    print("| beside | p50 | p99 | p99 alone | ratio | control | longest turn |\n|---|---:|---:|---:|---:|---:|---:|")
    before = measured(ports[0])
    for hostile in HOSTILE:
        if os.environ.get("FAIRNESS", "") not in hostile.__doc__:
            continue
        place = 1 if hostile in OVER_TLS else 0
        if place < len(ports):
            before = print_row(ports[0], ports[place], control_ports[place], hostile, before)


def print_row(port, hostile_port, control_port, hostile, before):
    """Returns what was measured without the hostile client afterwards."""
    with beside_one(hostile, control_port):
        control = measured(port)
    with beside_one(hostile, hostile_port):
        turns = turn_counts(port)
        beside = measured(port)
        longest = longest_turn(turns, turn_counts(port))
    after = measured(port)
    alone = p99(before + after)
    p50 = statistics.median(beside)
    name = hostile.__doc__.rstrip(".")
    ratio = p99(beside) / alone
    row = f"| {name} | {p50:.2f} | {p99(beside):.2f} | {alone:.2f} | {ratio:.1f} | {p99(control):.2f} | {longest} |"
    print(row, flush=True)
    return after


@contextlib.contextmanager
def beside_one(hostile, port):
    """A hostile client of this kind runs meanwhile."""
    ready = multiprocessing.Event()
    process = multiprocessing.Process(target=run, args=(hostile, port, ready), daemon=True)
    process.start()
    try:
        if not ready.wait(60):
            raise TimeoutError(hostile.__doc__)
        time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.join()
    time.sleep(0.5)


def run(hostile, port, ready):
    """Runs a kind of hostile client, which yields once: when it is prepared."""
    steps = hostile(port)
    next(steps)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    ready.set()
    next(steps, None)


def turn_counts(port):
    """How many turns took at most so long, by the limit as the metrics write it."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    found = re.findall(r'^yamabiko_turn_seconds_bucket\{le="([^"]+)"\} (\d+)', text, re.MULTILINE)
    return {limit: int(count) for limit, count in found}


def longest_turn(before, after):
    """The least limit that no turn exceeded."""
    new = {limit: after[limit] - before.get(limit, 0) for limit in after}
    limits = [limit for limit, count in new.items() if count == new["+Inf"]] if new else []
    return "" if not limits else "more" if limits[0] == "+Inf" else f"{float(limits[0]) * 1000:g}"


def p99(times):
    return sorted(times)[len(times) * 99 // 100]


def measured(port):
    """Milliseconds from sending a message to receiving its copy, one client after the other."""
    clients = [WebSocket(port, f"/broadcast/healthy-{number}") for number in range(HEALTHY)]
    times, end = [], time.monotonic() + SECONDS
    while time.monotonic() < end:
        for client in clients:
            begun = time.perf_counter()
            client.send(b"how long does it take?")
            client.receive()
            times.append((time.perf_counter() - begun) * 1000)
    return times


class WebSocket:
    def __init__(self, port, path, extension=None, context=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        key = base64.b64encode(os.urandom(16)).decode()
        offer = f"Sec-WebSocket-Extensions: {extension}\r\n" if extension else ""
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n".encode()
        )
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.socket.recv(65536)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head:
            raise ConnectionError(head.decode())

    def send(self, payload):
        self.socket.sendall(frame(0x82, payload))

    def receive(self):
        while len(self.buffer) < 2 or len(self.buffer) < 2 + self.buffer[1]:
            received = self.socket.recv(65536)
            if not received:
                raise ConnectionError("closed")
            self.buffer += received
        length = 2 + self.buffer[1]
        payload, self.buffer = self.buffer[2:length], self.buffer[length:]
        return payload

    def flood(self, data):
        """Sends this again and again, and discards what comes, until the process is killed."""
        self.socket.setblocking(False)
        rest = memoryview(data)
        while True:
            readable, writable, _ = select.select([self.socket], [self.socket], [])
            if readable and not receive_some(self.socket):
                return
            if writable:
                rest = rest[send_some(self.socket, rest):] or memoryview(data)


def receive_some(client):
    """False at the end."""
    try:
        return bool(client.recv(1 << 20))
    except (BlockingIOError, ssl.SSLWantReadError):
        return True


def send_some(client, data):
    try:
        return client.send(data)
    except (BlockingIOError, ssl.SSLWantWriteError):
        return 0


def frame(first, payload):
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first, 0x80 | length)
    elif length < 65536:
        head = struct.pack("!BBH", first, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, length)
    mask = (KEY * (length // 4 + 1))[:length]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
    return head + KEY + masked.to_bytes(length, "big")


def deflated(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def small_messages(port):
    """messages of 6 bytes."""
    client = WebSocket(port, "/broadcast/flood")
    yield
    client.flood(frame(0x82, b"flood!") * 10000)


def pings(port):
    """pings of 125 bytes."""
    client = WebSocket(port, "/broadcast/flood")
    yield
    client.flood(frame(0x89, bytes(125)) * 2000)


def taken_names(port):
    """joins under a name that is taken a hundred times."""
    join = b'{"type":"join","name":"%s"}'
    holders = []
    for number in range(1, 101):
        holder = WebSocket(port, "/chat/full")
        name = b"a" if number == 1 else b"a %d" % number
        holder.socket.sendall(frame(0x81, join % name))
        holders.append(holder)
    client = WebSocket(port, "/chat/full")
    yield
    client.flood(frame(0x81, join % b"a") * 1000)


def joins(port):
    """joins and leaves."""
    pair = frame(0x81, b'{"type":"join","name":"b"}') + frame(0x81, b'{"type":"leave"}')
    client = WebSocket(port, "/chat/empty")
    yield
    client.flood(pair * 1000)


def names_of_a_room(port):
    """requests for a thousand names."""
    members = []
    for number in range(1000):
        member = WebSocket(port, "/chat/names")
        name = b"n%d-%s" % (number, b"x" * 20)
        member.socket.sendall(frame(0x81, b'{"type":"join","name":"%s"}' % name))
        members.append(member)
    yield
    members[0].flood(frame(0x81, b'{"type":"names"}') * 1000)


def inflation(port):
    """compressed messages of 250 KiB in 1 KiB."""
    payload = b"\0\0\0\xff\xff" * 150 + deflated(bytes(250 << 10))
    client = WebSocket(port, "/broadcast/flood", "permessage-deflate")
    yield
    client.flood(frame(0xC2, payload) * 50)


def hostile_deflate(port):
    """DEFLATE data of empty streams."""
    payload = b"\x03\0" * (25 << 10) + b"\0"
    client = WebSocket(port, "/broadcast/flood", "permessage-deflate")
    yield
    client.flood(frame(0xC2, payload) * 5)


def large_broadcasts(port):
    """messages of 1 MiB to fifty readers."""
    yield from publish_to_readers(port, "/broadcast/large", 50, bytes((1 << 20) - 100))


def full_speed(port):
    """messages of 4 KiB to thirty readers."""
    yield from publish_to_readers(port, "/broadcast/fast", 30, bytes(4 << 10))


def compressed_broadcasts(port):
    """messages that are compressed for ten readers."""
    text = " ".join(str(number * 7919 % 10007) for number in range(2000)).encode()
    yield from publish_to_readers(port, "/broadcast/compressed", 10, text, "permessage-deflate")


def long_compressed_broadcasts(port):
    """messages of 1 MiB that are compressed."""
    text = " ".join(str(number * 7919 % 10007) for number in range(300_000)).encode()[: (1 << 20) - 100]
    yield from publish_to_readers(port, "/broadcast/long-compressed", 2, text, "permessage-deflate")


def publish_to_readers(port, path, count, payload, extension=None):
    readers = [WebSocket(port, path, extension).socket for _ in range(count)]
    publisher = WebSocket(port, path).socket
    sockets = [*readers, publisher]
    for one in sockets:
        one.setblocking(False)
    data = frame(0x82, payload)
    rest = memoryview(data)
    yield
    while True:
        readable, writable, _ = select.select(sockets, [publisher], [])
        for ready in readable:
            ready.recv(1 << 20)
        if writable:
            rest = rest[publisher.send(rest):] or memoryview(data)


def unread_pings(port):
    """pings of a client that reads nothing."""
    client = WebSocket(port, "/broadcast/flood").socket
    yield
    while True:
        client.sendall(frame(0x89, bytes(125)) * 2000)


def bytes_after_close(port):
    """messages behind a Close of the server."""
    data = b"\x80\x00" + frame(0x82, bytes(1000)) * 1000
    yield
    while True:
        client = WebSocket(port, "/broadcast/flood").socket
        try:
            while True:
                client.sendall(data)
        except OSError:
            client.close()


def pipelined_requests(port):
    """pipelined requests for the page."""
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield
    while True:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            rest = memoryview(request * 1000)
            while True:
                readable, _, _ = select.select([client], [client] if rest else [], [])
                if readable and not receive_some(client):
                    break
                if rest:
                    rest = rest[send_some(client, rest):]


def connections(port):
    """connections that end at once."""
    yield
    while True:
        socket.create_connection(("127.0.0.1", port)).close()


def handshakes(port):
    """opening handshakes."""
    yield
    while True:
        WebSocket(port, "/broadcast/handshake").socket.close()


def tls_handshakes(port):
    """handshakes of TLS."""
    hello = client_hello()
    yield
    while True:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(hello)
            client.recv(1 << 16)


def large_tls_messages(port):
    """messages of 1 MiB over TLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = WebSocket(port, "/broadcast/large-tls", context=context)
    yield
    client.flood(frame(0x82, bytes((1 << 20) - 100)))


def client_hello():
    """The first bytes of a client, which cost it nothing when it sends them again."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


def half_messages(port):
    """500 clients with half a message and a byte now and then."""
    half = frame(0x82, bytes(1 << 20))[: 512 << 10]
    clients = [WebSocket(port, "/broadcast/half") for _ in range(500)]
    for client in clients:
        client.socket.sendall(half)
    yield
    while True:
        for client in clients:
            client.socket.sendall(b"\0")
        time.sleep(1)


HOSTILE = [
    small_messages,
    pings,
    taken_names,
    joins,
    names_of_a_room,
    inflation,
    hostile_deflate,
    large_broadcasts,
    full_speed,
    compressed_broadcasts,
    long_compressed_broadcasts,
    unread_pings,
    bytes_after_close,
    pipelined_requests,
    connections,
    handshakes,
    tls_handshakes,
    large_tls_messages,
    half_messages,
]

OVER_TLS = [tls_handshakes, large_tls_messages]

if __name__ == "__main__":
    main()
