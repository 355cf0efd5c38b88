"""The measured cases, and the servers with their settings.

A case is a scenario of `yamabiko bench` with its settings; a server is a command
for each scenario. This file only describes them, and runs nothing.
"""

import json
import pathlib
import re
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE / "build"
PROGRAMS = HERE / "target" / "release"

OURSELVES = "yamabiko"
TWO_WORKERS = "yamabiko, two workers"
ADAPTER = "yamabiko-tokio"
LIMIT = "limit"
LIMIT_EACH = "limit, each"


# Compressed messages to all clients: a rate that every server can sustain.
HEARTBEATS_PER_SECOND = 1


@dataclass(frozen=True)
class Case:
    """One row of a table. Sizes are in bytes; `window` is the number of messages that each
    publisher has in flight.

    `slow` with a `slow_percent` of 0 is the same load without slow readers. `compressed`
    is fan-out with permessage-deflate. `compressed-idle` is also fan-out with
    permessage-deflate; it measures the memory after every connection has received a few
    messages.
    """

    scenario: str
    connections: int
    publishers: int = 0
    message_bytes: int = 0
    window: int = 0
    rate_per_second: int = 0
    slow_percent: int = 0

    @property
    def name(self):
        """The name of the case, also in file names: `fan-out-1000-10-64-64`."""
        numbers = {
            "fan-out": (self.publishers, self.message_bytes, self.window),
            "echo": (self.message_bytes, self.window),
            "slow": (self.publishers, self.message_bytes, self.rate_per_second, self.slow_percent),
            "idle": (),
            "compressed": (self.publishers, self.message_bytes, self.window),
            "compressed-idle": (),
        }[self.scenario]
        return "-".join(str(part) for part in (self.scenario, self.connections, *numbers))

    @property
    def is_compressed(self):
        return self.scenario.startswith("compressed")

    @property
    def mode(self):
        """The server's mode."""
        return {
            "echo": "echo",
            "compressed": "compressed",
            "compressed-idle": "compressed",
        }.get(self.scenario, "broadcast")

    @property
    def bench_scenario(self):
        """The scenario for `yamabiko bench`."""
        is_control = self.scenario == "slow" and not self.slow_percent
        return "fan-out" if self.is_compressed or is_control else self.scenario

    def arguments(self, warm_up_seconds, seconds):
        """The arguments for `yamabiko bench`, without the URL and the process."""
        arguments = ["--connections", self.connections, "--duration", seconds]
        if self.scenario == "idle":
            return [str(argument) for argument in arguments]
        arguments += ["--bytes", self.message_bytes, "--warm-up", warm_up_seconds]
        if self.scenario != "echo":
            arguments += ["--publishers", self.publishers]
        if self.window:
            arguments += ["--window", self.window]
        if self.rate_per_second:
            arguments += ["--rate", self.rate_per_second]
        if self.is_compressed:
            arguments += ["--payload", "json", "--compress"]
        if self.slow_percent:
            arguments += ["--slow-percent", self.slow_percent]
        return [str(argument) for argument in arguments]


def fan_out(connections, publishers, message_bytes, window):
    return Case("fan-out", connections, publishers, message_bytes, window)


def echo(connections, message_bytes, window):
    return Case("echo", connections, connections, message_bytes, window)


def compressed(connections, publishers, message_bytes, window):
    return Case("compressed", connections, publishers, message_bytes, window)


IDLE = Case("idle", 10_000)
COMPRESSED_IDLE = Case(
    "compressed-idle", 10_000, 1, 1024, rate_per_second=HEARTBEATS_PER_SECOND
)
# 0.8 MB a second for each member: after five seconds, 1 MiB waits for each of the 100
# members that do not read, besides the kernel's buffers. The messages are long, so that no
# server is near its limit and the latencies show the slow readers only.
SLOW = Case("slow", 1000, 10, 16_384, rate_per_second=50, slow_percent=10)
WITHOUT_SLOW = Case("slow", 900, 10, 16_384, rate_per_second=50)

FULL = [
    fan_out(10, 1, 64, 1),
    fan_out(100, 1, 64, 1),
    fan_out(1000, 1, 64, 1),
    fan_out(5000, 1, 64, 1),
    fan_out(1000, 1, 16_384, 1),
    fan_out(1000, 10, 64, 1),
    fan_out(1000, 1, 64, 64),
    fan_out(1000, 10, 64, 64),
    fan_out(1000, 10, 1024, 64),
    echo(64, 64, 1),
    echo(512, 64, 1),
    echo(64, 64, 16),
    compressed(1000, 1, 1024, 1),
    compressed(5000, 1, 1024, 1),
    compressed(1000, 10, 1024, 16),
    IDLE,
    COMPRESSED_IDLE,
    SLOW,
    WITHOUT_SLOW,
]

QUICK = [
    fan_out(1000, 1, 64, 1),
    fan_out(1000, 10, 64, 64),
    echo(64, 64, 16),
    compressed(1000, 1, 1024, 1),
    IDLE,
]


# The libraries for tokio: one task for each connection.
TOKIO = [
    echo(64, 64, 1),
    echo(512, 64, 1),
    echo(64, 64, 16),
    echo(64, 1024, 1),
    echo(16, 65_536, 1),
    fan_out(1000, 1, 64, 1),
    fan_out(1000, 10, 64, 64),
    fan_out(1000, 1, 16_384, 1),
    IDLE,
]
TOKIO_SERVERS = (
    LIMIT,
    ADAPTER,
    "fastwebsockets",
    "sockudo-ws",
    "tokio-websockets",
    "tokio-tungstenite",
)


@dataclass(frozen=True)
class Level:
    """A set of cases and the time for them. Times are in seconds, except `minutes_max`."""

    cases: list
    rounds: int
    warm_up: float
    duration: float
    slow_duration: float
    minutes_max: float
    # All if there is none.
    servers: tuple = ()


LEVELS = {
    "quick": Level(QUICK, rounds=3, warm_up=0.5, duration=1.5, slow_duration=0, minutes_max=10),
    "full": Level(FULL, rounds=3, warm_up=0.5, duration=2, slow_duration=8, minutes_max=60),
    "tokio": Level(TOKIO, rounds=5, warm_up=0.3, duration=1, slow_duration=0, minutes_max=15, servers=TOKIO_SERVERS),
}


@dataclass(frozen=True)
class Server:
    """`{port}` and `{mode}` in the command are replaced. `modes` maps each supported mode to
    the server's argument. `files` are the program and the files that it reads: if one of
    them changes, the server is measured again.
    """

    name: str
    command: list
    modes: dict
    version: str
    tuning: str
    environment: dict = field(default_factory=dict)
    files: list = field(default_factory=list)


BROADCAST_AND_ECHO = {"broadcast": "broadcast", "echo": "echo"}
ALL_MODES = {**BROADCAST_AND_ECHO, "compressed": "compressed"}


def servers(yamabiko, yamabiko_version, node_version):
    """All servers. `yamabiko` is the path of the program that is measured."""
    locked = locked_versions((HERE / "Cargo.lock").read_text())
    packages = json.loads((HERE / "javascript" / "package.json").read_text())["dependencies"]
    modules = BUILD / "javascript" / "node_modules"
    bun = modules / "@oven" / "bun-linux-x64" / "bin" / "bun"
    javascript = HERE / "javascript"
    uwebsockets = BUILD / "uwebsockets" / "uwebsockets"
    gorilla = BUILD / "gorilla" / "gorilla"
    limit = PROGRAMS / "limit"
    return [
        Server(
            OURSELVES,
            [str(yamabiko), "{mode}", "--workers", "1", "--listen", "127.0.0.1:{port}"],
            {"broadcast": "serve", "echo": "echo", "compressed": "serve"},
            yamabiko_version,
            "default settings; one worker. Compressed: once for all, level 2 (its default)",
            files=[yamabiko],
        ),
        Server(
            TWO_WORKERS,
            [str(yamabiko), "{mode}", "--workers", "2", "--listen", "127.0.0.1:{port}"],
            {"broadcast": "serve"},
            yamabiko_version,
            "not another server: two workers on the same core, to show the cost of several workers",
            files=[yamabiko],
        ),
        Server(
            ADAPTER,
            [str(PROGRAMS / "yamabiko-tokio"), "{port}", "{mode}"],
            BROADCAST_AND_ECHO,
            yamabiko_version,
            "this project's adapter for tokio, beside the libraries of its kind: one task for each "
            "connection, the hub; echo by `read_and_reply`",
            files=[PROGRAMS / "yamabiko-tokio"],
        ),
        Server(
            LIMIT,
            [str(limit), "{port}", "{mode}"],
            {"broadcast": "batched", "echo": "echo"},
            "",
            "not another server: one `send` per client and turn, and nothing else",
            files=[limit],
        ),
        Server(
            LIMIT_EACH,
            [str(limit), "{port}", "{mode}"],
            {"broadcast": "each"},
            "",
            "not another server: one `send` per message and client",
            files=[limit],
        ),
        Server(
            "uWebSockets",
            [str(uwebsockets), "{port}", "{mode}"],
            ALL_MODES,
            "20.58.0 (the source in libuwebsockets-sys 0.0.10)",
            "one message by `publish`, more in a corked `send` to each socket, at the "
            "end of the turn; `-march=native`, as in its Makefile. Compressed: the shared "
            "compressor, for each client; libdeflate, level 6 (fixed)",
            files=[uwebsockets],
        ),
        Server(
            "bun",
            [str(bun), str(javascript / "bun.js"), "{port}", "{mode}"],
            ALL_MODES,
            packages["bun"],
            "as uWebSockets, on which it is built; the level cannot be set",
            files=[bun, javascript / "bun.js"],
        ),
        Server(
            "fastwebsockets",
            [str(PROGRAMS / "fastwebsockets"), "{port}", "{mode}"],
            BROADCAST_AND_ECHO,
            locked["fastwebsockets"],
            "the hub; split halves on the plain socket; a writer that batches",
            files=[PROGRAMS / "fastwebsockets"],
        ),
        Server(
            "sockudo-ws",
            [str(PROGRAMS / "sockudo-ws"), "{port}", "{mode}"],
            ALL_MODES,
            locked["sockudo-ws"],
            "the hub; `feed` and one `flush`; high-water mark 128 KiB. Compressed: for "
            "each client, level 1; high-water mark 64 KiB (fixed)",
            files=[PROGRAMS / "sockudo-ws"],
        ),
        Server(
            "tokio-websockets",
            [str(PROGRAMS / "tokio-websockets"), "{port}", "{mode}"],
            BROADCAST_AND_ECHO,
            locked["tokio-websockets"],
            "the hub; a writer that batches; no splitting of long messages",
            files=[PROGRAMS / "tokio-websockets"],
        ),
        Server(
            "tokio-tungstenite",
            [str(PROGRAMS / "tokio-tungstenite"), "{port}", "{mode}"],
            BROADCAST_AND_ECHO,
            locked["tokio-tungstenite"],
            "the hub; `feed` and one `flush`; read buffer of 8 KiB instead of 128",
            files=[PROGRAMS / "tokio-tungstenite"],
        ),
        Server(
            "gorilla",
            [str(gorilla), "{port}", "{mode}"],
            ALL_MODES,
            "1.5.0 (Debian), Go 1.27.3",
            "PreparedMessage, batches through a channel per client, a connection that "
            "batches writes; GOMAXPROCS=1. Compressed: once for all, level 1 (its default)",
            files=[gorilla],
        ),
        Server(
            "ws",
            ["node", str(javascript / "ws.js"), "{port}", "{mode}"],
            ALL_MODES,
            f"{packages['ws']}, Node.js {node_version}",
            "the socket of a client is corked while it gets the messages of a turn. Compressed: "
            "for each client, level 1, memLevel 7, ten at a time",
            environment={"NODE_PATH": str(modules)},
            files=[javascript / "ws.js", modules / "ws" / "package.json"],
        ),
    ]


def locked_versions(cargo_lock):
    """Package name → version, from the text of a Cargo.lock."""
    return dict(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', cargo_lock))
