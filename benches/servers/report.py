#!/usr/bin/env python3
"""Writes docs/benchmarks.md and its plots from the results of measure.py.

    report.py RESULTS_FOLDER DOCS_FOLDER

Everything in the page is computed: medians over the rounds, ratios to the limit,
and the list of cases in which another server is ahead. A run that lost, doubled or changed
a message counts as a fault and not as a measurement.
"""

import collections
import json
import pathlib
import statistics
import sys
from dataclasses import dataclass

import cases
import context
import plots

MIB = 1 << 20
YARDSTICKS = (cases.LIMIT, cases.LIMIT_EACH)
NOT_OTHER_SERVERS = (*YARDSTICKS, cases.OURSELVES, cases.TWO_WORKERS, cases.ADAPTER)


def main(results, docs):
    page, drawings = report(read(results))
    (docs / "benchmarks.md").write_text(page)
    folder = docs / "benchmarks"
    folder.mkdir(exist_ok=True)
    for name, drawing in drawings.items():
        (folder / name).write_text(drawing)
    print(f"wrote {docs / 'benchmarks.md'} and {len(drawings)} plots")


@dataclass
class Results:
    """The results of all runs: the machine, the measurements and the faults."""

    machine: dict
    # (case name, server, metric) -> one value for each round
    values: dict
    # (case name, server, description)
    faults: list
    # (case name, server) -> close codes of members that did not read
    slow_endings: dict
    loads_before: list

    def median(self, case, server, metric):
        """The median over the rounds, or `None` without a measurement."""
        values = self.values.get((case.name, server, metric))
        return statistics.median(values) if values else None

    def servers(self, case, metric):
        """The servers with a measurement, in the order of the machine's list."""
        return [s for s in self.machine["servers"] if self.median(case, s, metric) is not None]

    def limit(self, case, metric):
        """The better of the two limits, if both were measured."""
        floors = [self.median(case, server, metric) for server in YARDSTICKS]
        return min((floor for floor in floors if floor is not None), default=None)


def read(folder):
    machine = json.loads((folder / "machine.json").read_text())
    runs = [json.loads(file.read_text()) for file in sorted(folder.glob("*--*.json"))]
    return collect(machine, runs)


def collect(machine, runs):
    results = Results(machine, collections.defaultdict(list), [], {}, [])
    for run in runs:
        key = (run["case"], run["server"])
        if run["server"] not in machine["servers"]:
            continue
        results.loads_before.append(run["load_average_before"])
        if fault := fault_of(run):
            results.faults.append((*key, fault))
            continue
        for metric, value in metrics(run["report"]).items():
            results.values[(*key, metric)].append(value)
        if run["report"]["slow"]:
            results.slow_endings[key] = run["report"]["slow"]["ended"]
    return results


def fault_of(run):
    """The reason for which a run does not count; `None` if it counts."""
    if run["report"] is None:
        return run["errors"] or "no report"
    checks = run["report"]["checks"]
    wrong = {name: n for name, n in checks.items() if n and name in FAULTS}
    if wrong:
        return ", ".join(f"{name.replace('_', ' ')}: {n}" for name, n in wrong.items())
    if run["exit_status"] != 0:
        return run["errors"] or f"exit status {run['exit_status']}"
    return None


FAULTS = ("lost", "doubled", "out_of_order", "corrupted", "misdelivered", "ended", "broken")


def metrics(report):
    """The numbers of one run, in the units of their names."""
    server, traffic = report["server"], report["traffic"]
    found = {}
    if report["scenario"] == "idle":
        found["idle_bytes"] = server["resident_bytes_per_connection"]
        found["opening_us"] = report["opening"]["server_us_per_connection"]
    if report["scenario"] == "slow":
        grown = server["resident_bytes_after"] - server["resident_bytes_connected"]
        found["grown_mib"] = grown / MIB
    if traffic and traffic["delivered"]:
        found["cpu_us"] = 1e6 * server["cpu"]["seconds"] / traffic["delivered"]
        found["per_second"] = traffic["delivered_per_second"]
        # A run has no latency if no message was both sent and received while measuring.
        if latency := traffic["latency_us"]:
            found["p50_ms"] = latency["p50"] / 1e3
            found["p99_ms"] = latency["p99"] / 1e3
        if traffic.get("compression_ratio"):
            found["wire_bytes"] = traffic["received_bytes_per_delivery"]
            found["compression"] = traffic["compression_ratio"]
            grown = server["resident_bytes_after"] - server["resident_bytes_before"]
            found["used_bytes"] = grown / report["opening"]["connections"]
    return found


def report(results):
    """The page, and the plots by their file names."""
    measured = {case for case, _, _ in results.values}
    of = {
        scenario: [c for c in cases.FULL if c.scenario == scenario and c.name in measured]
        for scenario in ("fan-out", "echo", "compressed", "idle", "compressed-idle", "slow")
    }
    drawings = draw(results, of)
    sections = [
        INTRODUCTION,
        machine_section(results),
        fan_out_section(results, of["fan-out"], drawings),
        echo_section(results, of["echo"]),
        compressed_section(results, of["compressed"]),
        idle_section(results, of["idle"], drawings),
        compressed_idle_section(results, of["compressed-idle"]),
        slow_section(results, of["slow"]),
        losses_section(losses(results, [c for group in of.values() for c in group])),
        fault_section(results.faults),
        tuning_section(results.machine),
        METHOD,
    ]
    return "\n\n".join(section for section in sections if section) + "\n", drawings


INTRODUCTION = """\
# Benchmarks

This page compares the cost of yamabiko with the cost of other servers, on the same
machine in the same run. `benches/servers/report.py` writes it from measurements;
nothing here is entered by hand.

The measure is the CPU time of the server's process, user and system, for each
message that it delivers to a client. A server that costs half serves twice as many
clients on the same core. Unlike a throughput, the CPU time does not depend on the speed
of the load generator. **limit** is not a server but a reference: a program that parses
and unmasks frames, and then calls `send` once for each client and turn of its loop with
all messages of that turn (*limit, each*: once for each message and client). The
difference between a server and the limit is the work that the server adds to the
kernel's work."""


def machine_section(results):
    machine = results.machine
    loads = sorted(results.loads_before) or [0.0]
    rows = [
        ("processor", f"{machine['processor']}, {machine['cores']} cores"),
        ("virtual machine", "yes" if machine["virtual"] else "no"),
        ("memory", f"{machine['memory_gib']} GiB"),
        ("kernel", machine["kernel"]),
        ("compiler", machine["compiler"]),
        ("yamabiko", own_version(machine)),
        ("date", machine["date"]),
        ("command", f"`{machine['command']}`"),
        ("rounds", f"{machine['rounds']}, interleaved; {machine['seconds']:g} s each; medians"),
        ("runs", f"{len(results.loads_before)} of {machine['runs_planned']}"),
        (
            "pinned to",
            f"server: core {machine['server_core']}; load: core {machine['load_core']}",
        ),
        (
            "load average before a run",
            f"median {statistics.median(loads):.2f}, highest {loads[-1]:.2f}",
        ),
    ]
    return "## Machine and run\n\n" + table(("", ""), rows)


def own_version(machine):
    own = (machine["servers"].get(server) for server in (cases.OURSELVES, cases.ADAPTER))
    return next((server["version"] for server in own if server), "")


def fan_out_section(results, of_fan_out, drawings):
    if not of_fan_out:
        return ""
    parts = [
        "## Fan-out\n\nThe server sends every message to every member, its sender "
        "included. A *member* is a client that is connected. The first column is: members, "
        "publishers, bytes of a message, messages that each publisher has in flight.",
        "### CPU time per delivered message, µs (and how many times the limit)",
        "Bold: the lowest value except the limit. With many messages in flight, batching "
        "makes the difference: one write for a client, however many messages have "
        "arrived.",
        comparison(results, of_fan_out, "cpu_us", with_ratio=True),
        image(drawings, "cost-over-members.svg", "CPU time per delivery over the members"),
        image(drawings, "cost-over-flight.svg", "CPU time per delivery over messages in flight"),
        "### Deliveries per second",
        "Where servers are about equal, the limit is the load generator, which checks "
        "every message on one core.",
        comparison(results, of_fan_out, "per_second"),
        "### Latency, ms: median / 99th percentile",
        "From sending to receiving, of every delivery, at the load above. A server with "
        "a higher throughput delivers more messages in the same time.",
        latencies(results, of_fan_out),
        image(drawings, "latency.svg", "Latency of fan-out to 1000 members"),
    ]
    return "\n\n".join(part for part in parts if part)


def echo_section(results, of_echo):
    if not of_echo:
        return ""
    return "\n\n".join(
        [
            "## Echo\n\nThe server sends every message back to its sender. The first column "
            "is: connections, bytes of a message, messages that each connection has in flight.",
            "### CPU time per message, µs (and how many times the limit)",
            comparison(results, of_echo, "cpu_us", with_ratio=True),
            "### Latency, ms: median / 99th percentile",
            latencies(results, of_echo),
        ]
    )


COMPRESSED = """\
## Compressed broadcast

Fan-out with permessage-deflate (RFC 7692): JSON of 1 KiB, compressed for every member.
No server uses context takeover. *Once*: the server compresses a message once and sends the
result to all members. *Each*: it compresses the message for each member, because its
interface has no other way. The levels of some servers cannot be set (see the last table); a
higher level costs more time and gives fewer bytes. Publishers send uncompressed messages.

*Times the best other server* compares the CPU time with the CPU time of the cheapest server
other than yamabiko. The table is sorted by CPU time."""


def compressed_section(results, of_compressed):
    if not of_compressed:
        return ""
    parts = [COMPRESSED]
    for case in of_compressed:
        publishers = "publisher" if case.publishers == 1 else "publishers"
        parts += [
            f"### {case.connections} members, {case.publishers} {publishers} with "
            f"{case.window} in flight",
            compressed_table(results, case),
        ]
    return "\n\n".join([*parts, context_text()])


def compressed_table(results, case):
    rows = []
    for server in by_value(results, case, "cpu_us"):
        cpu_us = results.median(case, server, "cpu_us")
        rows.append(
            (
                server,
                "once" if server in COMPRESSING_ONCE else "each",
                number(cpu_us),
                f"{cpu_us / best_other(results, case, 'cpu_us', cpu_us):.2f}×",
                number(results.median(case, server, "wire_bytes")),
                f"{results.median(case, server, 'compression'):.2f}",
                number(results.median(case, server, "per_second")),
                latency_text(results, case, server),
            )
        )
    header = (
        "server",
        "compresses",
        "CPU per delivery, µs",
        "times the best other server",
        "bytes on the wire per delivery",
        "times less than plain",
        "deliveries per second",
        "latency, ms: p50 / p99",
    )
    return table(header, rows)


COMPRESSING_ONCE = (cases.OURSELVES, "gorilla")


def best_other(results, case, metric, otherwise):
    """The lowest median of the other servers, or `otherwise` if there is none."""
    values = [
        results.median(case, server, metric)
        for server in results.servers(case, metric)
        if server not in NOT_OTHER_SERVERS
    ]
    return min(values, default=otherwise)


def context_text():
    """The cost of working without context takeover."""
    rows = []
    for message_bytes in (256, 1024, 16_384):
        for level in (1, 6):
            by_itself, with_context = context.ratios(message_bytes, level)
            saved = f"{100 * (1 - by_itself / with_context):.0f} %"
            rows.append(
                (message_bytes, level, f"{by_itself:.2f}", f"{with_context:.2f}", saved)
            )
    header = (
        "bytes of a message",
        "level",
        "times less, by itself",
        "times less, with context",
        "bytes that the context saves",
    )
    return CONTEXT + "\n\n" + table(header, rows)


CONTEXT = """\
### The cost of working without context takeover

With context takeover a message may refer to earlier messages, up to 32 KiB back. This makes
it shorter, above all if messages are short and similar. But then each connection needs its
own compressor (256 KiB with zlib's defaults), the other side needs a window (32 KiB), and
every message must be compressed again for each member. The table shows the compression with
and without context takeover, by zlib (`benches/servers/context.py`). The messages have the
same form as in the measurements above, but each has numbers of its own:"""


def compressed_idle_section(results, of_idle):
    parts = []
    for case in of_idle:
        rows = [
            (server, bytes_text(results.median(case, server, "used_bytes")))
            for server in by_value(results, case, "used_bytes")
        ]
        parts.append(
            f"## Memory of a compressed connection\n\n{case.connections:,} connections with "
            f"permessage-deflate, and {case.rate_per_second} message of 1 KiB a second to all "
            "of them. The table shows how much the server's resident memory grew for each "
            "connection, from before the first connection until after the last message.\n\n"
            + table(("server", "per connection"), rows)
        )
    return "\n\n".join(parts)


def idle_section(results, of_idle, drawings):
    parts = []
    for case in of_idle:
        rows = [
            (
                server,
                bytes_text(results.median(case, server, "idle_bytes")),
                number(results.median(case, server, "opening_us")),
            )
            for server in by_value(results, case, "idle_bytes")
        ]
        parts += [
            f"## An idle connection\n\n{case.connections:,} connections. For each of them the "
            "table shows the growth of the server's resident memory, without the kernel's memory "
            "for the socket, and the server's CPU time until the connection is open.",
            table(("server", "memory", "CPU of accepting, µs"), rows),
            image(drawings, "memory.svg", "Resident memory per idle connection"),
        ]
    return "\n\n".join(part for part in parts if part)


def slow_section(results, of_slow):
    without = next((case for case in of_slow if not case.slow_percent), None)
    parts = []
    for case in [case for case in of_slow if case.slow_percent]:
        rows = []
        for server in by_value(results, case, "p99_ms"):
            ended = results.slow_endings.get((case.name, server), {})
            endings = ", ".join(f"{n} with {code}" for code, n in sorted(ended.items()))
            rows.append(
                (
                    server,
                    latency_text(results, case, server),
                    latency_text(results, without, server) if without else "–",
                    f"{results.median(case, server, 'grown_mib'):.1f}",
                    endings or "none",
                )
            )
        header = (
            "server",
            "latency of the others, ms: p50 / p99",
            "without slow readers",
            "memory grew by, MiB",
            "ended",
        )
        parts.append(
            f"## Slow readers\n\n{case.connections} members, {case.slow_percent} % of which "
            f"stop reading; {case.rate_per_second} messages a second of {case.message_bytes} "
            f"bytes by {case.publishers} publishers. *Without slow readers*: the same load with "
            "the other members alone. Every server is set to disconnect a client if more than "
            "1 MiB waits for it. Close code 1006: the connection ended without a Close frame."
            "\n\n"
            + table(header, rows)
        )
    return "\n\n".join(parts)


@dataclass(frozen=True)
class Loss:
    """Another server that is ahead in one case by one measure."""

    case: cases.Case
    metric: str
    server: str
    ours: float
    theirs: float
    is_within_spread: bool


# Name, and whether more is better.
COMPARED = {
    "cpu_us": ("CPU time per delivery, µs", False),
    "per_second": ("deliveries per second", True),
    "p99_ms": ("latency, 99th percentile, ms", False),
    "wire_bytes": ("bytes on the wire per delivery", False),
    "idle_bytes": ("bytes per idle connection", False),
    "opening_us": ("CPU time of accepting, µs", False),
    "used_bytes": ("bytes per compressed connection", False),
    "grown_mib": ("memory that slow readers cost, MiB", False),
}


def losses(results, of_cases):
    """Every other server with a better median than yamabiko. The limit is not a server."""
    found = []
    for case in of_cases:
        for metric, (_, more_is_better) in COMPARED.items():
            if not is_compared(case, metric):
                continue
            ours = results.median(case, cases.OURSELVES, metric)
            for server in results.servers(case, metric):
                theirs = results.median(case, server, metric)
                if ours is None or server in NOT_OTHER_SERVERS:
                    continue
                if (theirs > ours) if more_is_better else (theirs < ours):
                    spread = overlaps(
                        results.values[(case.name, cases.OURSELVES, metric)],
                        results.values[(case.name, server, metric)],
                    )
                    found.append(Loss(case, metric, server, ours, theirs, spread))
    return found


def is_compared(case, metric):
    if case.scenario == "slow":
        # The rate of messages is fixed: a server that disconnects more members delivers less.
        return metric not in ("cpu_us", "per_second")
    # Its load is too small for the other metrics.
    return (case.scenario == "compressed-idle") == (metric == "used_bytes")


def overlaps(ours, theirs):
    """Whether the ranges of the two servers' rounds overlap."""
    return min(ours) <= max(theirs) and min(theirs) <= max(ours)


def losses_section(found):
    parts = [
        "## Where we lose\n\nEvery case in which another server's median is better than "
        "yamabiko's. ~: the rounds of the two servers overlap, so the difference may be noise."
    ]
    if not found:
        return parts[0] + "\n\nIn none of the measured cases."
    others = collections.defaultdict(list)
    for loss in sorted(found, key=lambda loss: abs(loss.theirs - loss.ours), reverse=True):
        share = 100 * abs(loss.theirs - loss.ours) / max(loss.ours, 1e-9)
        noise = " ~" if loss.is_within_spread else ""
        text = f"{loss.server} {number(loss.theirs)} ({share:.0f} %{noise})"
        others[(loss.case, loss.metric, loss.ours)].append(text)
    rows = [
        (title(case), COMPARED[metric][0], number(ours), ", ".join(others[(case, metric, ours)]))
        for case, metric, ours in sorted(
            others, key=lambda key: (cases.FULL.index(key[0]), list(COMPARED).index(key[1]))
        )
    ]
    header = ("case", "measure", "yamabiko", "better, and by how much")
    return parts[0] + "\n\n" + table(header, rows)


def fault_section(faults):
    if not faults:
        return ""
    rows = [(case, server, fault.splitlines()[-1]) for case, server, fault in faults]
    return "## Runs that failed\n\nNo median includes them.\n\n" + table(
        ("case", "server", "fault"), rows
    )


def tuning_section(machine):
    rows = [
        (name, server["version"] or "–", server["tuning"])
        for name, server in machine["servers"].items()
    ]
    return (
        "## How each server is set up\n\nEach server runs on one thread, with TCP_NODELAY. It "
        "compresses only in the sections on compression (without context takeover, window "
        "32 KiB). It batches as well as its documentation allows: all messages of one turn of "
        "its loop in one write for each client. *The hub* (`benches/servers/src/hub.rs`) does "
        "this for the Rust libraries, without a channel, a task or a lock per member. The usual "
        "applications of these libraries have a channel for each client, and cost more. Every "
        "server passed `benches/servers/src/bin/check.rs` before it was measured.\n\n"
        + table(("server", "version", "how"), rows)
    )


METHOD = """\
## Limits of these numbers

- They come from one machine. Run `benches/servers/run.sh quick` on yours.
- They come from the loopback interface. There the kernel does the receiver's share of TCP
  within the sender's `send`. So the system time of a delivery is higher than with a network
  card between the two, and the differences between servers look smaller than they are.
- CPU time comes from `/proc` in ticks of 10 ms; over a run this is about one part in a
  hundred. No number includes the kernel's memory for sockets.
- The chat does more than a broadcast. The measurements use yamabiko's `/broadcast/ROOM`,
  which forwards messages unchanged."""


def comparison(results, of_cases, metric, with_ratio=False):
    """A table with a row for each case and a column for each server."""
    columns = [s for s in results.machine["servers"] if any_value(results, of_cases, s, metric)]
    rows = []
    for case in of_cases:
        best = best_server(results, case, metric)
        floor = results.limit(case, metric)
        cells = [title(case)]
        for server in columns:
            value = results.median(case, server, metric)
            cell = "–" if value is None else number(value)
            if server == best:
                cell = f"**{cell}**"
            if with_ratio and value is not None and floor and server not in YARDSTICKS:
                cell += f" ({value / floor:.2f}×)"
            cells.append(cell)
        rows.append(cells)
    return table(("case", *columns), rows)


def any_value(results, of_cases, server, metric):
    return any(results.median(case, server, metric) is not None for case in of_cases)


def best_server(results, case, metric):
    others = (*YARDSTICKS, cases.TWO_WORKERS)
    servers = [s for s in results.servers(case, metric) if s not in others]
    pick = max if COMPARED[metric][1] else min
    return pick(servers, key=lambda s: results.median(case, s, metric), default=None)


def latencies(results, of_cases):
    columns = [s for s in results.machine["servers"] if any_value(results, of_cases, s, "p50_ms")]
    rows = [
        [title(case), *(latency_text(results, case, server) for server in columns)]
        for case in of_cases
    ]
    return table(("case", *columns), rows)


def latency_text(results, case, server):
    p50, p99 = (results.median(case, server, metric) for metric in ("p50_ms", "p99_ms"))
    return "–" if p50 is None else f"{number(p50)} / {number(p99)}"


def by_value(results, case, metric):
    return sorted(results.servers(case, metric), key=lambda s: results.median(case, s, metric))


def title(case):
    """The case as the first column of the tables shows it."""
    numbers = {
        "fan-out": (case.connections, case.publishers, case.message_bytes, case.window),
        "echo": (case.connections, case.message_bytes, case.window),
        "compressed": (case.connections, case.publishers, case.message_bytes, case.window),
    }.get(case.scenario)
    if case.scenario == "slow":
        return "slow readers" if case.slow_percent else "without slow readers"
    text = ", ".join(map(str, numbers)) if numbers else case.scenario
    return f"compressed: {text}" if case.scenario == "compressed" else text


def number(value):
    """Three significant digits; all digits from 10,000 on."""
    if value >= 10_000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    if value >= 1:
        return f"{value:.2f}"
    if value >= 0.1:
        return f"{value:.3f}"
    return f"{value:.4f}"


def bytes_text(value):
    return f"{value:.0f} B" if value < 10_000 else f"{value / 1024:.1f} KiB"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def image(drawings, name, alternative):
    return f"![{alternative}](benchmarks/{name})" if name in drawings else ""


def draw(results, of):
    """The plots that have enough points."""
    drawings = {}
    one_at_a_time = [
        c for c in of["fan-out"] if (c.publishers, c.message_bytes, c.window) == (1, 64, 1)
    ]
    thousand = sorted(
        (c for c in of["fan-out"] if (c.connections, c.message_bytes) == (1000, 64)),
        key=lambda c: c.publishers * c.window,
    )
    drawings["cost-over-members.svg"] = cost_plot(
        results,
        one_at_a_time,
        lambda case: case.connections,
        "CPU time per delivery: one message of 64 bytes at a time",
        "members",
    )
    drawings["cost-over-flight.svg"] = cost_plot(
        results,
        thousand,
        lambda case: case.publishers * case.window,
        "CPU time per delivery: 1000 members, 64 bytes",
        "messages in flight",
    )
    for case in [c for c in one_at_a_time if c.connections == 1000]:
        drawings["latency.svg"] = plots.spans(
            "Latency from sending to receiving: 1000 members, one message at a time",
            "ms: from the median to the 99th percentile",
            [
                (s, results.median(case, s, "p50_ms"), results.median(case, s, "p99_ms"))
                for s in by_value(results, case, "p99_ms")
            ],
        )
    for case in of["idle"]:
        drawings["memory.svg"] = plots.dots(
            f"Resident memory per idle connection, {case.connections:,} open",
            "bytes",
            [
                (s, results.median(case, s, "idle_bytes"), bytes_text)
                for s in by_value(results, case, "idle_bytes")
            ],
        )
    return {name: drawing for name, drawing in drawings.items() if drawing}


def cost_plot(results, of_cases, position, heading, horizontal):
    """`None` if there are fewer than two cases, because one point is not a line."""
    if len(of_cases) < 2:
        return None
    lines = {}
    for server in results.machine["servers"]:
        points = [(position(case), results.median(case, server, "cpu_us")) for case in of_cases]
        points = [(x, y) for x, y in points if y is not None]
        if len(points) > 1:
            lines[server] = points
    return plots.lines(heading, horizontal, "µs", lines)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: report.py RESULTS_FOLDER DOCS_FOLDER")
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
