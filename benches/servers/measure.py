#!/usr/bin/env python3
"""Runs the matrix: in every round, each case is measured with all servers.

    measure.py quick|full|tokio --yamabiko PATH [--rounds N] [--minutes M] [--fresh]

Each run starts a server on one core, loads it from another with `yamabiko bench`,
and writes bench's report to results/LEVEL/CASE--SERVER--ROUND.json. If this file exists
for the same program, the run is not repeated, so an interrupted matrix can be continued.
`check` tests each server first. A server that fails in a mode, or is not built, is left
out, and a message names it.

The script ends only processes that it has started, by their ids. After the given number of
minutes it starts no more runs.
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
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("level", choices=cases.LEVELS)
    parser.add_argument("--yamabiko", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--fresh", action="store_true", help="repeat the runs that have a result")
    parser.add_argument("--only", help="names of servers, separated by commas")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    arguments = parser.parse_args()
    level = cases.LEVELS[arguments.level]
    raise_open_files_limit(needed=max(case.connections for case in level.cases) + 200)
    bench = Bench(arguments.yamabiko.resolve(), arguments.server_core, arguments.load_core)
    folder = RESULTS / arguments.level
    folder.mkdir(parents=True, exist_ok=True)
    servers = available(all_servers(arguments.yamabiko.resolve()))
    wanted = arguments.only.split(",") if arguments.only else level.servers
    if wanted:
        servers = [server for server in servers if server.name in wanted]
    servers = [server for server in (with_correct_modes(s, bench) for s in servers) if server.modes]
    planned = list(runs(level, arguments.rounds or level.rounds, servers))
    write_json(folder / "machine.json", machine(arguments, servers, len(planned)))
    deadline = time.monotonic() + 60 * (arguments.minutes or level.minutes_max)
    for run in planned:
        if not arguments.fresh and run.is_done(folder):
            continue
        if time.monotonic() > deadline:
            print("The time is over. Run the command again to continue.")
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
    # It has no memory for longer messages.
    if server.name == cases.LIMIT and case.message_bytes >= 1 << 16:
        return True
    if server.name == cases.TWO_WORKERS:
        return (case.scenario, case.connections, case.message_bytes) != ("fan-out", 1000, 64)
    # A turn with one message is the same load for both limits.
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
    name = f"{run.round_number + 1} {run.case.name:24} {run.server.name:18}"
    print(name, summary_of(result), flush=True)


def bench_report(case, level, duration, bench, pid, port):
    """The report of `bench` (`None` without a report), its exit status, and its errors."""
    command = [
        *("taskset", "-c", bench.load_core, str(bench.program), "bench", case.bench_scenario),
        f"ws://127.0.0.1:{port}{path_of(case.mode)}/bench",
        *case.arguments(level.warm_up, duration),
        *("--pid", str(pid), "--json", "--no-progress"),
    ]
    # Time for opening, warm-up and draining; more than a run needs.
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
    """Runs the server, and gives its process id and port."""
    command = [argument.format(port=0, mode=server.modes[mode]) for argument in server.command]
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
        # pread does not move the offset, at which the server writes.
        text = os.pread(output.fileno(), 4096, 0).decode(errors="replace")
        if port := re.search(r"127\.0\.0\.1:(\d+)/?\n", text):
            return int(port[1])
        time.sleep(0.02)
    raise RuntimeError(f"{process.args}: not ready; its output: {text!r}")


def with_correct_modes(server, bench):
    """The server, with only the modes that `check` finds correct."""
    modes = {
        mode: argument
        for mode, argument in server.modes.items()
        if is_correct(server, mode, bench)
    }
    return dataclasses.replace(server, modes=modes)


def is_correct(server, mode, bench):
    """Whether every member receives every message, according to `check`."""
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
    """The servers that are built. Prints the names of the others."""
    found = []
    for server in servers:
        missing = [str(file) for file in server.files if not file.exists()]
        if missing:
            print(f"LEFT OUT {server.name}: not built: {', '.join(missing)}")
        else:
            found.append(server)
    return found


def all_servers(yamabiko):
    version = output_of([str(yamabiko), "--version"]).removeprefix("yamabiko ")
    commit = output_of(["git", "-C", str(cases.HERE), "describe", "--always", "--dirty"])
    node = output_of(["node", "--version"]).lstrip("v")
    return cases.servers(yamabiko, f"{version} ({commit})", node)


def machine(arguments, servers, runs_planned):
    """The machine and the settings of the measurement."""
    return {
        "date": datetime.date.today().isoformat(),
        "command": f"benches/servers/run.sh {arguments.level}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "virtual": "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text(),
        "kernel": f"{platform.system()} {platform.release()}",
        "compiler": output_of(["rustc", "--version"]),
        "server_core": arguments.server_core,
        "load_core": arguments.load_core,
        "rounds": arguments.rounds or cases.LEVELS[arguments.level].rounds,
        "runs_planned": runs_planned,
        "seconds": cases.LEVELS[arguments.level].duration,
        "servers": {
            server.name: {"version": server.version, "tuning": server.tuning} for server in servers
        },
    }


def processor():
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return model[1] if model else platform.machine()


def output_of(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def fingerprint(server):
    """A value that changes if the command, the program, or a script that it runs changes."""
    digest = hashlib.sha256(" ".join(server.command).encode())
    for file in server.files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def raise_open_files_limit(needed):
    """Raises the limit for this process and the processes that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"{needed} open files are needed, and {hard} are allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def path_of(mode):
    """The path for the mode, which yamabiko requires. Other servers accept every path."""
    return "/echo" if mode == "echo" else "/broadcast"


def summary_of(result):
    """The result of a run in one line."""
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
