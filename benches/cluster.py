#!/usr/bin/env python3
"""Measures what a cluster costs: nodes that share their rooms through Redis, beside one server alone and beside another server with Redis.

    benches/cluster.py                     the built program, target/release/yamabiko; about 12 minutes
    benches/cluster.py --quick [PROGRAM]   a rough run of four minutes
    benches/cluster.py --only cost         one table

Needs redis-server and taskset; node and npm for the other server (cluster-ws/), which is left out without them. Servers, Redis and load share
the processors of this machine, so the numbers of messages a second are those of the machine, and not of a cluster. The costs are CPU times of
single processes, with the kinds of servers in turn.

| table | what is measured |
|---|---|
| cost | CPU time of the server for a delivery, with the members of one room on it: alone, as a node, and the other server. The server has the first processor, Redis and the load have the others |
| rate | messages a second through one Redis with one, two and three nodes, a few members each; CPU time and bytes of Redis for a message |
| latency | from sending to receiving, at 500 messages a second, with one, two and three nodes |
"""

import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = HERE.parent / "target" / "release" / "yamabiko"
TICKS = os.sysconf("SC_CLK_TCK")
TABLES = ["cost", "rate", "latency"]
FIRST = {0}
OTHERS = set(range(1, os.cpu_count() or 1)) or FIRST


def main():
    arguments = sys.argv[1:]
    quick = "--quick" in arguments
    only = arguments[arguments.index("--only") + 1] if "--only" in arguments else None
    others = [argument for argument in arguments if argument not in ("--quick", "--only", only)]
    program = others[0] if others else str(PROGRAM)
    # Three, so that one round in which a process waited for its processor does not decide.
    rounds, seconds = (3, 3) if quick else (5, 6)
    tables = [only] if only else TABLES
    with tempfile.TemporaryDirectory() as folder, Redis(folder) as redis:
        kinds = {"node": lambda **how: Yamabiko(program, redis, **how)}
        other = installed(folder)
        if other:
            kinds["ws and ioredis"] = lambda **how: Other(other, redis, **how)
        if "cost" in tables:
            cost(program, redis, {"alone": lambda **how: Yamabiko(program, None, **how), **kinds}, rounds, seconds)
        if "rate" in tables:
            rate(program, redis, kinds, rounds, seconds)
        if "latency" in tables:
            latency(program, {"alone": lambda **how: Yamabiko(program, None, **how), **kinds}, rounds, seconds)


def installed(folder):
    """The other server with its packages; None: they cannot be installed here."""
    target = pathlib.Path(folder) / "ws"
    shutil.copytree(HERE / "cluster-ws", target)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        subprocess.run(command, cwd=target, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"left out, ws and ioredis: {error}", file=sys.stderr)
        return None
    return target / "server.js"


def cost(program, redis, kinds, rounds, seconds):
    """The aim: 1.10 times at 1,000 members and 10 publishers with 64 in flight."""
    os.sched_setaffinity(redis.process.pid, OTHERS)
    print("| members; 10 publishers with 64 in flight | server | CPU time of a delivery, µs | beside alone | writes of a delivery |\n|---|---|---:|---:|---:|")
    for members in (1000, 100):
        found = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, make in kinds.items():
                with make(processors=FIRST) as server:
                    before = server.writes()
                    options = ["--connections", str(members), "--pid", str(server.pid)]
                    report = bench(program, server, seconds, options, processors=OTHERS)
                    found[kind].append((report["server"]["cpu"]["us_per_delivery"], server.writes_of_delivery(before)))
        alone = statistics.median(cpu for cpu, _ in found["alone"])
        for kind, values in found.items():
            cpu = statistics.median(cpu for cpu, _ in values)
            writes = statistics.median(writes for _, writes in values)
            shown = f"{writes:.4f}" if writes else "–"
            print(f"| {members:,} | {kind} | {cpu:.4f} | {cpu / alone:.2f} | {shown} |", flush=True)
    os.sched_setaffinity(redis.process.pid, FIRST | OTHERS)


def rate(program, redis, kinds, rounds, seconds):
    print("| nodes, 10 members that publish on each | server | messages a second | CPU time of Redis for a message, µs | of a node | bytes into Redis | bytes out of Redis |\n|---|---|---:|---:|---:|---:|---:|")
    for nodes in (1, 2, 3):
        found = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, make in kinds.items():
                found[kind].append(measured_rate(program, redis, make, nodes, seconds))
        for kind, values in found.items():
            rates, of_redis, of_node, into, out = map(statistics.median, zip(*values))
            print(f"| {nodes} | {kind} | {rates:,.0f} | {of_redis:.2f} | {of_node:.2f} | {into:.0f} | {out:.0f} |", flush=True)


def measured_rate(program, redis, make, nodes, seconds):
    servers = [make() for _ in range(nodes)]
    try:
        redis.command("CONFIG RESETSTAT")
        before, cpu = redis.traffic(), cpu_seconds(redis.process.pid)
        of_nodes = sum(cpu_seconds(server.pid) for server in servers)
        options = ["--connections", "10", "--publishers", "10", "--threads", "1"]
        loads = [start(program, server, seconds, options) for server in servers]
        reports = [json.loads(load.communicate()[0]) for load in loads]
        after, cpu = redis.traffic(), cpu_seconds(redis.process.pid) - cpu
        of_nodes = sum(cpu_seconds(server.pid) for server in servers) - of_nodes
        # Warm-up and draining included, as Redis counts them.
        total = servers[0].published(redis)
    finally:
        for server in servers:
            server.stop()
    rates = sum(report["traffic"]["published"] / report["measured_seconds"] for report in reports)
    bytes_of = [(now - then) / total for now, then in zip(after, before)]
    return rates, cpu / total * 1e6, of_nodes / nodes / total * 1e6, *bytes_of


def latency(program, kinds, rounds, seconds):
    print("| nodes, 500 messages a second, 48 members in all | server | p50, µs | p99, µs |\n|---|---|---:|---:|")
    for nodes in (1, 2, 3):
        found = {kind: [] for kind in kinds if nodes == 1 or kind != "alone"}
        for _ in range(rounds):
            for kind in found:
                servers = [kinds[kind]() for _ in range(nodes)]
                try:
                    options = ["--connections", str(48 // nodes), "--publishers", "4", "--rate", f"{500 / nodes:.0f}", "--threads", "1"]
                    loads = [start(program, server, seconds, options) for server in servers]
                    reports = [json.loads(load.communicate()[0])["traffic"]["latency_us"] for load in loads]
                finally:
                    for server in servers:
                        server.stop()
                found[kind].append([statistics.mean(report[name] for report in reports) for name in ("p50", "p99")])
        for kind, values in found.items():
            p50, p99 = map(statistics.median, zip(*values))
            print(f"| {nodes} | {kind} | {p50:,.0f} | {p99:,.0f} |", flush=True)


def start(program, server, seconds, options, processors=None):
    command = [program, "bench", "fan-out", f"ws://{server.address}/broadcast/bench", "--json"]
    command += ["--duration", str(seconds), "--warm-up", "1", *options]
    return subprocess.Popen(on(processors, command), stdout=subprocess.PIPE, text=True)


def bench(program, server, seconds, options, processors=None):
    load = start(program, server, seconds, options, processors)
    output, _ = load.communicate()
    assert load.returncode == 0, output
    return json.loads(output)


def on(processors, command):
    if processors is None:
        return command
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(processors))), *command]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Server:
    """A server on a free port. It is used when it is ready."""

    def __init__(self, command, processors):
        self.process = subprocess.Popen(on(processors, command), stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.address = re.search(r"://([^/]*)/", self.process.stdout.readline())[1]
        while not self.get("/ready").startswith("HTTP/1.1 200"):
            time.sleep(0.05)

    def get(self, path):
        host, port = self.address.split(":")
        with socket.create_connection((host, int(port))) as stream:
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return b"".join(iter(lambda: stream.recv(65536), b"")).decode()

    def writes(self):
        """Writes and deliveries so far; None: it does not tell."""

    def writes_of_delivery(self, before):
        after = self.writes()
        return (after[0] - before[0]) / (after[1] - before[1]) if after else 0

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Yamabiko(Server):
    """With one worker."""

    def __init__(self, program, redis, processors=None):
        command = [program, "serve", "--listen", "127.0.0.1:0", "--workers", "1", "--log-level", "error", "--metrics"]
        super().__init__([*command, *(["--cluster", redis.url] if redis else [])], processors)

    def writes(self):
        text = self.get("/metrics")
        return [float(re.search(rf"^yamabiko_{name}_total (\S+)", text, re.MULTILINE)[1]) for name in ("writes", "deliveries")]

    def published(self, redis):
        """The offset of the room, which begins anew."""
        script = (b"local found = 0 for _, key in ipairs(redis.call('KEYS', 'yamabiko:room:*')) do "
                  b"found = math.max(found, tonumber(redis.call('HGET', key, 'offset'))) end redis.call('FLUSHALL') return tostring(found)")
        return float(redis.command('EVAL "' + script.decode() + '" 0').split("\r\n")[1])


class Other(Server):
    def __init__(self, script, redis, processors=None):
        super().__init__(["node", str(script), str(redis.port)], processors)

    def published(self, redis):
        return float(re.search(r"cmdstat_publish:calls=(\d+)", redis.information("commandstats"))[1])


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

    def command(self, command):
        with socket.create_connection(("127.0.0.1", self.port)) as stream:
            stream.sendall(f"{command}\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: stream.recv(65536), b"")).decode()

    def information(self, section):
        return self.command(f"INFO {section}")

    def traffic(self):
        text = self.information("stats")
        return [float(re.search(rf"^total_net_{way}_bytes:([0-9.]+)", text, re.MULTILINE)[1]) for way in ("input", "output")]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    main()
