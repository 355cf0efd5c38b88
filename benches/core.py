#!/usr/bin/env python3
"""Measures the core in memory and writes docs/benchmarks-core.md.

    benches/core.py             some twenty minutes with the builds
    benches/core.py --page      only the page, from what was measured last

What is measured stands at the top of benches/receive.rs, benches/deflate.rs,
benches/libraries/src/lib.rs and benches/deflate/src/lib.rs. All of it runs on one
core; let nothing else run beside it. Needs cargo, taskset, and for zlib-ng a C
compiler and cmake.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
MEASURED = ROOT / "target" / "core"
CORE = "1"
SPANS = ["--warm-up-time", "0.3", "--measurement-time", "1.5", "--noplot"]

sys.path.insert(0, str(HERE / "servers"))
import measure  # noqa: E402
from report import number, table  # noqa: E402


def main():
    words = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    words.add_argument("--page", action="store_true", help="measure nothing")
    if not words.parse_args().page:
        measure_all()
    (ROOT / "docs" / "benchmarks-core.md").write_text(page())


def measure_all():
    MEASURED.mkdir(parents=True, exist_ok=True)
    for bench in ("receive", "deflate"):
        cargo(ROOT, "bench", "--bench", bench, "--", *SPANS)
    for folder in ("libraries", "deflate"):
        tables = cargo(HERE / folder, "run", "--release", "--locked")
        (MEASURED / f"{folder}.md").write_text(tables)
    machine = {
        "processor": f"{measure.processor()}, {os.cpu_count()} cores",
        "compiler": measure.said_by(["rustc", "--version"]),
        "yamabiko": measure.said_by(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
        "date": datetime.date.today().isoformat(),
        "command": "`benches/core.py`",
    }
    (MEASURED / "machine.json").write_text(json.dumps(machine))


def cargo(folder, *words):
    """What a program prints that cargo runs, on the one core."""
    command = ["taskset", "-c", CORE, "cargo", *words]
    done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def page():
    machine = json.loads((MEASURED / "machine.json").read_text())
    return "\n\n".join(
        [
            INTRODUCTION,
            table(("", ""), machine.items()),
            RECEIVE,
            receive_table(),
            LIBRARIES,
            (MEASURED / "libraries.md").read_text().strip(),
            losses((MEASURED / "libraries.md").read_text()),
            DEFLATE,
            deflate_table(),
            DEFLATE_LIBRARIES,
            (MEASURED / "deflate.md").read_text().strip(),
        ]
    ) + "\n"


INTRODUCTION = """\
# The core, in memory

This page shows the cost of the protocol without a socket: receiving messages, and
compressing them. `benches/core.py` writes it; nothing here is entered by hand.
[benchmarks.md](benchmarks.md) compares servers on sockets."""

RECEIVE = """\
## Receiving, compared with the minimum

Nanoseconds for one message, from masked bytes to a checked event of `Connection::receive`, as
server. The *floor* is the minimum: the XOR of the masking and, for a text, `simdutf8`, on the
same bytes, by code that knows where each payload begins and checks nothing else. *Batched*:
each read of 64 KiB is full of messages, or a read has one larger message. *One by one*: one
read for each message. *Cut*: one message arrives in reads of 64 KiB; the floor includes the
copy that reassembles it."""

LIBRARIES = """\
## Receiving, compared with other libraries

Nanoseconds for one message, including the copy out of the simulated socket. Each library is
used as its documentation advises (`benches/libraries/src/lib.rs`). *By hand* is no library but
copy, XOR and `simdutf8`, for frames whose positions are known beforehand. The libraries take
turns; the numbers are medians."""

DEFLATE = """\
## permessage-deflate, compared with zlib-rs alone

Microseconds for one message of JSON without context takeover. *Library*: zlib-rs alone on the
same bytes with the same parameters, into an existing buffer, and the check of UTF-8 for
received messages; without frames, limits and management of memory. *Fan-out* is
`MessageDeflater::write_frame`, once for a whole room; *send* is `Connection::send`."""

DEFLATE_LIBRARIES = """\
## Why zlib-rs

This section compares libraries for DEFLATE with messages of permessage-deflate. zlib-rs is
written in Rust, has windows from 9 to 15 bits, and has streams that take their input in pieces
and can stop at a limit. It is about as fast as zlib-ng (C): slower with short messages, faster
at inflating. miniz_oxide has no unsafe code, takes up to five times as long, and has one window
size. libdeflate gives fewer bytes and inflates faster, but it works on whole buffers only, so it
cannot enforce a limit while it inflates a message from the network."""


def receive_table():
    rows = []
    for arrival, prefix, floor in (
        ("batched", "", "floor"),
        ("one by one", "one message in a read, ", "floor"),
        ("cut", "cut into reads, ", "floor and copy"),
    ):
        for kind in ("ascii", "multi-byte", "binary"):
            group = criterion_folder() / f"{prefix}{kind}"
            for size in sizes(group / "yamabiko"):
                ours, least = (
                    nanoseconds(group / who / str(size)) for who in ("yamabiko", floor)
                )
                rows.append(
                    (
                        f"{arrival}, {kind}, {size} B",
                        number(ours),
                        number(least),
                        f"{ours / least:.2f}×",
                        f"{size / ours:.2f}",
                    )
                )
    return table(("message", "yamabiko, ns", "floor, ns", "times the floor", "GB/s"), rows)


def deflate_table():
    rows = []
    receive = criterion_folder() / "receive"
    for size in sizes(receive / "yamabiko"):
        rows.append(beside_library(f"receive, {size} B", receive, "yamabiko", size))
    for level in (1, 6):
        group = criterion_folder() / f"send, level {level}"
        for what in ("fan out", "send"):
            for size in sizes(group / f"{what}_yamabiko"):
                name = f"{what.replace(' ', '-')}, level {level}, {size} B"
                rows.append(beside_library(name, group, f"{what}_yamabiko", size))
    return table(("message", "yamabiko, µs", "library, µs", "times the library"), rows)


def beside_library(name, group, who, size):
    ours, theirs = (nanoseconds(group / w / str(size)) / 1e3 for w in (who, "library"))
    return name, number(ours), number(theirs), f"{ours / theirs:.2f}×"


def losses(libraries):
    """Rows of the table in which a library is faster than yamabiko."""
    lines = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in libraries.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]
    names, found = lines[0], []
    ours = names.index("yamabiko")
    for cells in lines[1:]:
        faster = [
            f"{name} {cell}"
            for name, cell in zip(names[1:], cells[1:])
            if name not in ("yamabiko", "by hand") and value(cell) < value(cells[ours])
        ]
        if faster:
            found.append((cells[0], cells[ours], ", ".join(faster)))
    if not found:
        return "No library is faster in any row."
    return "Where we lose:\n\n" + table(("arrival, payload", "yamabiko", "faster"), found)


def value(cell):
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        return float("inf")


def criterion_folder():
    return ROOT / "target" / "criterion"


def sizes(folder):
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())


def nanoseconds(folder):
    """The median of one message."""
    new = folder / "new"
    median = json.loads((new / "estimates.json").read_text())["median"]["point_estimate"]
    throughput = json.loads((new / "benchmark.json").read_text())["throughput"] or {}
    return median / throughput.get("ElementsAndBytes", {"elements": 1})["elements"]


if __name__ == "__main__":
    main()
