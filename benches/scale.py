#!/usr/bin/env python3
"""Measures rooms of up to a million subscriptions and writes docs/scale.md.

    benches/scale.py            some minutes with the builds
    benches/scale.py --page     only the page, from what was measured last

The subscriptions are simulated (benches/scale.rs). The arithmetic for real sockets stands
beside them: the kernel's objects for a connection from /sys/kernel/slab, and idle
connections that are opened on this machine. Needs cargo, taskset and valgrind.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
MEASURED = ROOT / "target" / "scale.json"
CORE = "1"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
BATCHES = (1, 64)
TURNS = 100
ROUNDS = 5
IDLE_CONNECTIONS = 10_000
# The kernel may take pages back while it is measured: one of several starts can be far off.
IDLE_ROUNDS = 3
A_MILLION = 1_000_000
PAGE_BYTES = 4096
SLABS = pathlib.Path("/sys/kernel/slab")
OBJECTS = {
    "TCP": "the TCP socket",
    "sock_inode_cache": "the socket as a file: its inode",
    "dentry": "the socket as a file: its name",
    "filp": "the socket as a file: the open file",
    "eventpoll_epi": "its entry in the epoll",
    "eventpoll_pwq": "the entry of the epoll in its wait queue",
}

sys.path.insert(0, str(HERE / "servers"))
import measure  # noqa: E402
from report import number, table  # noqa: E402


def main():
    words = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    words.add_argument("--page", action="store_true", help="measure nothing")
    if not words.parse_args().page:
        MEASURED.write_text(json.dumps(measure_all(), indent=1) + "\n")
    (ROOT / "docs" / "scale.md").write_text(page(json.loads(MEASURED.read_text())))


def measure_all():
    simulation = built("bench", "--bench", "scale", "--features", "internals", "--no-run")
    program = built("build", "--release", "--package", "yamabiko-cli")
    return {
        "machine": {
            "processor": f"{measure.processor()}, {os.cpu_count()} cores",
            "kernel": measure.output_of(["uname", "-sr"]),
            "compiler": measure.output_of(["rustc", "--version"]),
            "yamabiko": measure.output_of(
                ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
            ),
            "date": datetime.date.today().isoformat(),
            "load average": f"{os.getloadavg()[0]:.1f}",
            "command": "`benches/scale.py`",
        },
        "rooms": simulated(simulation),
        "objects": kernel_objects(SLABS),
        "idle": median_of([idle_connections(program) for _ in range(IDLE_ROUNDS)]),
        "limits": limits(),
    }


def built(*words):
    """The program that cargo builds."""
    command = ["cargo", *words, "--message-format=json"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    programs = [json.loads(line).get("executable") for line in done.stdout.splitlines()]
    return [program for program in programs if program][-1]


def simulated(program):
    """For each size and batch: nanoseconds, instructions and bytes of a subscription."""
    rows = {(size, batch): [] for size in SIZES for batch in BATCHES}
    # The rounds alternate, so that all sizes share the machine's good and bad minutes.
    for _ in range(ROUNDS):
        for (size, batch), found in rows.items():
            found.append(json.loads(run([program, *map(str, (size, batch, TURNS))])))
    return [
        {
            "subscriptions": size,
            "records": batch,
            "nanoseconds": min(round_["nanoseconds"] for round_ in found),
            "bytes": max(round_["bytes"] for round_ in found),
            "instructions": instructions(program, size, batch),
        }
        for (size, batch), found in rows.items()
    ]


def instructions(program, size, batch):
    """Of a subscription in a turn: the difference between two lengths of a run."""
    short, long = (counted([program, *map(str, (size, batch, turns))]) for turns in (1, 3))
    return (long - short) / (2 * max(size, A_MILLION))


def counted(command):
    tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run([*tool, *command], check=True, capture_output=True, text=True)
    return int(re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)[1].replace(",", ""))


def run(command):
    command = ["taskset", "-c", CORE, *command]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def kernel_objects(slabs):
    """For each object of a connection: its bytes, with its share of the unused rest of a slab.
    `None`: the system does not tell."""
    return {name: object_bytes(slabs / name) for name in OBJECTS}


def object_bytes(slab):
    try:
        order, count = (int((slab / name).read_text()) for name in ("order", "objs_per_slab"))
    except (OSError, ValueError):
        return None
    return (PAGE_BYTES << order) / count


def idle_connections(program):
    """The growth of memory for idle connections: of the server's process, and of the kernel for
    both ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    serve = [program, "serve", "--listen", "127.0.0.1:0", "--workers", "1", "--ping-interval", "0"]
    server = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://([\d.:]+)/", server.stdout.readline())[1]
        before = memory_of(server.pid)
        load = [program, "bench", "idle", f"ws://{address}/broadcast/scale", "--no-progress"]
        load += ["--connections", str(IDLE_CONNECTIONS), "--duration", "3"]
        load = subprocess.Popen(load, stdout=subprocess.DEVNULL)
        after = memory_with_all_open(server.pid)
        load.wait()
    finally:
        server.terminate()
        server.wait()
    return {key: (after[key] - before[key]) / IDLE_CONNECTIONS for key in before}


def median_of(rounds):
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}


def memory_with_all_open(pid):
    deadline = time.monotonic() + 60
    while len(os.listdir(f"/proc/{pid}/fd")) < IDLE_CONNECTIONS:
        if time.monotonic() > deadline:
            sys.exit("not all connections are open after a minute")
        time.sleep(0.05)
    time.sleep(1)
    return memory_of(pid)


def memory_of(pid):
    """The server's own memory, and the kernel's slabs, in bytes."""
    own = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    slab = pathlib.Path("/proc/meminfo").read_text()
    return {"process": kilobytes("Private_Dirty", own), "slab": kilobytes("Slab", slab)}


def kilobytes(name, text):
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[1])


def limits():
    setting = lambda name: pathlib.Path("/proc/sys", name).read_text().split()  # noqa: E731
    first, last = map(int, setting("net/ipv4/ip_local_port_range"))
    return {
        "open files of a process (`fs.nr_open`)": int(setting("fs/nr_open")[0]),
        "open files of the system (`fs.file-max`)": int(setting("fs/file-max")[0]),
        "ports of a client's address (`net.ipv4.ip_local_port_range`)": last - first + 1,
    }


def page(measured):
    return "\n\n".join(
        [
            INTRODUCTION,
            table(("", ""), measured["machine"].items()),
            ROOMS,
            rooms_table(measured["rooms"]),
            SOCKETS,
            sockets_table(measured["objects"], measured["idle"]),
            memory_text(measured["objects"], measured["idle"]),
            LIMITS,
            table(("limit", "here"), [(n, f"{v:,}") for n, v in measured["limits"].items()]),
            limits_text(measured["limits"]),
        ]
    ) + "\n"


INTRODUCTION = """\
# A million subscribers

This page answers two questions. Does the cost of a subscription grow with the size of its
room? What would a million real connections need? `benches/scale.py` writes it; nothing here is
entered by hand. [benchmarks.md](benchmarks.md) has measurements on sockets, with up to 5,000
members."""

ROOMS = """\
## Rooms, simulated

`src/broadcast/` does no input and output, so that a counter can stand in place of each socket.
There are always a million subscriptions, in rooms of the size in the first column. A turn
appends its messages of 66 bytes and offers them to every subscription. One subscription in a
hundred takes half, and the rest later. The table shows the cost of one subscription in one turn:
what yamabiko adds to the kernel's `send`, which costs some 3,000 to 4,000 ns.

Nanoseconds: the lowest of five rounds that alternate. Instructions: counted by valgrind, the
difference between two lengths of a run. Bytes: the growth of the process for a subscription; a
table that has just grown has room for twice as many."""

SOCKETS = """\
## A million connections: memory

The kernel's objects for one connection, with their share of what a slab leaves unused
(`/sys/kernel/slab`), and the growth of yamabiko's process for an idle connection in a room
(10,000 connections; private memory; the median of three starts). Buffers are not in the table: an idle socket has none, and
one with data in flight has its data."""

LIMITS = """\
## A million connections: limits

A server needs one port for all its connections: a connection is told from others by the client's
address and port. So a load generator needs many addresses, and the server only descriptors."""


def rooms_table(rooms):
    rows = []
    for size in SIZES:
        of_size = [row for row in rooms if row["subscriptions"] == size]
        cells = [f"{size:,}"]
        for batch in BATCHES:
            (row,) = (row for row in of_size if row["records"] == batch)
            cells += [number(row["nanoseconds"]), number(row["instructions"])]
        rows.append((*cells, number(max(row["bytes"] for row in of_size))))
    header = ["subscriptions of a room"]
    for batch in BATCHES:
        of = "1 message" if batch == 1 else f"{batch} messages"
        header += [f"{of} a turn: ns", "instructions"]
    return table((*header, "bytes"), rows)


def sockets_table(objects, idle):
    rows = []
    for name, what in OBJECTS.items():
        size = objects[name]
        rows.append((f"kernel: {what} (`{name}`)", "not known" if size is None else number(size)))
    rows.append(("kernel: its place in the table of open files", "8"))
    ours = "yamabiko: the connection, its subscription, its place in the tables"
    rows.append((ours, number(idle["process"])))
    return table(("for one connection", "bytes"), rows)


def memory_text(objects, idle):
    known = [size for size in objects.values() if size is not None]
    kernel = sum(known) + 8
    of_a_million = (kernel + idle["process"]) * A_MILLION / 2**30
    return (
        f"Together {number(kernel + idle['process'])} bytes, of which yamabiko's part is "
        f"{100 * idle['process'] / (kernel + idle['process']):.0f} %. A million connections need "
        f"{of_a_million:.1f} GiB before the first message. As a check, the slabs of this machine "
        f"grew by {number(idle['slab'])} bytes for a connection, of which both ends were here: "
        f"{number(idle['slab'] / 2)} for one end."
    )


def limits_text(limits):
    files, _, ports = limits.values()
    addresses = -(-A_MILLION // ports)
    fits = "is just enough" if files > A_MILLION else "is too low"
    return (
        f"For a million connections, `fs.nr_open` {fits}, and the load generator needs {addresses} "
        "addresses (`yamabiko bench --source-addresses`). One message to a million members costs a "
        "million times `send`: some 4 seconds of one core on the loopback interface, divided by "
        "the number of workers. That, and not the memory, limits the rate of messages: no interface of "
        "Linux gives the same bytes to several TCP sockets at once ([why-not.md](why-not.md))."
    )


if __name__ == "__main__":
    main()
