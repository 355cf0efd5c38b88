#!/usr/bin/env python3
"""Measures the stages of the climb, and writes the table of docs/learn/broadcast.md.

    cargo build --release --example climb && cargo build --release
    examples/climb/measure.py

The server runs on one core and the load on another. Each value is the least of ROUNDS runs; the
stages take turns, so that a slow minute of the machine hits all of them.
"""

import datetime
import json
import pathlib
import platform
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/learn/broadcast.md"
STAGES = ["naive", "queues", "log", "batched"]
# Publishers, and messages that each has in flight.
LOADS = [(1, 1), (10, 1), (10, 64)]
ROUNDS = 2
SECONDS = 1
MARKS = ("<!-- climb: made by examples/climb/measure.py -->", "<!-- end of climb -->")


def main():
    least = {}
    for _ in range(ROUNDS):
        for stage in [*STAGES, "server"]:
            for load in LOADS:
                cost = measure(stage, *load)
                least[stage, load] = min(cost, least.get((stage, load), cost))
    text = PAGE.read_text()
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    PAGE.write_text(before + MARKS[0] + "\n" + table(least) + MARKS[1] + after)


def measure(stage, publishers, window):
    """The server's CPU time in µs for one delivery."""
    command, url = server(stage)
    process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.DEVNULL)
    try:
        wait_for(url)
        load = [ROOT / "target/release/yamabiko", "bench", "fan-out", url, "--connections", "1000",
                "--publishers", str(publishers), "--window", str(window), "--duration", str(SECONDS),
                "--pid", str(process.pid), "--json"]
        report = json.loads(subprocess.run(["taskset", "-c", "1", *load], check=True,
                                           capture_output=True, text=True).stdout)
        return report["server"]["cpu"]["us_per_delivery"]
    finally:
        process.terminate()
        process.wait()


def server(stage):
    if stage == "server":
        program = [ROOT / "target/release/yamabiko", "serve", "--listen", "127.0.0.1:8071",
                   "--workers", "1", "--no-compress"]
        return program, "ws://127.0.0.1:8071/broadcast/climb"
    return [ROOT / "target/release/examples/climb", stage], "ws://127.0.0.1:8070/"


def wait_for(url):
    port = int(url.split(":")[2].split("/")[0])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"{url} does not answer")


def table(least):
    heads = " | ".join(f"{publishers}, {window}" for publishers, window in LOADS)
    lines = [f"| publishers, messages in flight | {heads} |", "| --- |" + " --: |" * len(LOADS)]
    names = {stage: f"{number}. {stage}" for number, stage in enumerate(STAGES, 1)}
    names["server"] = "yamabiko's server"
    for stage, name in names.items():
        values = " | ".join(f"{least[stage, load]:.3g}" for load in LOADS)
        lines.append(f"| {name} | {values} |")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], check=True,
                            capture_output=True, text=True).stdout.strip()
    lines += ["", f"(`examples/climb/measure.py` at {commit}, {datetime.date.today()}; {machine()}; the least of {ROUNDS} runs.)", ""]
    return "\n".join(lines)


def machine():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip() + ", 2 cores of it, shared"
    return platform.machine()


if __name__ == "__main__":
    main()
