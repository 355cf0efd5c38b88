#!/usr/bin/env python3
"""Runs the matrix: every round visits every case, every case visits all servers.

    measure.py quick|full --yamabiko PATH [--rounds N] [--minutes M] [--fresh]

Each run starts a server on one core, loads it from another with `yamabiko bench`,
and writes bench's report to results/LEVEL/CASE--SERVER--ROUND.json. A run of the same
program whose file exists is not repeated: an interrupted matrix continues where it was.
`check` tests each server first; a server that fails in a mode, or was not built, is left
out, with a message.

It ends only processes that it has started, by their ids. When the minutes are used
up it starts no more runs.
"""

import argparse
import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time

import cases

RESULTS = cases.HERE / "results"
READY_SECONDS_MAX = 20
CHECK_SECONDS_MAX = 60
END_SECONDS_MAX = 5


def main():
    words = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    words.add_argument("level", choices=cases.LEVELS)
    words.add_argument("--yamabiko", type=pathlib.Path, required=True)
    words.add_argument("--rounds", type=int)
    words.add_argument("--minutes", type=float)
    words.add_argument("--fresh", action="store_true", help="repeat what is there")
    words.add_argument("--server-core", type=int, default=0)
    words.add_argument("--load-core", type=int, default=1)
    words = words.parse_args()
    level = cases.LEVELS[words.level]
    raise_open_files_limit(needed=max(case.connections for case in level.cases) + 200)
    bench = Bench(words.yamabiko.resolve(), words.server_core, words.load_core)
    folder = RESULTS / words.level
    folder.mkdir(parents=True, exist_ok=True)
    servers = available(all_servers(words.yamabiko.resolve()))
    servers = [server for server in (as_far_as_right(s, bench) for s in servers) if server.modes]
    planned = list(runs(level, words.rounds or level.rounds, servers))
    write_json(folder / "machine.json", machine(words, servers, len(planned)))
    deadline = time.monotonic() + 60 * (words.minutes or level.minutes_max)
    for run in planned:
        if not words.fresh and run.is_done(folder):
            continue
        if time.monotonic() > deadline:
            print("The time is used up. Run again to go on.")
            return
        measure(run, level, bench, folder)


class Bench:
    """The load generator and the cores."""

    def __init__(self, program, server_core, load_core):
        self.program = program
        self.server_core = str(server_core)
        self.load_core = str(load_core)


class Run:
    """One case, one server, one round."""

    def __init__(self, case, server, round_number):
        self.case = case
        self.server = server
        self.round_number = round_number
        self.program = fingerprint(server)

    def file(self, folder):
        server = re.sub(r"[^a-zA-Z0-9-]+", "-", self.server.name)
        return folder / f"{self.case.name}--{server}--{self.round_number}.json"

    def is_done(self, folder):
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self.file(folder).read_text())["program"] == self.program
        return False


def runs(level, rounds, servers):
    """All runs, interleaved; each round begins with another server."""
    for round_number in range(rounds):
        for case in level.cases:
            shift = round_number * len(servers) // rounds
            for server in servers[shift:] + servers[:shift]:
                if not is_left_out(case, server):
                    yield Run(case, server, round_number)


def is_left_out(case, server):
    if case.mode not in server.modes:
        return True
    if server.name == cases.TWO_WORKERS:
        return (case.scenario, case.connections, case.message_bytes) != ("fan-out", 1000, 64)
    # One send per message is another limit only where there are several to send.
    is_single = case.publishers * case.window <= 1 and case.scenario == "fan-out"
    return server.name == cases.LIMIT_EACH and (is_single or case.scenario != "fan-out")


def measure(run, level, bench, folder):
    """Starts, loads and ends one server, and writes the result."""
    load_before = os.getloadavg()[0]
    duration = level.slow_duration if run.case.scenario == "slow" else level.duration
    with started(run.server, run.case.mode, bench) as (pid, port):
        report, status, errors = bench_report(run.case, level, duration, bench, pid, port)
    result = {
        "case": run.case.name,
        "server": run.server.name,
        "round": run.round_number,
        "program": run.program,
        "at": now(),
        "load_average_before": load_before,
        "exit_status": status,
        "errors": errors,
        "report": report,
    }
    write_json(run.file(folder), result)
    what = f"{run.round_number + 1} {run.case.name:24} {run.server.name:18}"
    print(what, glance(result), flush=True)


def bench_report(case, level, duration, bench, pid, port):
    """The report of `bench` (`None`: there is none), its exit status, and its errors."""
    command = [
        *("taskset", "-c", bench.load_core, str(bench.program), "bench", case.bench_scenario),
        f"ws://127.0.0.1:{port}{path_of(case.mode)}/bench",
        *case.words(level.warm_up, duration),
        *("--pid", str(pid), "--json", "--no-progress"),
    ]
    # Opening, warm-up, draining: generous, but bounded.
    seconds_max = 60 + 3 * (level.warm_up + duration)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds_max, check=False
        )
    except subprocess.TimeoutExpired:
        return None, None, f"no report after {seconds_max:.0f} s"
    try:
        return json.loads(done.stdout), done.returncode, done.stderr.strip()
    except ValueError:
        return None, done.returncode, done.stderr.strip()


@contextlib.contextmanager
def started(server, mode, bench):
    """The server's process id and port, while it runs."""
    command = [word.format(port=0, mode=server.modes[mode]) for word in server.command]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["taskset", "-c", bench.server_core, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **server.environment},
        )
        try:
            yield process.pid, announced_port(process, output)
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def announced_port(process, output):
    """The port in the line that a ready server prints."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    text = ""
    while time.monotonic() < deadline and process.poll() is None:
        # pread: the server writes at the offset that it shares with us.
        text = os.pread(output.fileno(), 4096, 0).decode(errors="replace")
        if port := re.search(r"127\.0\.0\.1:(\d+)/?\n", text):
            return int(port[1])
        time.sleep(0.02)
    raise RuntimeError(f"{process.args}: not ready; it said: {text!r}")


def as_far_as_right(server, bench):
    """The server with the modes in which it is correct."""
    modes = {mode: word for mode, word in server.modes.items() if is_right(server, mode, bench)}
    return dataclasses.replace(server, modes=modes)


def is_right(server, mode, bench):
    """Whether `check` finds every message at every member."""
    try:
        with started(server, mode, bench) as (_, port):
            command = [str(cases.PROGRAMS / "check"), str(port), mode, f"{path_of(mode)}/check"]
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=CHECK_SECONDS_MAX, check=False
            )
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"LEFT OUT {server.name}, {mode}: {error}")
        return False
    if done.returncode != 0:
        reason = done.stderr.split("\n", 1)[0]
        print(f"LEFT OUT {server.name}, {mode}: {done.stdout.strip()}: {reason}")
        return False
    print(f"checked {server.name}, {mode}")
    return True


def available(servers):
    """The servers whose files exist; prints the others."""
    found = []
    for server in servers:
        missing = [str(file) for file in server.files if not file.exists()]
        if missing:
            print(f"LEFT OUT {server.name}: not built: {', '.join(missing)}")
        else:
            found.append(server)
    return found


def all_servers(yamabiko):
    version = said_by([str(yamabiko), "--version"]).removeprefix("yamabiko ")
    commit = said_by(["git", "-C", str(cases.HERE), "describe", "--always", "--dirty"])
    node = said_by(["node", "--version"]).lstrip("v")
    return cases.servers(yamabiko, f"{version} ({commit})", node)


def machine(words, servers, runs_planned):
    """Where and how this was measured."""
    return {
        "date": datetime.date.today().isoformat(),
        "command": f"benches/servers/run.sh {words.level}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "virtual": "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text(),
        "kernel": f"{platform.system()} {platform.release()}",
        "compiler": said_by(["rustc", "--version"]),
        "server_core": words.server_core,
        "load_core": words.load_core,
        "rounds": words.rounds or cases.LEVELS[words.level].rounds,
        "runs_planned": runs_planned,
        "seconds": cases.LEVELS[words.level].duration,
        "servers": {
            server.name: {"version": server.version, "tuning": server.tuning} for server in servers
        },
    }


def processor():
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return model[1] if model else platform.machine()


def said_by(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def fingerprint(server):
    """Changes when the program, or a script that it runs, changes."""
    digest = hashlib.sha256(" ".join(server.command).encode())
    for file in server.files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def raise_open_files_limit(needed):
    """For this process and all processes that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"{needed} open files are needed, and {hard} are allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def path_of(mode):
    """yamabiko serves by path; the others accept any. The client offers compression."""
    return "/echo" if mode == "echo" else "/broadcast"


def glance(result):
    """One run in one line."""
    report = result["report"]
    if report is None or result["exit_status"] != 0:
        return f"FAILED: {result['errors'] or (report and report['checks'])}"
    server = report["server"]
    if report["traffic"] is None or not report["traffic"]["delivered"]:
        return f"{server['resident_bytes_per_connection']:.0f} bytes per connection"
    delivered = report["traffic"]["delivered"]
    cost = 1e6 * server["cpu"]["seconds"] / delivered
    per_second = report["traffic"]["delivered_per_second"]
    return f"{cost:.4f} us per delivery, {per_second:,.0f} per second"


def write_json(file, value):
    """Writes the complete file or nothing."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(value, indent=1) + "\n")
    draft.replace(file)


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


if __name__ == "__main__":
    main()
