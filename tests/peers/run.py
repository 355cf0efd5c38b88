#!/usr/bin/env python3
"""Runs `yamabiko conform server` against echo servers on other libraries.

    tests/peers/run.py PEERS FOLDER [NAME...]

PEERS is a folder with the libraries, which `build.sh PEERS` installs. FOLDER gets a report for
each server, NAME.json, and the table of the failed cases, table.md. The program is
`target/debug/yamabiko`, or $YAMABIKO.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
YAMABIKO = os.environ.get("YAMABIKO", str(HERE / "../../target/debug/yamabiko"))


def servers(peers):
    """Name -> command; each prints a line with its URL or its address."""
    python = str(peers / "venv/bin/python")
    bun = str(peers / "node_modules/.bin/bun")
    found = {
        "ws": ["node", "echo_ws.mjs"],
        "faye-websocket": ["node", "echo_faye.mjs"],
        "websocket": ["node", "echo_websocket.mjs"],
        "bun": [bun, "echo_bun.ts"],
        "websockets": [python, "echo_websockets.py"],
        "aiohttp": [python, "echo_aiohttp.py"],
    }
    for name in ["fastwebsockets", "gorilla", "sockudo-ws", "tokio-websockets", "tungstenite", "uwebsockets"]:
        found[name] = [str(peers / "bin" / name)]
    return found


def test(name, command, peers, folder):
    """Writes NAME.json."""
    server = subprocess.Popen(command, cwd=peers, stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        url = re.search(r"ws://\S+", line)
        url = url.group() if url else "ws://" + line.split()[-1] + "/"
        arguments = [YAMABIKO, "conform", "server", url, "--agent", name, *OPTIONS]
        arguments += ["--json", str(folder / f"{name}.json")]
        for case in FATAL.get(name, []):
            arguments += ["--without", case]
        with open(folder / f"{name}.txt", "w") as table:
            subprocess.run(arguments, stdout=table, check=False)
    finally:
        server.kill()
        server.wait()


def table(folder):
    """A section for each server: the counts, and a row for each failed case of level must."""
    counts = ["| server | must | should | quality | not applicable |", "|---|---|---|---|---|"]
    sections = []
    for path in sorted(folder.glob("*.json")):
        report = json.loads(path.read_text())
        name, cases = report["agent"], report["cases"]
        counts.append(f"| {name} | {' | '.join(passed(report['counts'], level) for level in LEVELS)} | {skipped(cases)} |")
        failed = [case for case in cases if case["verdict"] == "fail"]
        sections += ["", f"## {name}", "", "| rule of level must | connections | the first one |", "|---|---|---|"]
        for case in failed:
            if case["level"] == "must":
                first = f"`{case['run']}`: {case['reason']}" if case["run"] else case["reason"]
                sections.append(f"| `{case['id']}` | {case['failed_runs']} of {case['runs']} | {first.replace('|', chr(92) + '|')} |")
        for level in LEVELS[1:]:
            ids = [f"`{case['id']}`" for case in failed if case["level"] == level]
            sections += ["", f"Level {level}: {', '.join(ids) or 'none'}."]
    (folder / "table.md").write_text("\n".join(counts + sections) + "\n")


def passed(counts, level):
    """`9 of 10`"""
    count = counts.get(level, {})
    return f"{count.get('pass', 0)} of {count.get('pass', 0) + count.get('fail', 0)}"


def skipped(cases):
    """The number of cases that do not apply."""
    return sum(case["verdict"] == "not_applicable" for case in cases)


LEVELS = ["must", "should", "quality"]
# Cases that end the process of a server, so that all others would fail, too.
FATAL = {"websocket": ["handshake/reset"]}
OPTIONS = os.environ.get("CONFORM_OPTIONS", "--quick").split()


def main():
    """See the module's text."""
    peers, folder, *names = sys.argv[1:]
    peers, folder = pathlib.Path(peers).resolve(), pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # node finds modules from the folder of the script.
    for script in HERE.glob("echo_*"):
        shutil.copy(script, peers)
    for name, command in servers(peers).items():
        if (not names or name in names) and (os.path.exists(command[0]) or command[0] == "node"):
            test(name, command, peers, folder)
    table(folder)


main()
