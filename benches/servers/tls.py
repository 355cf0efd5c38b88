#!/usr/bin/env python3
"""What TLS costs: yamabiko, a loop that only seals and sends, uWebSockets, and nginx in front of yamabiko.

    tls.py quick|full --yamabiko PATH [--page FILE] [--only cost,idle,handshakes]

Measured with `yamabiko bench` over wss, every server on one core and the load on another:

- cost: CPU time of the server for each delivery. The servers take turns in each round; the table has medians, and the medians of
  the ratios within the rounds. nginx and the yamabiko behind it are measured in two runs, and added.
- idle: memory of the server for each idle connection.
- handshakes: the latency of members at a steady rate of messages, with and without full handshakes with RSA-2048 that other
  clients offer.

`run.sh` builds the programs first (`benches/servers/run.sh tls quick`). What is not built is left out, with a message. The script
ends only processes that it has started.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import cases
import measure
from report import number as digits

OURSELVES = "yamabiko"
PLAIN = "yamabiko, without TLS"
SEALS = "only seals and sends"
UWEBSOCKETS = "uWebSockets, OpenSSL"
NGINX = "nginx in front of yamabiko"

CASES = [(1000, 1, 64, 1), (1000, 10, 64, 64)]
HANDSHAKES_PER_SECOND = 1000
# Members that talk while others only shake hands: far from what one core can deliver.
MEMBERS, MESSAGES_PER_SECOND = 100, 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("level", choices=["quick", "full"])
    parser.add_argument("--yamabiko", type=pathlib.Path, required=True)
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--only", default="cost,idle,handshakes")
    parser.add_argument("--server-core", default="0")
    parser.add_argument("--load-core", default="1")
    arguments = parser.parse_args()
    is_full = arguments.level == "full"
    # nginx needs two descriptors for each, and a process may have 20,000.
    idle = 8_000 if is_full else 2_000
    measure.raise_open_files_limit(needed=idle + 200)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, pathlib.Path(folder))
        sections = []
        wanted = arguments.only.split(",")
        if "cost" in wanted:
            sections.append(cost(bench, rounds=7 if is_full else 3, seconds=2 if is_full else 1))
        if "idle" in wanted:
            sections.append(idle_memory(bench, idle))
        if "handshakes" in wanted:
            sections.append(handshakes(bench, rounds=5 if is_full else 2, seconds=5 if is_full else 3))
    page = head(arguments) + "\n".join(sections)
    print(page)
    if arguments.page:
        arguments.page.write_text(page)


class Bench:
    """The programs, the cores, and files with certificates."""

    def __init__(self, arguments, folder):
        self.yamabiko = arguments.yamabiko.resolve()
        self.server_core, self.load_core = arguments.server_core, arguments.load_core
        self.folder = folder
        self.certificate("ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        self.certificate("rsa", "-newkey", "rsa:2048")

    def certificate(self, name, *key):
        command = ["openssl", "req", "-x509", *key, "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        command += ["-keyout", self.folder / f"{name}.key", "-out", self.folder / f"{name}.pem"]
        subprocess.run(command, check=True, capture_output=True)

    def files(self, name):
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")

    def load(self, url, pid, *options):
        """The report of `yamabiko bench`."""
        command = ["taskset", "-c", self.load_core, str(self.yamabiko), "bench", *options[:1], url]
        command += [*options[1:], "--pid", str(pid), "--json", "--no-progress"]
        if url.startswith("wss"):
            command.append("--insecure")
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{url}: {done.stderr.strip()} {done.stdout[:500]}")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def started(self, *command, environment=None):
        """The process and the port of a server that prints its address."""
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                ["taskset", "-c", self.server_core, *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
            try:
                yield process.pid, measure.announced_port(process, output)
            finally:
                end(process)


def end(process):
    process.terminate()
    try:
        process.wait(measure.END_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# The servers: each gives its URL, and the processes whose time counts.


@contextlib.contextmanager
def yamabiko(bench, key="ec", path="/broadcast/bench"):
    certificate, key = bench.files(key)
    command = [str(bench.yamabiko), "serve", "--workers", "1", "--listen", "127.0.0.1:0"]
    command += ["--log-level", "off", "--tls-cert", certificate, "--tls-key", key]
    with bench.started(*command) as (pid, port):
        yield f"wss://127.0.0.1:{port}{path}", [pid]


@contextlib.contextmanager
def plain(bench):
    command = [str(bench.yamabiko), "serve", "--workers", "1", "--listen", "127.0.0.1:0"]
    with bench.started(*command, "--log-level", "off") as (pid, port):
        yield f"ws://127.0.0.1:{port}/broadcast/bench", [pid]


@contextlib.contextmanager
def with_variables(bench, program, mode):
    certificate, key = bench.files("ec")
    environment = {"TLS_CERT": certificate, "TLS_KEY": key}
    with bench.started(str(program), "0", mode, environment=environment) as (pid, port):
        yield f"wss://127.0.0.1:{port}/bench", [pid]


@contextlib.contextmanager
def nginx(bench):
    with plain(bench) as (url, [pid]):
        port = free_port()
        certificate, key = bench.files("ec")
        backend = re.search(r"127\.0\.0\.1:\d+", url)[0]
        file = bench.folder / "nginx.conf"
        file.write_text(NGINX_CONF.format(
            folder=bench.folder, port=port, backend=backend, certificate=certificate, key=key
        ))
        process = subprocess.Popen(
            ["taskset", "-c", bench.server_core, "nginx", "-c", file, "-p", bench.folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            worker = until(lambda: next(iter(children(process.pid)), None))
            yield f"wss://127.0.0.1:{port}/broadcast/bench", [worker, pid]
        finally:
            end(process)


NGINX_CONF = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 30000;
pid {folder}/nginx.pid;
error_log /dev/null;
events {{ worker_connections 25000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{
            proxy_pass http://{backend};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def until(look):
    deadline = time.monotonic() + measure.READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise RuntimeError("not ready in time")


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def servers(bench):
    limit, uwebsockets = cases.PROGRAMS / "limit", cases.BUILD / "uwebsockets" / "uwebsockets-tls"
    found = {
        OURSELVES: (bench.yamabiko, lambda: yamabiko(bench)),
        PLAIN: (bench.yamabiko, lambda: plain(bench)),
        SEALS: (limit, lambda: with_variables(bench, limit, "sealed")),
        UWEBSOCKETS: (uwebsockets, lambda: with_variables(bench, uwebsockets, "broadcast")),
        NGINX: (pathlib.Path("/usr/sbin/nginx"), lambda: nginx(bench)),
    }
    for name, (program, _) in found.items():
        if not program.exists():
            print(f"LEFT OUT {name}: not built: {program}", file=sys.stderr)
    return {name: start for name, (program, start) in found.items() if program.exists()}


# What is measured.


def cost(bench, rounds, seconds):
    """The section about CPU time and deliveries."""
    text = "## CPU time of the server\n"
    all_servers, lost = servers(bench), []
    for connections, publishers, message_bytes, window in CASES:
        options = ["fan-out", "--connections", str(connections), "--publishers", str(publishers)]
        options += ["--bytes", str(message_bytes), "--window", str(window), "--warm-up", "0.5"]
        options += ["--duration", str(seconds)]
        found = {name: [] for name in all_servers}
        names = list(all_servers)
        for number in range(rounds):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                with all_servers[name]() as (url, processes):
                    reports = [bench.load(url, pid, *options) for pid in processes]
                microseconds = sum(report["server"]["cpu"]["us_per_delivery"] for report in reports)
                per_second = min(report["traffic"]["delivered_per_second"] for report in reports)
                load = statistics.mean(report["load"]["us_per_delivery"] for report in reports)
                found[name].append((microseconds, per_second, load))
                print(f"{number + 1} {name}: {microseconds:.3f} us", file=sys.stderr)
        text += (
            f"\n{connections} members, {publishers} publishers, {message_bytes} bytes, window {window}; "
            f"{rounds} rounds of {seconds} s:\n\n"
        )
        text += "| server | µs per delivery | yamabiko with TLS, divided by it | deliveries a second | µs of the load |\n"
        text += "|---|---|---|---|---|\n"
        for name, runs in found.items():
            ratio = statistics.median(
                ours[0] / theirs[0] for ours, theirs in zip(found[OURSELVES], runs, strict=True)
            )
            columns = [statistics.median(run[index] for run in runs) for index in range(3)]
            text += f"| {name} | {digits(columns[0])} | {ratio:.2f} | {columns[1]:,.0f} | {digits(columns[2])} |\n"
            if ratio > 1 and name not in (PLAIN, SEALS):
                lost.append(f"{connections} members, {publishers} publishers: {name} takes {1 / ratio:.2f} of our CPU time")
    return text + "\nWhere we lose: " + ("; ".join(lost) if lost else "in no row of these tables") + ".\n"


def idle_memory(bench, connections):
    """The section about memory of idle connections."""
    text = "\n## Memory of the server for an idle connection\n\n"
    text += f"{connections:,} connections, without the kernel's memory:\n\n| server | bytes |\n|---|---|\n"
    for name, start in servers(bench).items():
        if name == SEALS:
            continue
        with start() as (url, processes):
            options = ["idle", "--connections", str(connections), "--duration", "0.5"]
            reports = [bench.load(url, pid, *options) for pid in processes]
        total = sum(report["server"]["resident_bytes_per_connection"] for report in reports)
        text += f"| {name} | {total:,.0f} |\n"
    return text


def handshakes(bench, rounds, seconds):
    """The section about members while other clients shake hands."""
    program = cases.PROGRAMS / "handshakes"
    if not program.exists():
        print(f"LEFT OUT handshakes: not built: {program}", file=sys.stderr)
        return ""
    options = ["fan-out", "--connections", str(MEMBERS), "--publishers", "10", "--warm-up", "4"]
    options += ["--rate", str(MESSAGES_PER_SECOND), "--duration", str(seconds)]
    latencies, offered = ([], []), []
    with yamabiko(bench, key="rsa") as (url, [pid]):
        address = re.search(r"127\.0\.0\.1:\d+", url)[0]
        for number in range(rounds):
            latencies[0].append(bench.load(url, pid, *options)["traffic"]["latency_us"]["p99"])
            # It begins when the members are open, and before their latency counts.
            flood = subprocess.Popen(
                ["sh", "-c", 'sleep 2; exec taskset -c "$@"', "flood", bench.load_core, program, address,
                 str(HANDSHAKES_PER_SECOND), str(seconds + 3)],
                stdout=subprocess.PIPE, text=True,
            )
            try:
                latencies[1].append(bench.load(url, pid, *options)["traffic"]["latency_us"]["p99"])
                offered.append(flood.communicate(timeout=60)[0].strip())
            finally:
                end(flood)
            print(f"{number + 1} p99: {latencies[0][-1]} us, {latencies[1][-1]} us; {offered[-1]}", file=sys.stderr)
    without, during = (statistics.median(values) for values in latencies)
    return (
        "\n## Members while other clients shake hands\n\n"
        f"{MEMBERS} members, {MESSAGES_PER_SECOND} messages a second of 64 bytes; {HANDSHAKES_PER_SECOND} full handshakes a second with "
        f"RSA-2048 are offered on connections of their own; {rounds} rounds:\n\n"
        "| | p99 of the latency |\n|---|---|\n"
        f"| no handshakes | {without / 1000:.2f} ms |\n| handshakes ({offered[-1]}) | {during / 1000:.2f} ms |\n"
        f"| ratio | {during / without:.2f} |\n"
    )


def head(arguments):
    nginx_version = measure.output_of(["sh", "-c", "nginx -v 2>&1"]).removeprefix("nginx version: ")
    return (
        "# What TLS costs\n\n"
        f"`benches/servers/run.sh tls {arguments.level}` writes this page. TLS 1.3, ECDSA with P-256; every server on core {arguments.server_core}, "
        f"the load on core {arguments.load_core}.\n\n"
        f"- yamabiko {measure.output_of(['git', '-C', str(cases.HERE), 'describe', '--always', '--dirty'])}; "
        f"{datetime.date.today().isoformat()}; {measure.processor()}, {os.cpu_count()} cores; "
        f"{measure.output_of(['uname', '-sr'])}; load average before the end {os.getloadavg()[0]:.1f}\n"
        f"- {nginx_version}; {measure.output_of(['openssl', 'version'])}; uWebSockets 20.58.0\n\n"
        "“Only seals and sends” is no server: it parses frames, seals the messages of a turn once for each client with the same library "
        "and the same cryptography, and sends them.\n\n"
    )


if __name__ == "__main__":
    main()
