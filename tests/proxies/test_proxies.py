"""yamabiko behind nginx, HAProxy and Caddy, with the configurations that docs/deploy.md shows.

Each block of the page that follows `<!-- file: NAME -->` is a configuration, and each that follows `<!-- command: NAME -->` the
server's command for it. Ports and paths are replaced by those of the test. A certificate is made for each run.

    tests/proxies/run.sh
"""

import json
import os
import re
import select
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/debug/yamabiko"
HOST = "chat.example.org"
ORIGIN = f"https://{HOST}"
# No wait of a test is longer.
TIMEOUT = 120


def blocks(kind):
    page = (ROOT / "docs/deploy.md").read_text()
    found = re.findall(rf"<!-- {kind}: ([a-z-]+) -->\n```\w+\n(.*?)```\n", page, re.DOTALL)
    return dict(found)


FILES, COMMANDS = blocks("file"), blocks("command")


# Below the ports that systems give to outgoing connections, and to programs that ask for any free one.
PORTS = iter(range(30_000, 32_000))


def free_port():
    """A port that no other call gets, and on which nothing listens."""
    for port in PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return port
        except OSError:
            pass
    raise AssertionError("no port is free")


def eventually(what, condition):
    end = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {TIMEOUT} s: {what}")
        time.sleep(0.02)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Process:
    """A program that is ended with the test."""

    def __init__(self, test, arguments, port, **environment):
        output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
        test.addCleanup(output.close)
        test.addCleanup(self.end)

        def ready():
            if self.process.poll() is not None:
                output.seek(0)
                raise AssertionError(f"{arguments[0]} has ended: {output.read()}")
            return listens(port)

        eventually(f"{arguments[0]} listens", ready)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Certificate:
    folder = None

    @classmethod
    def make(cls):
        cls.folder = tempfile.TemporaryDirectory()
        folder = Path(cls.folder.name)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}",
             "-keyout", folder / f"{HOST}.key", "-out", folder / f"{HOST}.pem"],
            check=True, capture_output=True,
        )
        both = (folder / f"{HOST}.pem").read_text() + (folder / f"{HOST}.key").read_text()
        (folder / f"{HOST}.both.pem").write_text(both)


def setUpModule():
    Certificate.make()


def tearDownModule():
    Certificate.folder.cleanup()


class Behind:
    """A proxy with a configuration of the page, and the server behind it."""

    def __init__(self, test, name, *options, command=None, change=lambda text: text):
        self.test = test
        self.folder = Path(tempfile.mkdtemp())
        test.addCleanup(subprocess.run, ["rm", "-rf", self.folder])
        self.port, self.server_port = free_port(), free_port()
        proxy = name.partition("-")[0]
        command = COMMANDS[command or (name if name in COMMANDS else proxy)]
        arguments = command.replace("127.0.0.1:8080", f"127.0.0.1:{self.server_port}").split()
        self.server = Process(test, [PROGRAM, *arguments[1:], *options], self.server_port)
        text = self.with_places(change(FILES[name]))
        getattr(self, proxy)(test, text)

    def with_places(self, text):
        """The configuration with the ports and files of the test."""
        text = text.replace("/etc/ssl/", f"{Certificate.folder.name}/")
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{self.server_port}")
        for written, replaced in [
            ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            ("bind :443", f"bind 127.0.0.1:{self.port}"),
            (f"{HOST} {{", f"https://{HOST}:{self.port} {{\n    bind 127.0.0.1"),
        ]:
            text = text.replace(written, replaced)
        return text

    def nginx(self, test, text):
        file = self.folder / "nginx.conf"
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in kinds)
        file.write_text(f"pid {self.folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{text}}}\n")
        Process(test, ["nginx", "-p", self.folder, "-c", file, "-g", "daemon off; error_log stderr;"], self.port)

    def haproxy(self, test, text):
        file = self.folder / "haproxy.cfg"
        self.statistics = self.folder / "statistics"
        file.write_text(f"global\n    stats socket {self.statistics}\n\n{text}")
        Process(test, ["haproxy", "-db", "-f", file], self.port)

    def caddy(self, test, text):
        file = self.folder / "Caddyfile"
        http = free_port()
        options = f"admin off\nauto_https disable_redirects\nhttp_port {http}\nhttps_port {self.port}\n"
        file.write_text(f"{{\n{options}}}\n{text}")
        home = {"HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        Process(test, ["caddy", "run", "--adapter", "caddyfile", "--config", file], self.port, **home)

    def connect(self, source="127.0.0.1"):
        """A TLS connection to the proxy, checked against the certificate."""
        context = ssl.create_default_context(cafile=f"{Certificate.folder.name}/{HOST}.pem")
        context.set_alpn_protocols(["http/1.1"])
        plain = socket.create_connection(("127.0.0.1", self.port), TIMEOUT, source_address=(source, 0))
        return context.wrap_socket(plain, server_hostname=HOST)

    def get(self, path, *fields, method="GET"):
        """Status, fields and body of the response."""
        with self.connect() as stream:
            lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Connection: close", *fields, "", ""]
            stream.sendall("\r\n".join(lines).encode())
            received = b""
            while chunk := stream.recv(65536):
                received += chunk
        return parse(received)

    def upgrade(self, path, *fields, source="127.0.0.1"):
        """The response to the request for a WebSocket, and the stream."""
        stream = self.connect(source)
        self.test.addCleanup(stream.close)
        lines = [
            f"GET {path} HTTP/1.1", f"Host: {HOST}", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *fields, "", "",
        ]
        stream.sendall("\r\n".join(lines).encode())
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = stream.recv(1)
            if not chunk:
                break
            received += chunk
        status, head, _ = parse(received)
        length = int(head.get("content-length", 0))
        body = b""
        while status != 101 and len(body) < length:
            body += stream.recv(length - len(body))
        return status, head, body.decode(), stream


def parse(received):
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), fields, body.decode(errors="replace")


def send_text(stream, text):
    data = text.encode()
    stream.sendall(bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data)


def read_frame(stream):
    """Opcode and payload; None at the end."""

    def exactly(count):
        data = b""
        while len(data) < count:
            chunk = stream.recv(count - len(data))
            if not chunk:
                return None
            data += chunk
        return data

    header = exactly(2)
    if header is None:
        return None
    return header[0] & 15, exactly(header[1] & 127)


def read_text(stream):
    """The next text; pings on the way are answered."""
    while frame := read_frame(stream):
        opcode, payload = frame
        if opcode == 9:
            stream.sendall(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
        if opcode == 1:
            return payload.decode()
    return None


def answer_pings(stream, seconds):
    """Answers pings for this time. How many came, and whether the connection is still open."""
    end, pings = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        if not stream.pending() and not select.select([stream], [], [], left)[0]:
            continue
        frame = read_frame(stream)
        if frame is None or frame[0] == 8:
            return pings, False
        if frame[0] == 9:
            pings += 1
            stream.sendall(bytes([0x8A, 0x80 | len(frame[1]), 0, 0, 0, 0]) + frame[1])
    return pings, True


class Page(unittest.TestCase):
    """The page, its WebSocket, its files and the API work, at the root and below a path."""

    def check(self, behind, base=""):
        status, _, page = behind.get(f"{base}/")
        self.assertEqual(status, 200)
        files = re.findall(r'(?:href|src)="\./([^"#]+)"', page)
        self.assertEqual(sorted(files), ["chat.css", "chat.js", "favicon.svg"])
        for file in files:
            self.assertEqual(behind.get(f"{base}/{file}")[0], 200, file)
        self.assertEqual(behind.get(f"{base}/health")[2], "ok\n")
        self.assertEqual(json.loads(behind.get(f"{base}/rooms")[2])["chat"]["total"], 0)
        status, fields, _ = behind.get(f"{base}/chat/hall", "Accept: text/html")
        self.assertEqual((status, fields["location"]), (303, "../#hall"))
        status, _, body, stream = behind.upgrade(f"{base}/broadcast/hall", f"Origin: {ORIGIN}")
        self.assertEqual(status, 101, body)
        send_text(stream, "through the proxy")
        self.assertEqual(read_text(stream), "through the proxy")
        status, _, body, _ = behind.upgrade(f"{base}/broadcast/hall", "Origin: https://elsewhere.example")
        self.assertEqual(status, 403, body)

    def test_nginx(self):
        self.check(Behind(self, "nginx"))

    def test_nginx_without_host(self):
        self.check(Behind(self, "nginx-forwarded-host"))

    def test_nginx_below_a_path_that_it_removes(self):
        self.check(Behind(self, "nginx-path-removed"), "/talk")

    def test_nginx_below_a_path_that_it_passes_on(self):
        behind = Behind(self, "nginx-path-kept")
        self.check(behind, "/talk")
        status, fields, _ = behind.get("/talk?x=1")
        self.assertEqual((status, fields["location"]), (308, "/talk/?x=1"))

    def test_haproxy(self):
        self.check(Behind(self, "haproxy"))

    def test_haproxy_below_a_path_that_it_removes(self):
        self.check(Behind(self, "haproxy-path-removed", command="nginx"), "/talk")

    def test_caddy(self):
        self.check(Behind(self, "caddy"))

    def test_caddy_below_a_path_that_it_removes(self):
        self.check(Behind(self, "caddy-path-removed"), "/talk")


class Host(unittest.TestCase):
    def test_refusal_names_the_origin_and_the_host_that_were_compared(self):
        without_host = lambda text: text.replace("        proxy_set_header Host $host;\n", "")
        behind = Behind(self, "nginx", change=without_host)
        status, _, body, _ = behind.upgrade("/broadcast/hall", f"Origin: {ORIGIN}")
        self.assertEqual(status, 403)
        shown = blocks("refusal")["nginx-host-not-kept"]
        self.assertEqual(body, shown.replace(":8080", f":{behind.server_port}"))

    def test_host_that_is_not_allowed_gets_421(self):
        behind = Behind(self, "nginx", change=lambda text: text.replace("Host $host", "Host other.example"))
        self.assertEqual(behind.get("/")[0], 421)


class ClientAddress(unittest.TestCase):
    """With one connection for each address: a second one of the same client is refused, one of another client is not."""

    def check(self, name, command=None):
        behind = Behind(self, name, "--connections-per-address", "1", command=command)
        first = behind.upgrade("/broadcast/hall", source="127.0.0.2")
        self.assertEqual(first[0], 101)
        self.assertEqual(behind.upgrade("/broadcast/hall", source="127.0.0.2")[0], 503)
        other = behind.upgrade("/broadcast/hall", source="127.0.0.3")
        self.assertEqual(other[0], 101)
        invented = behind.upgrade("/broadcast/hall", "X-Forwarded-For: 192.0.2.1", source="127.0.0.2")
        self.assertEqual(invented[0], 503, "what a client invents does not count")

    def test_nginx(self):
        self.check("nginx")

    def test_haproxy(self):
        self.check("haproxy")

    def test_caddy(self):
        self.check("caddy")


class IdleTimeouts(unittest.TestCase):
    """The proxy ends a quiet connection after three seconds, unless the server pings more often."""

    SHORT = {
        "nginx": lambda text: text.replace("75s", "3s"),
        "haproxy": lambda text: text.replace("75s", "3s"),
    }

    def open(self, name, ping_interval):
        behind = Behind(self, name, "--ping-interval", ping_interval, change=self.SHORT[name])
        status, _, body, stream = behind.upgrade("/broadcast/hall", f"Origin: {ORIGIN}")
        self.assertEqual(status, 101, body)
        return stream

    def test_pings_keep_a_quiet_connection(self):
        for name in self.SHORT:
            with self.subTest(name):
                pings, is_open = answer_pings(self.open(name, "0.3"), 6)
                self.assertTrue(is_open)
                self.assertGreater(pings, 3)

    def test_without_pings_the_proxy_ends_it(self):
        for name in self.SHORT:
            with self.subTest(name):
                pings, is_open = answer_pings(self.open(name, "600"), TIMEOUT)
                self.assertEqual((pings, is_open), (0, False))


class HealthChecks(unittest.TestCase):
    def test_request_of_http_1_0_without_host_is_answered(self):
        behind = Behind(self, "nginx")
        for path, expected in [("/health", "ok\n"), ("/ready", "ready\n")]:
            with socket.create_connection(("127.0.0.1", behind.server_port), TIMEOUT) as stream:
                stream.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                received = b""
                while chunk := stream.recv(65536):
                    received += chunk
            status, _, body = parse(received)
            self.assertEqual((status, body), (200, expected))

    def test_check_of_haproxy_finds_the_server_up_and_down_when_it_stops(self):
        behind = Behind(self, "haproxy", change=lambda text: text.replace("inter 2s", "inter 50ms"))

        def state():
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(str(behind.statistics))
                stream.sendall(b"show stat\n")
                received = b""
                while chunk := stream.recv(65536):
                    received += chunk
            names, *rows = [line.split(",") for line in received.decode().lstrip("# ").splitlines() if line]
            rows = [dict(zip(names, row)) for row in rows]
            return next(row for row in rows if row["svname"] == "one")

        # HAProxy gives the socket its name when it listens on all addresses.
        eventually("the socket of the statistics is there", behind.statistics.exists)
        # A check has as much time as there is between two of them, so on a busy machine the next one may fail.
        eventually("a check has passed and the server is up",
                   lambda: (now := state())["check_status"] == "L7OK" and now["status"].split()[0] == "UP")
        behind.server.process.terminate()
        eventually("the server is down", lambda: state()["status"].split()[0] == "DOWN")


if __name__ == "__main__":
    unittest.main()
