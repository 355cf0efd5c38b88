#!/usr/bin/env python3
"""Measures the server of Pusher clients (docs/pusher.md).

    benches/pusher.py memory                memory of 100,000 channels on 2,000 connections
    benches/pusher.py instructions          instructions for an event and for its delivery, beside a broadcast room (valgrind)
    benches/pusher.py cpu                   CPU time for a delivery, beside a broadcast room
    benches/pusher.py webhooks              delay of events while a web server of webhooks answers, and while it hangs
    benches/pusher.py lists                 time and bytes of the lists of 100,000 channels and of 100 members
    benches/pusher.py latency               a client event, and a message through the web server of examples/pusher-chat (node)
    benches/pusher.py servers SOCKUDO       CPU time for a delivery and delay, beside the program sockudo

YAMABIKO_BINARY names another program than target/release/yamabiko. Each command prints a table and takes at most two minutes,
`instructions` four. Let nothing else run; needs two cores. All clients and servers use the loopback interface.
"""

import collections
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("YAMABIKO_BINARY", str(ROOT / "target" / "release" / "yamabiko"))
APP = """
[[apps]]
id = "1"
key = "app-key"
secret = "app-secret"
client-events-per-second = 1000000
subscription-bytes-per-second = 1000000000
list-bytes-per-second = 1000000000
"""
TEXT = "x" * 60
WAIT_SECONDS = 60


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    commands = [memory, instructions, cpu, webhooks, lists, latency, servers]
    by_name = {command.__name__: command for command in commands}
    if len(sys.argv) < 2 or sys.argv[1] not in by_name:
        sys.exit(__doc__)
    by_name[sys.argv[1]](*sys.argv[2:])


# The commands.


def memory():
    connections, each = 2000, 50
    with Server() as server:
        settle()
        empty = server.memory_bytes()
        clients = [server.client() for _ in range(connections)]
        settle()
        before = server.memory_bytes()
        for number, client in enumerate(clients):
            client.subscribe([f"channel-{number}-{channel}" for channel in range(each)])
        settle()
        after = server.memory_bytes()
        for client in clients:
            client.subscribe([f"shared-{channel}" for channel in range(each)])
        settle()
        shared = server.memory_bytes()
    channels = connections * each
    print("| | bytes |\n|---|---:|")
    print(f"| a connection without a channel, of {connections:,} | {(before - empty) // connections:,} |")
    print(f"| a channel with one subscriber, of {channels:,} | {(after - before) // channels:,} |")
    print(f"| a further subscription to {each} channels that have others | {(shared - after) // channels:,} |")


def instructions():
    few, many, short, long = 20, 120, 40, 140
    print("| what | instructions for each event | for each delivery |\n|---|---:|---:|")
    rows = {}
    for name, sender in SENDERS.items():
        cost = {}
        for subscribers in (few, many):
            counts = [counted(sender, subscribers, events) for events in (short, long)]
            cost[subscribers] = (counts[1] - counts[0]) / (long - short)
        delivery = (cost[many] - cost[few]) / (many - few)
        rows[name] = (cost[few] - few * delivery, delivery)
        print(f"| {name} | {rows[name][0]:,.0f} | {rows[name][1]:,.0f} |", flush=True)
    ratio = rows["event of the HTTP API"][1] / rows["broadcast room"][1]
    print(f"\nA delivery of an event: {ratio:.3f} of one in a broadcast room.")
    one, hundred = [counted_trigger(channels) for channels in (1, 100)]
    print(f"An event for 100 channels without subscribers: {hundred / one:.1f} times the instructions of an event for one.")


def counted(sender, subscribers, events):
    """The instructions of a server that so many events go through, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        counts = pathlib.Path(folder) / "counts"
        with Server(["valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}", "--quiet"]) as server:
            run = sender(server, subscribers)
            for number in range(events):
                run.send(number)
                run.receive(number)
        return int(re.search(r"^(?:summary|totals): (\d+)", counts.read_text(), re.MULTILINE)[1])


def counted_trigger(channels):
    totals = []
    for events in (20, 120):
        with tempfile.TemporaryDirectory() as folder:
            counts = pathlib.Path(folder) / "counts"
            with Server(["valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}", "--quiet"]) as server:
                api = Api(server.port)
                for _ in range(events):
                    api.trigger([f"c{number}" for number in range(channels)], "e", TEXT * 100)
            totals.append(int(re.search(r"^(?:summary|totals): (\d+)", counts.read_text(), re.MULTILINE)[1]))
    return totals[1] - totals[0]


def cpu():
    subscribers, events, rounds = 500, 60, 5
    print(f"Microseconds of CPU for each delivery to {subscribers} subscribers, user and system, median of {rounds} rounds that take turns:\n")
    times = collections.defaultdict(list)
    for _ in range(rounds):
        for name, sender in SENDERS.items():
            with Server() as server:
                times[name].append(measure_cpu(server, sender(server, subscribers), subscribers, events))
    print("| what | µs | beside a broadcast room |\n|---|---:|---:|")
    base = median(times["broadcast room"])
    for name, values in times.items():
        print(f"| {name} | {median(values):.2f} | {median(values) / base:.3f} |")


def measure_cpu(server, run, subscribers, events):
    before = server.cpu_seconds()
    for number in range(events):
        run.send(number)
        run.receive(number)
    return (server.cpu_seconds() - before) * 1e6 / (subscribers * events)


def webhooks():
    print("| web server of the webhooks | p50 ms | p99 ms | memory after, MiB | events discarded |\n|---|---:|---:|---:|---:|")
    for _ in range(2):
        for name in ("none", "answers", "hangs"):
            print_webhooks(name)


def print_webhooks(name):
    with WebServer(name == "hangs") as web_server:
        hook = f'[[apps.webhooks]]\nurl = "http://127.0.0.1:{web_server.port}/"\n' if name != "none" else ""
        with Server(apps=APP + hook, options=["--workers", "1"]) as server:
            stop = threading.Event()
            churn = threading.Thread(target=come_and_go, args=(server, stop))
            churn.start()
            run = Events(server, 8)
            delays = []
            end = time.monotonic() + 8
            while time.monotonic() < end:
                begin = time.perf_counter()
                run.send(len(delays))
                run.receive(len(delays))
                delays.append((time.perf_counter() - begin) * 1000)
            stop.set()
            churn.join()
            mebibytes = server.memory_bytes() / (1 << 20)
            discarded = server.metric("yamabiko_app_webhook_events_discarded_total")
    delays.sort()
    p50, p99 = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
    print(f"| {name} | {p50:.2f} | {p99:.2f} | {mebibytes:.1f} | {discarded:,.0f} |", flush=True)


def come_and_go(server, stop):
    """Subscribes to new channels and leaves them, about 4,000 times in a second: two events of a webhook each."""
    client = server.client()
    number = 0
    while not stop.is_set():
        names = [f"{number + offset:0>180}" for offset in range(20)]
        client.subscribe(names)
        client.send(*(event("pusher:unsubscribe", channel=name) for name in names))
        number += len(names)
        time.sleep(0.005)


def lists():
    with Server() as server:
        clients = [server.client() for _ in range(200)]
        for number, client in enumerate(clients):
            client.subscribe([f"channel-{number}-{channel}" for channel in range(500)])
        members = [server.client() for _ in range(100)]
        for number, client in enumerate(members):
            client.enter("presence-room", str(number), '"' * 500)
        api = Api(server.port)
        print("| request | bytes of the response | ms, median of 9 | ms of CPU, mean of 9 |\n|---|---:|---:|---:|")
        for name, path, query in (
            ("all of 100,000 channels", "/channels", {}),
            ("500 of them", "/channels", {"filter_by_prefix": "channel-1-"}),
            ("none of them", "/channels", {"filter_by_prefix": "x"}),
            ("users of a channel with 100", "/channels/presence-room/users", {}),
        ):
            times, before = [], server.cpu_seconds()
            for _ in range(9):
                begin = time.perf_counter()
                body = api.request("GET", path, query)
                times.append((time.perf_counter() - begin) * 1000)
            print(f"| {name} | {len(body):,} | {median(times):.2f} | {(server.cpu_seconds() - before) / 9 * 1000:.2f} |")
        joiner = server.client()
        times, before = [], server.cpu_seconds()
        for _ in range(9):
            begin = time.perf_counter()
            size = joiner.enter("presence-room", "0", '"' * 500)
            times.append((time.perf_counter() - begin) * 1000)
            joiner.send(event("pusher:unsubscribe", channel="presence-room"))
        used = (server.cpu_seconds() - before) / 9 * 1000
        print(f"| subscription to a channel with 100 members | {size:,} | {median(times):.2f} | {used:.2f} |")


def latency():
    example = ROOT / "examples" / "pusher-chat"
    if not (example / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=example, check=True)
    with Server() as server:
        environment = os.environ | {"PUSHER_PORT": str(server.port), "PORT": "0"}
        with subprocess.Popen(["node", "server.mjs"], cwd=example, env=environment, stdout=subprocess.PIPE, text=True) as site:
            try:
                port = int(re.search(r":(\d+)/", site.stdout.readline())[1])
                print("| from the sender to the other page | p50 ms | p99 ms |\n|---|---:|---:|")
                for _ in range(2):
                    print_delays("client event", Whispers(server, 1, "private-chat"))
                    print_delays("event through the web server", ThroughWebServer(server, port))
            finally:
                site.terminate()


def print_delays(name, run, events=1000):
    delays = []
    for number in range(events + 50):
        begin = time.perf_counter()
        run.send(number)
        run.receive(number)
        delays.append((time.perf_counter() - begin) * 1000)
    delays = sorted(delays[50:])
    print(f"| {name} | {delays[events // 2]:.3f} | {delays[events * 99 // 100]:.3f} |", flush=True)


def servers(sockudo):
    rounds = 3
    times, delays = collections.defaultdict(list), collections.defaultdict(list)
    for _ in range(rounds):
        for name, start in (("yamabiko", Server), ("sockudo", lambda: Sockudo(sockudo))):
            for subscribers, events in ((10, 2000), (1000, 100)):
                with start() as server:
                    run = Events(server, subscribers)
                    begin = time.perf_counter()
                    times[subscribers, name].append(measure_cpu(server, run, subscribers, events))
                    delays[subscribers, name].append((time.perf_counter() - begin) * 1000 / events)
    print(f"Events of the HTTP API, one after the other; median of {rounds} rounds that take turns.\n")
    print("| subscribers | server | µs of CPU for each delivery | ms until all have an event |\n|---:|---|---:|---:|")
    for (subscribers, name), values in times.items():
        delay = median(delays[subscribers, name])
        print(f"| {subscribers:,} | {name} | {median(values):.2f} | {delay:.2f} |")


# The ways of an event: each has `send`, and `receive`, which returns when all subscribers have it.


class Run:
    """Subscribers that wait for a text."""

    def __init__(self, subscribers):
        self.subscribers = subscribers

    def receive(self, number):
        mark = marked(number).encode()
        for subscriber in self.subscribers:
            subscriber.wait_for(mark)


class Broadcast(Run):
    """A message of the same length in a broadcast room."""

    def __init__(self, server, subscribers):
        super().__init__([WebSocket(server.port, "/broadcast/news") for _ in range(subscribers - 1)])
        # The sender is the last subscriber.
        self.sender = WebSocket(server.port, "/broadcast/news")

    def send(self, number):
        # As long as a message of the HTTP API.
        self.sender.send(json.dumps({"event": "e", "channel": "news", "data": marked(number)}, separators=(",", ":")))
        self.sender.wait_for(marked(number).encode())


class Events(Run):
    """An event of the HTTP API."""

    def __init__(self, server, subscribers):
        super().__init__([server.client(["news"]) for _ in range(subscribers)])
        self.api = Api(server.port)

    def send(self, number):
        self.api.trigger(["news"], "e", marked(number))


class Whispers(Run):
    """An event of a client."""

    def __init__(self, server, subscribers, channel="private-news"):
        super().__init__([server.client([channel]) for _ in range(subscribers)])
        self.channel, self.sender = channel, server.client([channel])

    def send(self, number):
        message = {"event": "client-e", "channel": self.channel, "data": marked(number)}
        self.sender.send(json.dumps(message, separators=(",", ":")))


class ThroughWebServer(Run):
    """A message of a page to the example's web server, which triggers an event."""

    def __init__(self, server, port):
        super().__init__([server.client(["private-chat"])])
        self.http = Http(port)

    def send(self, number):
        message = {"channel": "private-chat", "name": "Ann", "text": marked(number), "socketId": "1.2"}
        self.http.request("POST", "/messages", json.dumps(message).encode())


SENDERS = {"broadcast room": Broadcast, "event of the HTTP API": Events, "client event": Whispers}


def marked(number):
    return f"{TEXT}<{number:0>8}>"


# Servers.


class Server:
    """A running `yamabiko serve` with an app."""

    def __init__(self, prefix=(), apps=APP, options=("--workers", "1")):
        self.prefix, self.apps, self.options = prefix, apps, options

    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".toml")
        self.file.write(self.apps)
        self.file.flush()
        command = [*self.prefix, PROGRAM, "serve", "--listen", "127.0.0.1:0", "--metrics", "--ping-interval", "0"]
        command += ["--log-level", "error", "--apps-file", self.file.name, *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.port = int(re.search(rb":(\d+)/", self.process.stdout.readline())[1])
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(WAIT_SECONDS)
        self.process.stdout.close()
        self.file.close()

    def client(self, channels=()):
        client = Client(self.port)
        client.subscribe(channels)
        return client

    def memory_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10

    def cpu_seconds(self):
        """User and system, of all threads that run now: to the nanosecond, where `stat` has hundredths of a second."""
        threads = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def metric(self, name):
        text = Http(self.port).request("GET", "/metrics").decode()
        return sum(float(value) for value in re.findall(rf"^{name}\S* (\S+)", text, re.MULTILINE))


class Sockudo(Server):
    """The same with the program sockudo, in its defaults without limits and metrics."""

    def __init__(self, program):
        super().__init__()
        self.program = program

    def __enter__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        environment = os.environ | {
            "HOST": "127.0.0.1", "PORT": str(self.port), "RATE_LIMITER_ENABLED": "false", "METRICS_ENABLED": "false",
            "SOCKUDO_DEFAULT_APP_ID": "1", "SOCKUDO_DEFAULT_APP_KEY": "app-key", "SOCKUDO_DEFAULT_APP_SECRET": "app-secret",
            "SOCKUDO_DEFAULT_APP_MAX_CONNECTIONS": "100000",
            "SOCKUDO_DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SECOND": "1000000",
        }
        self.folder = tempfile.TemporaryDirectory()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([self.program], env=environment, cwd=self.folder.name, **quiet)
        eventually(lambda: is_listening(self.port))
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(WAIT_SECONDS)
        self.folder.cleanup()


class WebServer:
    """A web server that answers webhooks, or reads nothing."""

    def __init__(self, hangs):
        self.hangs = hangs

    def __enter__(self):
        if self.hangs:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
            return self
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Accepting)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        if self.hangs:
            self.listener.close()
        else:
            self.server.shutdown()
            self.server.server_close()


class Accepting(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


# Clients.


class WebSocket:
    """Sends with a mask of zeros, and looks for texts in what it receives: no frame is parsed."""

    def __init__(self, port, path):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.opening = self.wait_for(b"\r\n\r\n")

    def send(self, *texts):
        self.socket.sendall(b"".join(map(frame, texts)))

    def wait_for(self, text, count=1):
        """Reads until it has received a text so often; returns all of that, and forgets it."""
        while self.received.count(text) < count:
            some = self.socket.recv(1 << 18)
            if not some:
                sys.exit(f"the server has closed a connection: {self.received[-300:]}")
            self.received += some
        received, self.received = self.received, b""
        return received


class Client(WebSocket):
    """A connection of the app."""

    def __init__(self, port):
        super().__init__(port, "/app/app-key?protocol=7&client=bench&version=1")
        established = self.opening
        if b"activity_timeout" not in established:
            established += self.wait_for(b"activity_timeout")
        self.socket_id = re.search(rb'socket_id\\?":\\?"([\d.]+)', established)[1].decode()

    def subscribe(self, channels):
        if not channels:
            return
        self.send(*(event("pusher:subscribe", channel=name, auth=self.auth(name)) for name in channels))
        self.wait_for(b"subscription_succeeded", len(channels))

    def auth(self, channel, data=None):
        if not channel.startswith(("private-", "presence-")):
            return ""
        signed = f"{self.socket_id}:{channel}" + ("" if data is None else f":{data}")
        return "app-key:" + sign(signed)

    def enter(self, channel, user_id, user_info):
        """Returns the bytes of the list of members."""
        data = json.dumps({"user_id": user_id, "user_info": user_info})
        self.send(event("pusher:subscribe", channel=channel, auth=self.auth(channel, data), channel_data=data))
        received = self.wait_for(b'\\"count\\"')
        return len(received)


class Http:
    """Requests over one connection, as long as the server keeps it."""

    def __init__(self, port):
        self.port = port
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), WAIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, method, target, body=b""):
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.read()
        head, _, received = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        while len(received) < int(length[1]) if length else not received.endswith(b"0\r\n\r\n"):
            received += self.read()
        if b" 200" not in head[:16]:
            sys.exit(f"{target}: {head[:200]} {received[:200]}")
        if b"connection: close" in head.lower():
            self.socket.close()
            self.connect()
        return received

    def read(self):
        return self.socket.recv(1 << 20) or sys.exit("the server has closed a connection")


class Api(Http):
    """Signed requests of the HTTP API."""

    def trigger(self, channels, name, data):
        body = json.dumps({"name": name, "channels": channels, "data": data}, separators=(",", ":")).encode()
        return self.request("POST", "/events", {}, body)

    def request(self, method, path, parameters, body=b""):
        path = f"/apps/1{path}"
        parameters = parameters | {"auth_key": "app-key", "auth_timestamp": str(int(time.time())), "auth_version": "1.0"}
        if body:
            parameters["body_md5"] = hashlib.md5(body).hexdigest()
        query = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
        signature = sign(f"{method}\n{path}\n{query}")
        return super().request(method, f"{path}?{query}&auth_signature={signature}", body)


def sign(text):
    return hmac.new(b"app-secret", text.encode(), "sha256").hexdigest()


def event(name, **data):
    return json.dumps({"event": name, "data": data}, separators=(",", ":"))


def frame(text):
    data = text.encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
    return b"\x81" + length + b"\0\0\0\0" + data


# Small helpers.


def median(values):
    return sorted(values)[len(values) // 2]


def settle():
    """Freed memory has gone back, and what was on its way has come."""
    time.sleep(1)


def eventually(condition):
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            sys.exit("waited too long")
        time.sleep(0.05)


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
