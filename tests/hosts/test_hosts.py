"""One server and several clients, each a host of its own: a network namespace with an address, on one bridge.

`run.sh` runs this in a user namespace and a network namespace of its own, so it needs no rights and leaves nothing behind.
"""

import os
import pty
import queue
import subprocess
import threading
import time
import unittest
from pathlib import Path

PROGRAM = os.environ.get("YAMABIKO_BINARY") or Path(__file__).resolve().parents[2] / "target/debug/yamabiko"
# No wait of a test is longer.
TIMEOUT = 120


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


class Host:
    """A network namespace with an interface on the bridge. It lasts as long as its first process."""

    count = 0

    def __init__(self, test):
        Host.count += 1
        self.number = Host.count
        self.address = f"10.77.0.{self.number}"
        # It says when it is in its namespace.
        self.first = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec sleep 3600"], stdout=subprocess.PIPE
        )
        test.addCleanup(self.end)
        self.first.stdout.readline()
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", str(self.first.pid))
        ip("link", "set", self.cable, "master", "bridge", "up")
        for arguments in (["addr", "add", f"{self.address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
            subprocess.run([*self.inside(), "ip", *arguments], check=True)

    @property
    def cable(self):
        return f"cable{self.number}"

    def inside(self):
        return ["nsenter", "--target", str(self.first.pid), "--net"]

    def start(self, test, *arguments):
        return Program(test, [*self.inside(), PROGRAM, *arguments])

    def start_at_terminal(self, test, *arguments):
        return AtTerminal(test, [*self.inside(), PROGRAM, *arguments])

    def end(self):
        self.first.kill()
        self.first.wait()
        self.first.stdout.close()


class Program:
    """A program with its lines of output."""

    def __init__(self, test, arguments):
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines = queue.Queue()
        reader = threading.Thread(target=lambda: [self.lines.put(line.rstrip("\n")) for line in self.process.stdout])
        reader.start()
        test.addCleanup(self.process.stdout.close)
        test.addCleanup(reader.join)
        test.addCleanup(self.process.stdin.close)
        test.addCleanup(self.process.wait)
        test.addCleanup(self.process.kill)

    def type(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def wait_for(self, wanted):
        """Skips lines up to one that contains this."""
        end, seen = time.monotonic() + TIMEOUT, []
        while (left := end - time.monotonic()) > 0:
            try:
                seen.append(self.lines.get(timeout=left))
            except queue.Empty:
                break
            if wanted in seen[-1]:
                return seen[-1]
        raise AssertionError(f"{wanted!r} has not come in {TIMEOUT} s, but {seen}")


class AtTerminal(Program):
    """A program at a terminal of its own, as a person uses it."""

    def __init__(self, test, arguments):
        self.terminal, of_program = pty.openpty()
        self.process = subprocess.Popen(arguments, stdin=of_program, stdout=of_program, stderr=of_program)
        os.close(of_program)
        self.lines = queue.Queue()
        reader = threading.Thread(target=self.read)
        reader.start()
        test.addCleanup(os.close, self.terminal)
        test.addCleanup(reader.join)
        test.addCleanup(self.process.wait)
        test.addCleanup(self.process.kill)

    def read(self):
        rest = b""
        while True:
            try:
                rest += os.read(self.terminal, 4096)
            except OSError:
                # The program has ended.
                return
            *lines, rest = rest.split(b"\n")
            for line in lines:
                self.lines.put(line.decode(errors="replace"))

    def type(self, line):
        os.write(self.terminal, f"{line}\r".encode())


class Hosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        ip("link", "set", "lo", "up")
        ip("link", "add", "bridge", "type", "bridge")
        ip("link", "set", "bridge", "up")

    def server(self, *options):
        host = Host(self)
        program = host.start(self, "serve", "--listen", f"{host.address}:8080", *options)
        program.wait_for("open http://")
        return host, program

    def members(self, server, *names):
        members = []
        for name in names:
            host = Host(self)
            program = host.start(self, "chat", f"ws://{server.address}:8080/chat/lobby", "--name", name)
            members.append((host, program))
            # Each one is there before the next one comes.
            for earlier_host, earlier in members[:-1]:
                earlier.wait_for(f"{name} is here")
        return members

    def test_each_member_receives_the_lines_of_all_others(self):
        server, _ = self.server("--connections-per-address", "1")
        members = self.members(server, "Aki", "Bo", "Chika")
        time_of = {"Aki": 0, "Bo": 1, "Chika": 2}
        for name, index in time_of.items():
            members[index][1].type(f"this is {name}")
            for other, (_, program) in enumerate(members):
                if other != index:
                    program.wait_for(f"this is {name}")

    def test_limit_for_an_address_holds_for_one_host_alone(self):
        server, _ = self.server("--connections-per-address", "1")
        (host, _), _ = self.members(server, "Aki", "Bo")
        second = host.start(self, "chat", f"ws://{server.address}:8080/chat/lobby", "--name", "Second")
        second.wait_for("503")

    def test_member_whose_cable_is_cut_leaves(self):
        server, _ = self.server("--ping-interval", "1", "--pong-timeout", "5")
        (aki, _), (_, bo) = self.members(server, "Aki", "Bo")
        ip("link", "set", aki.cable, "down")
        bo.wait_for("Aki has left")

    def test_member_returns_when_its_cable_is_back(self):
        server, _ = self.server("--ping-interval", "1", "--pong-timeout", "5")
        [(_, bo)] = self.members(server, "Bo")
        host = Host(self)
        aki = host.start_at_terminal(self, "chat", f"ws://{server.address}:8080/chat/lobby", "--name", "Aki")
        bo.wait_for("Aki is here")
        ip("link", "set", host.cable, "down")
        bo.wait_for("Aki has left")
        ip("link", "set", host.cable, "up")
        # The old connection has ended for the server: Aki gets its Close, or learns it by this line.
        aki.type("am I here?")
        bo.wait_for("Aki is here")
        aki.type("here again")
        bo.wait_for("here again")
        bo.type("welcome back")
        aki.wait_for("welcome back")

    def test_members_return_to_a_server_that_is_restarted(self):
        host, first = self.server("--drain", "1")
        (_, aki), (_, bo) = self.members(host, "Aki", "Bo")
        first.process.terminate()
        first.wait_for("stopped: 2 connections closed")
        host.start(self, "serve", "--listen", f"{host.address}:8080").wait_for("open http://")
        for member in (aki, bo):
            member.wait_for("it is going away (1001); again in")
            member.wait_for("in lobby")
        aki.type("still there?")
        bo.wait_for("still there?")


if __name__ == "__main__":
    unittest.main()
