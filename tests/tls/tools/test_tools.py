"""The TLS of the program, seen by curl and by OpenSSL's client.

The certificate is made by the command that docs/tls.md shows, and the server is started by the one behind it.

    tests/tls/tools/run.sh
"""

import os
import re
import select
import signal
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "target/debug/yamabiko"
# No wait of a test is longer.
TIMEOUT = 120
# curl sends no Close, and ends when the server does.
LIFETIME = "--connection-lifetime-max 0.5 --close-timeout 0.1"


def commands():
    """The commands of docs/tls.md that make a certificate, serve, and ask: the first one of each program."""
    page = (ROOT / "docs/tls.md").read_text()
    block = re.search(r"```sh\n(openssl req .*?)```", page, re.DOTALL)[1]
    lines = block.replace("\\\n", " ").splitlines()
    return {line.split()[0]: line for line in reversed(lines)}


def line_of(stream):
    """The next line of a pipe of which all earlier ones have been read."""
    if not select.select([stream], [], [], TIMEOUT)[0]:
        raise AssertionError(f"no line in {TIMEOUT} s")
    return stream.readline()


class Server:
    """The server of the page, on a free port, with metrics. It ends with its test."""

    def __init__(self, test):
        folder = tempfile.TemporaryDirectory()
        test.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.shell(commands()["openssl"])
        serve = commands()["yamabiko"].replace("yamabiko", str(PROGRAM)).replace(":8443", ":0")
        self.process = subprocess.Popen(
            ["sh", "-c", f"exec {serve} --metrics --log-level off {LIFETIME}"],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )
        test.addCleanup(self.end)
        self.port = re.search(r"https://127\.0\.0\.1:(\d+)/", line_of(self.process.stdout))[1]

    def shell(self, command):
        subprocess.run(["sh", "-c", command], cwd=self.folder, check=True, capture_output=True, timeout=TIMEOUT)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(TIMEOUT)
        self.process.stdout.close()

    def curl(self, path, *options):
        """Exit status and output of the page's curl for this path."""
        command = commands()["curl"].split()
        url = f"https://localhost:{self.port}{path}"
        done = subprocess.run(
            [*command[:-1], "--silent", "--show-error", *options, url],
            cwd=self.folder, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def client(self, *options, text=""):
        """Exit status and output of OpenSSL's client. It ends when its input does."""
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"localhost:{self.port}", "-CAfile", "cert.pem", "-verify_return_error",
             *options],
            cwd=self.folder, input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def serves(self):
        return self.curl("/health") == (0, "ok\n")


class Curl(unittest.TestCase):
    def test_readiness_metrics_and_a_websocket_come_from_one_port(self):
        server = Server(self)
        self.assertEqual(server.curl("/ready"), (0, "ready\n"))
        status, metrics = server.curl("/metrics")
        self.assertEqual(status, 0)
        self.assertIn("\nyamabiko_connections", metrics)
        self.assertTrue(metrics.endswith("# EOF\n"), metrics[-200:])
        self.assertIn("HTTP/1.1 101 ", self.head_of_websocket(server))

    def head_of_websocket(self, server):
        """The head of the response to a request for a WebSocket. curl writes it when the server has closed the WebSocket."""
        fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        options = [option for field in fields for option in ("--header", field)]
        command = [*commands()["curl"].split()[:-1], "--http1.1", "--silent", "--include", *options]
        done = subprocess.run(
            [*command, f"https://localhost:{server.port}/broadcast/tools"],
            cwd=server.folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False,
        )
        head = done.stdout.decode("latin-1").split("\r\n\r\n")[0]
        self.assertIn("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", head)
        return head

    def test_certificate_is_checked(self):
        server = Server(self)
        status, output = server.curl("/health", "--cacert", "/dev/null")
        self.assertIn(status, (60, 77), output)

    def test_plain_request_is_told_to_use_https(self):
        server = Server(self)
        done = subprocess.run(
            ["curl", "--silent", f"http://localhost:{server.port}/health"],
            capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )
        self.assertEqual((done.returncode, done.stdout), (0, "this port speaks TLS: use https or wss\n"))

    def test_new_certificate_is_served_after_a_hangup(self):
        server = Server(self)
        settings = Path(server.folder) / "settings.toml"
        settings.write_text("")
        server.end()
        # The page's command, with a settings file.
        serve = commands()["yamabiko"].replace("yamabiko", str(PROGRAM)).replace(":8443", ":0")
        process = subprocess.Popen(
            ["sh", "-c", f"exec {serve} --config settings.toml"],
            cwd=server.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        server.process = process
        self.addCleanup(process.stderr.close)
        server.port = re.search(r"https://127\.0\.0\.1:(\d+)/", line_of(process.stdout))[1]
        self.assertTrue(server.serves())
        server.shell(commands()["openssl"])
        # The old certificate is no longer in the file that curl trusts.
        self.assertFalse(server.serves())
        os.kill(process.pid, signal.SIGHUP)
        # Its end ends the loop.
        late = threading.Timer(TIMEOUT, process.kill)
        self.addCleanup(late.cancel)
        late.start()
        self.assertTrue(any("settings reloaded" in line for line in process.stderr), f"no settings reloaded in {TIMEOUT} s")
        self.assertTrue(server.serves())


class OpenSsl(unittest.TestCase):
    def test_both_versions_are_spoken_and_older_ones_are_refused(self):
        server = Server(self)
        for version in ("-tls1_2", "-tls1_3"):
            status, output = server.client(version, "-alpn", "http/1.1")
            self.assertEqual(status, 0, output)
            self.assertIn("ALPN protocol: http/1.1", output)
        status, output = server.client("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        self.assertNotEqual(status, 0, output)
        self.assertRegex(output, "alert (protocol version|handshake failure)")
        self.assertTrue(server.serves())

    def test_other_protocols_are_refused(self):
        server = Server(self)
        status, output = server.client("-alpn", "h2")
        self.assertNotEqual(status, 0, output)
        self.assertIn("alert no application protocol", output)

    def test_renegotiation_is_refused_and_the_server_goes_on(self):
        server = Server(self)
        # A line with R alone asks for a new handshake.
        _, output = server.client("-tls1_2", text="R\n")
        self.assertIn("RENEGOTIATING", output)
        self.assertRegex(output, "no renegotiation|unexpected message|handshake failure|unexpected eof")
        self.assertTrue(server.serves())

    def test_client_that_comes_back_resumes(self):
        server = Server(self)
        session = Path(server.folder) / "session.pem"
        status, output = server.client("-tls1_2", "-sess_out", session)
        self.assertEqual(status, 0, output)
        _, output = server.client("-tls1_2", "-sess_in", session)
        self.assertIn("Reused, TLSv1.2", output)


if __name__ == "__main__":
    unittest.main()
