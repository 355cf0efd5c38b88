#!/usr/bin/env python3
"""Measures what a cluster costs: nodes that share their rooms through Redis, beside one server alone.

    benches/cluster.py                     the built program, target/release/yamabiko; about 5 minutes
    benches/cluster.py --quick [PROGRAM]   a rough run of one minute

Needs redis-server. Servers, Redis and load share the processors of this machine, so the numbers of messages a second are those
of the machine, and not of a cluster. The costs are CPU times of single processes, with the two kinds of servers in turn.

| table | what is measured |
|---|---|
| cost | CPU time of the server for a delivery, with the members of one room on it: alone, and as a node |
| rate | messages a second through one Redis with one, two and three nodes, a few members each; CPU time and bytes of Redis for a message |
| latency | from sending to receiving, at 500 messages a second |
"""

import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "target" / "release" / "yamabiko"
TICKS = os.sysconf("SC_CLK_TCK")


def main():
    arguments = sys.argv[1:]
    quick = "--quick" in arguments
    others = [argument for argument in arguments if argument != "--quick"]
    program = others[0] if others else str(PROGRAM)
    rounds, seconds = (2, 3) if quick else (5, 8)
    with tempfile.TemporaryDirectory() as folder, Redis(folder) as redis:
        cost(program, redis, rounds, seconds)
        rate(program, redis, seconds)
        latency(program, redis, rounds, seconds)


def cost(program, redis, rounds, seconds):
    """The aim: 1.10 times at 1,000 members and 10 publishers with 64 in flight."""
    kinds = {"alone": [], "node": ["--cluster", redis.url]}
    for title, options in [
        ("1,000 members, 10 publishers, 64 in flight", ["--connections", "1000"]),
        ("100 members, 10 publishers, 64 in flight", ["--connections", "100"]),
    ]:
        found = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, arguments in kinds.items():
                with Server(program, arguments) as server:
                    report = bench(program, "fan-out", server, seconds, options + ["--pid", str(server.pid)])
                    found[kind].append(report["server"]["cpu"]["us_per_delivery"])
        medians = {kind: statistics.median(values) for kind, values in found.items()}
        print(f"cost, {title}: alone {medians['alone']:.4f} µs, node {medians['node']:.4f} µs for each delivery, "
              f"ratio {medians['node'] / medians['alone']:.3f}", flush=True)


def rate(program, redis, seconds):
    for nodes in (1, 2, 3):
        servers = [Server(program, ["--cluster", redis.url]) for _ in range(nodes)]
        try:
            before, cpu = redis.traffic(), redis.cpu()
            options = ["--connections", "10", "--publishers", "10", "--threads", "1"]
            loads = [start(program, "fan-out", server, seconds, options) for server in servers]
            reports = [json.loads(load.communicate()[0]) for load in loads]
            after = redis.traffic()
            published = redis.messages()
            spent = redis.cpu() - cpu
        finally:
            for server in servers:
                server.stop()
        rates = sum(report["traffic"]["published"] / report["measured_seconds"] for report in reports)
        # Warm-up and draining included, as Redis counts them.
        total = published
        print(f"rate, {nodes} nodes with 10 members each in one room: {rates:,.0f} messages/s; "
              f"Redis: {spent / total * 1e6:.1f} µs, {(after[0] - before[0]) / total:.0f} bytes in and "
              f"{(after[1] - before[1]) / total:.0f} bytes out for each", flush=True)


def latency(program, redis, rounds, seconds):
    kinds = {"alone": [], "node": ["--cluster", redis.url]}
    found = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, arguments in kinds.items():
            with Server(program, arguments) as server:
                options = ["--connections", "50", "--publishers", "5", "--rate", "500"]
                report = bench(program, "fan-out", server, seconds, options)
                found[kind].append(report["traffic"]["latency_us"])
    for kind, reports in found.items():
        values = ", ".join(f"{name} {statistics.median(report[name] for report in reports):,.0f} µs" for name in ("p50", "p99"))
        print(f"latency, 500 messages/s, 50 members, {kind}: {values}", flush=True)


def start(program, scenario, server, seconds, options):
    command = [program, "bench", scenario, f"ws://{server.address}/broadcast/bench", "--json"]
    command += ["--duration", str(seconds), "--warm-up", "1", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def bench(program, scenario, server, seconds, options):
    load = start(program, scenario, server, seconds, options)
    output, _ = load.communicate()
    assert load.returncode == 0, output
    return json.loads(output)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Server:
    """A server with one worker. A node is used when it is ready."""

    def __init__(self, program, options):
        command = [program, "serve", "--listen", "127.0.0.1:0", "--workers", "1", "--log-level", "error"]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.address = re.search(r"://([^/]*)/", self.process.stdout.readline())[1]
        while not self.is_ready():
            time.sleep(0.05)

    def is_ready(self):
        host, port = self.address.split(":")
        with socket.create_connection((host, int(port))) as stream:
            stream.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return stream.recv(1024).startswith(b"HTTP/1.1 200")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Redis:
    """A Redis that writes nothing to its disk."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while True:
            try:
                self.information("server")
                return
            except OSError:
                time.sleep(0.05)

    def information(self, section):
        with socket.create_connection(("127.0.0.1", self.port)) as stream:
            stream.sendall(f"INFO {section}\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: stream.recv(65536), b"")).decode()

    def number(self, section, name):
        return float(re.search(rf"^{name}:([0-9.]+)", self.information(section), re.MULTILINE)[1])

    def traffic(self):
        return self.number("stats", "total_net_input_bytes"), self.number("stats", "total_net_output_bytes")

    def messages(self):
        """The messages of the room 'bench' of this run: its offset, and then it begins anew."""
        with socket.create_connection(("127.0.0.1", self.port)) as stream:
            stream.sendall(b"EVAL \"local r = '' for _, k in ipairs(redis.call('KEYS', 'yamabiko:room:*')) do "
                           b"local o = tonumber(redis.call('HGET', k, 'offset')) if o > 100 then r = tostring(o) end end "
                           b"redis.call('FLUSHALL') return r\" 0\r\nQUIT\r\n")
            answer = b"".join(iter(lambda: stream.recv(65536), b"")).decode()
        return float(answer.split("\r\n")[1])

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    main()
