#!/usr/bin/env python3
"""Writes docs/benchmarks-tokio.md: yamabiko-tokio beside the other libraries for tokio.

    tokio_report.py RESULTS_FOLDER PAGE

The results are those of `measure.py tokio` and `instructions.py`. Everything in the page is computed.
"""

import json
import pathlib
import statistics
import sys

import cases
import report

# The limit is no library, and the counts of instructions have none.
OTHERS = [name for name in cases.TOKIO_SERVERS if name not in (cases.LIMIT, cases.ADAPTER)]


def main(folder, page):
    results = report.read(folder)
    counted = folder / "instructions.json"
    instructions = json.loads(counted.read_text()) if counted.exists() else None
    page.write_text(text(results, instructions))
    print(f"wrote {page}")


def text(results, instructions):
    measured = {case for case, _, _ in results.values}
    of = {
        scenario: [case for case in cases.TOKIO if case.scenario == scenario and case.name in measured]
        for scenario in ("echo", "fan-out", "idle")
    }
    sections = [
        INTRODUCTION,
        report.machine_section(results),
        costs("## Echo", "connections, bytes of a message, messages in flight for each", results, of["echo"]),
        costs(
            "## Fan-out, with one task for each connection",
            "members, publishers, bytes of a message, messages in flight for each publisher",
            results,
            of["fan-out"],
        ),
        instruction_section(instructions),
        idle_section(results, of["idle"]),
        report.fault_section(results.faults),
        report.tuning_section(results.machine),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


INTRODUCTION = """\
# yamabiko-tokio and other libraries for tokio

This page compares [yamabiko-tokio](../crates/tokio/README.md) with the other WebSocket libraries for tokio, each in its fastest documented
configuration, on the same machine in the same run. `benches/servers/run.sh tokio` measures and writes it; nothing here is
entered by hand. The measure is that of [benchmarks.md](benchmarks.md): the CPU time of the server's process, user and system, for each message that it
delivers. **limit** is a program that only calls the kernel.

yamabiko-tokio keeps the time of each connection: pings, and limits for a closing handshake and an unfinished message. So its runtime
has a timer for each connection, and each turn of its loop reads the clock. The others leave that to the application, and do not do it here."""


def costs(title, first_column, results, of):
    if not of:
        return ""
    servers = [cases.LIMIT, cases.ADAPTER, *OTHERS]
    servers = [server for server in servers if any(results.median(case, server, "cpu_us") for case in of)]
    rows = []
    for case in of:
        cells = [cell(results.median(case, server, "cpu_us")) for server in servers]
        rows.append((report.title(case), *cells, ratio(results, case)))
    return "\n\n".join(
        [
            f"{title}\n\nCPU time of a message, µs. The first column is: {first_column}. The last one: yamabiko-tokio "
            "divided by the best other library, the median of the rounds, and the lowest and the highest.",
            report.table(("case", *servers, "yamabiko-tokio : best other"), rows),
        ]
    )


def cell(value):
    return "–" if value is None else report.number(value)


def ratio(results, case):
    """yamabiko-tokio divided by the best other library, in each round."""
    ours = results.values.get((case.name, cases.ADAPTER, "cpu_us"), [])
    others = [results.values.get((case.name, server, "cpu_us"), []) for server in OTHERS]
    others = [values for values in others if len(values) == len(ours)]
    if not ours or not others:
        return "–"
    ratios = [own / min(values) for own, *values in zip(ours, *others)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def instruction_section(instructions):
    if instructions is None:
        return ""
    counts = {(row["connections"], row["bytes"], row["server"]): row["instructions"] for row in instructions["rows"]}
    servers = list(dict.fromkeys(row["server"] for row in instructions["rows"]))
    rows = []
    for connections, message_bytes in dict.fromkeys((row["connections"], row["bytes"]) for row in instructions["rows"]):
        values = {server: counts[connections, message_bytes, server] for server in servers}
        best = min(count for server, count in values.items() if server in OTHERS)
        cells = [f"{values[server]:,}" for server in servers]
        ratios = [f"{count / best:.2f}" for server, count in values.items() if server not in OTHERS]
        rows.append((f"{connections}, {message_bytes}", *cells, ", ".join(ratios)))
    return "\n\n".join(
        [
            "## Instructions of an echo\n\n"
            f"In user space, counted by {instructions['valgrind']} (`instructions.py`). The first column is: connections, which have "
            "all sent a message before the server goes on, and bytes of a message. With one connection each message takes a whole turn of the "
            "runtime's loop, in which the timers cost most: the second column of yamabiko-tokio is without `Timeouts::ping` and "
            "`Timeouts::message`, so that nothing keeps the time of a connection, as with the others. The last column is that of each of "
            "the two, divided by the best other library. A copy by `rep movsb` counts as one instruction for each byte, so a "
            "long copy counts more here than it takes.",
            report.table(("case", *servers, "yamabiko-tokio : best other"), rows),
        ]
    )


def idle_section(results, of):
    if not of:
        return ""
    [case] = of
    rows = [
        (server, f"{results.median(case, server, 'idle_bytes'):,.0f} B", report.number(results.median(case, server, "opening_us")))
        for server in report.by_value(results, case, "idle_bytes")
    ]
    return "\n\n".join(
        [
            f"## An idle connection\n\n{case.connections:,} connections: how much the server's resident memory has grown for each, and the "
            "server's CPU time until it is open.",
            report.table(("server", "memory", "CPU of accepting, µs"), rows),
        ]
    )


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
