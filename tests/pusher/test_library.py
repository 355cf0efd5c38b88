"""The library for Python, unmodified, against the program that YAMABIKO_BINARY names."""

import hashlib
import hmac
import http.server
import json
import os
import pathlib
import queue
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import pusher
import pusher.errors


class Library(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        arguments = ["serve", "--listen", "127.0.0.1:0"]
        environment = os.environ | {"YAMABIKO_APP": "1:app-key:app-secret"}
        cls.server = subprocess.Popen(
            [os.environ["YAMABIKO_BINARY"], *arguments], stdout=subprocess.PIPE, env=environment
        )
        cls.port = int(re.search(rb":(\d+)/", cls.server.stdout.readline())[1])

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait(60)
        cls.server.stdout.close()

    def library(self, **changes):
        settings = {"app_id": "1", "key": "app-key", "secret": "app-secret"} | changes
        return pusher.Pusher(host="127.0.0.1", port=self.port, ssl=False, **settings)

    def test_events_and_batches_are_accepted(self):
        library = self.library()
        self.assertEqual(library.trigger(["a", "b"], "event", {"text": "山"}), {})
        self.assertEqual(library.trigger("a", "event", {}, "1.2"), {})
        batch = [{"channel": "a", "name": "event", "data": {"number": 1}}]
        self.assertEqual(library.trigger_batch(batch), {})
        channels = [f"c{number}" for number in range(100)]
        self.assertEqual(library.trigger(channels, "event", "x"), {})

    def test_code_of_the_page_publishes(self):
        page = (pathlib.Path(__file__).parents[2] / "docs/pusher.md").read_text()
        code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
        names = {}
        exec(code.replace("ws.example.org", "127.0.0.1").replace("6001", str(self.port)), names)
        self.assertEqual(names["pusher"].trigger("a", "event", {}), {})

    def test_questions_are_answered_although_they_have_the_digest_of_no_body(self):
        library = self.library()
        self.assertEqual(library.channels_info("presence-", ["user_count"]), {"channels": {}})
        self.assertEqual(library.channel_info("a"), {"occupied": False})
        self.assertEqual(library.users_info("presence-a"), {"users": []})

    def test_connections_of_a_user_are_terminated_although_the_path_has_no_app(self):
        self.assertEqual(self.library().terminate_user_connections("user"), {})

    def test_refusals_are_the_library_s_own_errors(self):
        with self.assertRaises(pusher.errors.PusherBadAuth):
            self.library(secret="wrong").trigger("a", "event", {})
        with self.assertRaises(pusher.errors.PusherBadAuth):
            self.library(key="wrong").trigger("a", "event", {})
        with self.assertRaises(pusher.errors.PusherBadRequest):
            self.library().channel_info("a", ["user_count"])

    # Requests shaped as the library for PHP makes them: it sorts the parameters, signs them unescaped and sends them escaped;
    # json_encode escapes slashes and all that is not ASCII. Laravel publishes with it.

    def test_events_and_batches_of_php_are_accepted(self):
        event = {"name": "App\\Events\\Shipped", "data": '{"url":"http:\\/\\/a\\u5c71"}', "channels": ["orders.7"]}
        self.assertEqual(self.php("POST", "/events", body=event), {})
        to_others = event | {"channels": ["private-a", "presence-b"], "socket_id": "1.2"}
        self.assertEqual(self.php("POST", "/events", body=to_others), {})
        batch = [{"channel": "a", "name": "e", "data": "1"}, {"channel": "presence-b", "name": "e", "data": "2", "info": "user_count"}]
        self.assertEqual(self.php("POST", "/batch_events", body={"batch": batch}), {"batch": [{}, {"user_count": 0}]})
        self.assertEqual(self.php("POST", "/users/7/terminate_connections", body={}), {})

    def test_questions_of_php_are_answered(self):
        parameters = {"filter_by_prefix": "presence-a=@,.;", "info": "user_count"}
        self.assertEqual(self.php("GET", "/channels", parameters), {"channels": {}})
        self.assertEqual(self.php("GET", "/channels/presence-a", {"info": "user_count"}), {"occupied": False, "user_count": 0})
        self.assertEqual(self.php("GET", "/channels/presence-a/users"), {"users": []})

    def test_refusals_of_php_have_their_status_and_a_reason(self):
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.php("POST", "/events", body={"name": "e", "data": "x" * 10241, "channels": ["a"]})
        self.assertEqual(refused.exception.code, 413)
        self.assertIn(b"10240", refused.exception.read())

    def php(self, method, path, parameters=None, body=None):
        path = f"/apps/1{path}"
        parameters = (parameters or {}) | {
            "auth_key": "app-key",
            "auth_timestamp": str(int(time.time())),
            "auth_version": "1.0",
        }
        data = None
        if body is not None:
            data = json.dumps(body, separators=(",", ":")).replace("/", "\\/").encode()
            parameters["body_md5"] = hashlib.md5(data).hexdigest()
        signed = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
        signature = hmac.new(b"app-secret", f"{method}\n{path}\n{signed}".encode(), "sha256").hexdigest()
        query = urllib.parse.urlencode(parameters | {"auth_signature": signature}, quote_via=urllib.parse.quote)
        url = f"http://127.0.0.1:{self.port}{path}?{query}"
        headers = {"Content-Type": "application/json", "X-Pusher-Library": "pusher-http-php 7.2.4"}
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)


class Webhooks(unittest.TestCase):
    """A web server with the library for Python, and a client that subscribes."""

    def test_library_accepts_the_webhooks_of_the_server(self):
        library = pusher.Pusher(app_id="1", key="app-key", secret="app-secret", host="localhost", ssl=False)
        received = queue.Queue()

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                received.put(library.validate_webhook(self.headers["X-Pusher-Key"], self.headers["X-Pusher-Signature"], body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as receiver, tempfile.NamedTemporaryFile("w", suffix=".toml") as apps:
            threading.Thread(target=receiver.serve_forever, daemon=True).start()
            self.addCleanup(receiver.shutdown)
            url = f"http://127.0.0.1:{receiver.server_port}/"
            apps.write(f'[[apps]]\nid = "1"\nkey = "app-key"\nsecret = "app-secret"\n[[apps.webhooks]]\nurl = "{url}"\n')
            apps.flush()
            command = [os.environ["YAMABIKO_BINARY"], "serve", "--listen", "127.0.0.1:0", "--apps-file", apps.name]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
                self.addCleanup(server.kill)
                port = int(re.search(rb":(\d+)/", server.stdout.readline())[1])
                with subscribed(port, "orders"):
                    webhook = received.get(timeout=60)
                self.assertEqual(webhook["events"], [{"name": "channel_occupied", "channel": "orders"}])
                server.terminate()


def subscribed(port, channel):
    """A connection that has sent a subscription to a public channel, with a mask of zeros."""
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(
        b"GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    message = json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}}).encode()
    client.sendall(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message)
    return client


if __name__ == "__main__":
    unittest.main()
