#!/usr/bin/env python3
"""Measures the core in memory and writes docs/benchmarks-core.md.

    benches/core.py                     everything: some fifteen minutes behind the builds
    benches/core.py --build             measures nothing, and compiles everything on all cores
    benches/core.py --only receive      one part; with the option repeated, several
    benches/core.py --missing           the parts that were not measured at this commit
    benches/core.py --page              no part, only the page

A part is kept in target/core/ when it has been measured, so that a run which was ended
goes on with --missing. The page needs all parts. If they were measured at different
commits, it says so.

The parts and what they measure:

    receive            benches/receive.rs
    masking            benches/frame.rs
    libraries          benches/libraries/src/lib.rs
    deflate            benches/deflate.rs
    deflate-libraries  benches/deflate/src/lib.rs

All of it runs on one core; let nothing else run beside it. Needs cargo, taskset, and for
zlib-ng a C compiler and cmake.
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
SPANS = ["--warm-up-time", "0.3", "--measurement-time", "1.2", "--noplot"]
BENCHES = ("receive", "frame", "deflate")
# A difference that is smaller is noise.
NOISE = 0.03

sys.path.insert(0, str(HERE / "servers"))
import measure  # noqa: E402
from report import number, table  # noqa: E402


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    which = arguments.add_mutually_exclusive_group()
    which.add_argument("--page", action="store_true", help="measure nothing")
    which.add_argument("--build", action="store_true", help="measure nothing, compile everything")
    which.add_argument("--missing", action="store_true", help="what is not measured yet")
    which.add_argument("--only", action="append", choices=PARTS, help="one part")
    options = arguments.parse_args()
    if options.build:
        return build()
    for part in wanted(options, commit()):
        keep(part, PARTS[part]())
    parts = {part: kept(part) for part in PARTS}
    missing = [part for part, found in parts.items() if found is None]
    if missing:
        sys.exit(f"no page: these parts have not been measured: {', '.join(missing)}")
    (ROOT / "docs" / "benchmarks-core.md").write_text(page(parts))


def wanted(options, now):
    """The parts to measure."""
    if options.page:
        return []
    if options.missing:
        return [part for part in PARTS if (kept(part) or {}).get("yamabiko") != now]
    return options.only or list(PARTS)


def keep(part, numbers):
    found = {
        "processor": f"{measure.processor()}, {os.cpu_count()} cores",
        "compiler": measure.output_of(["rustc", "--version"]),
        "yamabiko": commit(),
        "date": datetime.date.today().isoformat(),
        "numbers": numbers,
    }
    MEASURED.mkdir(parents=True, exist_ok=True)
    kept_in(part).write_text(json.dumps(found))


def kept(part):
    """What was measured of a part, or None."""
    try:
        return json.loads(kept_in(part).read_text())
    except FileNotFoundError:
        return None


def kept_in(part):
    return MEASURED / f"{part}.json"


def commit():
    return measure.output_of(["git", "-C", str(ROOT), "describe", "--always", "--dirty"])


# Measuring. Each of these returns what its part of the page needs: the tables that a
# program has printed, or nanoseconds by the names of a benchmark.


def measure_libraries():
    return {
        name: cargo(HERE / "libraries", "run", "--release", "--locked", "--", name)
        for name in ("receive", "send", "open")
    }


def measure_deflate_libraries():
    return cargo(HERE / "deflate", "run", "--release", "--locked")


def build():
    """Compiles what the parts measure, on all cores."""
    benches = [word for bench in BENCHES for word in ("--bench", bench)]
    for folder, *command in (
        (ROOT, "bench", *benches, "--no-run"),
        (HERE / "libraries", "build", "--release", "--locked"),
        (HERE / "deflate", "build", "--release", "--locked"),
    ):
        subprocess.run(["cargo", *command], cwd=folder, check=True)


def criterion(bench):
    """Group -> benchmark -> parameter -> nanoseconds for one message."""
    folder = ROOT / "target" / "criterion"
    began = datetime.datetime.now().timestamp()
    cargo(ROOT, "bench", "--bench", bench, "--", *SPANS)
    found = {}
    for estimates in folder.glob("**/new/estimates.json"):
        if estimates.stat().st_mtime >= began:
            new = estimates.parent
            of = json.loads((new / "benchmark.json").read_text())
            names = found.setdefault(of["group_id"], {}).setdefault(of["function_id"], {})
            names[of["value_str"] or ""] = nanoseconds(new)
    return found


def nanoseconds(new):
    """The median of one message."""
    median = json.loads((new / "estimates.json").read_text())["median"]["point_estimate"]
    throughput = json.loads((new / "benchmark.json").read_text())["throughput"] or {}
    return median / throughput.get("ElementsAndBytes", {"elements": 1})["elements"]


def cargo(folder, *arguments):
    """What a program prints that cargo runs, on the one core."""
    command = ["taskset", "-c", CORE, "cargo", *arguments]
    done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


PARTS = {
    "receive": lambda: criterion("receive"),
    "masking": lambda: criterion("frame"),
    "libraries": measure_libraries,
    "deflate": lambda: criterion("deflate"),
    "deflate-libraries": measure_deflate_libraries,
}


def page(parts):
    numbers = {part: found["numbers"] for part, found in parts.items()}
    libraries = numbers["libraries"]
    return "\n\n".join(
        [
            INTRODUCTION,
            table(("", ""), head(parts)),
            RECEIVE,
            receive_table(numbers["receive"]),
            CYCLES,
            cycles_table(numbers["receive"]["cycles"]),
            MASKING,
            masking_table(numbers["masking"]["masking"]),
            MASKING_COPIES,
            copies_table(numbers["masking"]["encode a frame"]),
            LIBRARIES,
            RECEIVE_LIBRARIES,
            libraries["receive"].strip(),
            SEND_LIBRARIES,
            libraries["send"].strip(),
            OPEN_LIBRARIES,
            libraries["open"].strip(),
            losses(libraries.values()),
            DEFLATE,
            deflate_table(numbers["deflate"]),
            DEFLATE_LIBRARIES,
            numbers["deflate-libraries"].strip(),
        ]
    ) + "\n"


def head(parts):
    """What all parts share, once; commit and date for each part where they differ."""
    rows = []
    for name in ("processor", "compiler", "yamabiko", "date"):
        values = {part: found[name] for part, found in parts.items()}
        if len(set(values.values())) == 1:
            rows.append((name, next(iter(values.values()))))
        else:
            rows.extend((f"{name}, {part}", value) for part, value in values.items())
    return [*rows, ("command", "`benches/core.py`")]


INTRODUCTION = """\
# The core, in memory

This page shows the cost of the protocol without a socket: receiving, masking, sending and
compressing messages, and the opening handshake. `benches/core.py` writes it; nothing here is
entered by hand. [benchmarks.md](benchmarks.md) compares servers on sockets."""

RECEIVE = """\
## Receiving, compared with the minimum

Nanoseconds for one message, from masked bytes to a checked event of `Connection::receive`, as
server. The *floor* is the minimum: the XOR of the masking and, for a text, `simdutf8`, on the
same bytes, by the fastest means that is known and by code that knows where each payload begins
and checks nothing else (`benches/input/floor.rs`). *Batched*: each read of 64 KiB is full of
messages, or a read has one larger message. *One by one*: one read for each message. *Cut*: one
message arrives in reads of 64 KiB, and `Connection::receive` buffers it; the floor masks while it
copies the message into a buffer that is there already. The rows of 1 MiB differ between two runs
by up to a half. The cause is probably the buffer: it grows with what arrives, and is copied if the
allocator cannot extend it where it is. `Connection::receive_from` has no such buffer."""

CYCLES = """\
### In cycles

A benchmark of known length in cycles gives the frequency of the processor. Batched."""

MASKING = """\
## Masking

Nanoseconds for one payload. *Byte by byte* is the loop that RFC 6455 §5.3 describes,
`mask_byte_by_byte`. The *floor* is the same as above, with a known key. *memcpy* reads and
writes as many bytes and calculates nothing."""

MASKING_COPIES = """\
### While copying

A client masks a payload while it appends the payload to its output. Nanoseconds for one call of
`encode`, which also writes the header. The *floor* masks while it copies into a buffer that is
there already, without a header."""

LIBRARIES = """\
## Compared with other libraries

Each library is used as its documentation advises (`benches/libraries/src/`). *By hand* is no
library but the same work for frames whose form and positions are known beforehand. The libraries
take turns; the numbers are medians."""

RECEIVE_LIBRARIES = """\
### Receiving

Nanoseconds for one message, including the copy out of the simulated socket.

tokio-websockets checks a long text as it arrives, while it is in a near cache, and makes a `str` of the whole by unsafe
code. yamabiko has none: a `str` that lies in the input needs one check of the whole. So a text that is longer than the cache is
read once more from the next one."""

SEND_LIBRARIES = """\
### Sending

Nanoseconds for one message, including the copy into the simulated socket. *Batched*: one write
for as many messages as 64 KiB hold; `–`: the library writes each frame by itself. *One by one*:
a write for each message. A client masks; its keys come from a cryptographic generator. All
libraries send the same bytes from the same place. The socket is a buffer of 64 KiB, in which a
write lies behind the one before. Of a large message, nothing but the copy into the socket remains
if the library makes no copy of its own; then all numbers are those of `memcpy`.

web-socket gives its socket header and payload as two slices, whatever their length. Here this
saves a copy and costs nothing. For the second slice of a write to TCP, Linux takes 130 ns more:
below 8 KiB a copy costs less (`benches/send_paths`, `copy` and `slices`), so yamabiko is measured
with two slices from there on."""

OPEN_LIBRARIES = """\
### The opening handshake

Nanoseconds for one handshake, or for the first step of it. The request is a browser's, of 16
lines. `–`: the library does not do this, or cannot be measured (`benches/libraries/src/open.rs`).

httparse finds the fields and checks their syntax. To *read the head*, yamabiko also checks the
request target, Host, the limit of each line and that no two readers can find two ends of the
request, and collects the fields that decide about the body, the next request and the upgrade."""

DEFLATE = """\
## permessage-deflate, compared with zlib-rs alone

Microseconds for one message of JSON. *Library*: zlib-rs alone on the same bytes with the same
parameters, into an existing buffer, and the check of UTF-8 for received messages; without frames,
limits and management of memory. *Fan-out* is `MessageDeflater::write_frame`, once for a whole
room; *send* is `Connection::send`. *Takeover*: with context takeover, where each message may
refer to the messages before it. The library keeps its state for it, as yamabiko does for sending.
For receiving, yamabiko keeps only the window between two messages, and gives the rest back to a
pool."""

DEFLATE_LIBRARIES = """\
## Why zlib-rs

This section compares libraries for DEFLATE with messages of permessage-deflate. zlib-rs is
written in Rust, has windows from 9 to 15 bits, and has streams that take their input in pieces
and can stop at a limit. It is about as fast as zlib-ng (C): slower with short messages, faster
at inflating. miniz_oxide has no unsafe code, takes up to five times as long, and has one window
size. libdeflate gives fewer bytes and inflates faster, but it works on whole buffers only, so it
cannot enforce a limit while it inflates a message from the network."""


def receive_table(groups):
    rows = []
    for arrival, prefix in (
        ("batched", ""),
        ("one by one", "one message in a read, "),
        ("cut", "cut into reads, "),
    ):
        for kind in ("ascii", "multi-byte", "binary"):
            group = groups[f"{prefix}{kind}"]
            for size in sizes(group["yamabiko"]):
                ours, least = (group[who][str(size)] for who in ("yamabiko", "floor"))
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


CLOCK_CYCLES = 3000


def cycles_table(group):
    cycles_per_ns = CLOCK_CYCLES / group["clock"][""]
    rows = []
    for what, size, name in (
        ("text", "128", "a masked text of 128 B, received"),
        ("mask", "1024", "1 KiB, masked in place"),
    ):
        ours, least = (group[f"{what}, {who}"][size] for who in ("yamabiko", "floor"))
        cycles = (f"{ns * cycles_per_ns:.0f}" for ns in (ours, least))
        rows.append((name, number(ours), number(least), *cycles))
    header = ("", "yamabiko, ns", "floor, ns", "yamabiko, cycles", "floor, cycles")
    return table(header, rows)


def masking_table(group):
    return sizes_table(
        group,
        (("mask", "yamabiko"), ("byte by byte",) * 2, ("floor",) * 2, ("memcpy",) * 2),
    )


def copies_table(group):
    return sizes_table(
        group,
        (("client", "client"), ("server", "server, not masked"), ("floor",) * 2, ("memcpy",) * 2),
    )


def sizes_table(group, columns):
    """A line for each size; the first column is compared with the floor."""
    ours = columns[0][0]
    rows = [
        (
            f"{size} B",
            *(number(group[name][str(size)]) for name, _ in columns),
            f"{group[ours][str(size)] / group['floor'][str(size)]:.2f}×",
        )
        for size in sizes(group[ours])
    ]
    return table(("payload", *(title for _, title in columns), "times the floor"), rows)


def deflate_table(groups):
    rows = []
    for context, title in (("receive", "receive"), ("receive, takeover", "receive, takeover")):
        group = groups[context]
        for size in sizes(group["yamabiko"]):
            rows.append(beside_library(f"{title}, {size} B", group, "yamabiko", size))
    for level in (1, 6):
        for context in ("", ", takeover"):
            group = groups[f"send{context}, level {level}"]
            for what in ("fan out/yamabiko", "send/yamabiko"):
                for size in sizes(group.get(what, {})):
                    title = what.removesuffix("/yamabiko").replace(" ", "-")
                    name = f"{title}{context}, level {level}, {size} B"
                    rows.append(beside_library(name, group, what, size))
    return table(("message", "yamabiko, µs", "library, µs", "times the library"), rows)


def beside_library(name, group, who, size):
    ours, theirs = (group[w][str(size)] / 1e3 for w in (who, "library"))
    return name, number(ours), number(theirs), f"{ours / theirs:.2f}×"


def losses(tables):
    """Rows in which a library is faster than yamabiko, by more than the noise."""
    found = [row for text in tables for row in lost_rows(text)]
    if not found:
        return f"No library is faster in any row by more than {NOISE:.0%}."
    title = f"### Where we lose\n\nRows in which a library is faster by more than {NOISE:.0%}."
    return f"{title}\n\n" + table(("row", "yamabiko", "faster"), found)


def lost_rows(text):
    lines = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in text.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]
    names = lines[0]
    ours = names.index("yamabiko")
    for cells in lines[1:]:
        faster = [
            f"{name} {cell} ({1 - value(cell) / value(cells[ours]):.0%})"
            for name, cell in zip(names[1:], cells[1:])
            if name not in ("yamabiko", "by hand")
            and value(cells[ours]) > value(cell) * (1 + NOISE)
        ]
        if faster:
            yield cells[0], cells[ours], ", ".join(faster)


def value(cell):
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        return float("inf")


def sizes(names):
    return sorted(int(name) for name in names)


if __name__ == "__main__":
    main()
