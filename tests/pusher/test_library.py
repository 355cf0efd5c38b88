"""The library for Python, unmodified, against the program that YAMABIKO_BINARY names."""

import hashlib
import hmac
import json
import os
import re
import subprocess
import time
import unittest
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
        cls.server.wait(20)
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

    def test_request_shaped_as_the_library_for_php_makes_it_is_accepted(self):
        # It sorts the parameters, signs them unescaped and sends them escaped; data has escaped slashes.
        body = json.dumps({"name": "App\\Events\\Shipped", "data": '{"url":"http:\\/\\/a"}', "channels": ["orders.7"]})
        self.assertEqual(self.post(body.replace("/", "\\/")), {})

    def post(self, body):
        path = "/apps/1/events"
        parameters = {
            "auth_key": "app-key",
            "auth_timestamp": str(int(time.time())),
            "auth_version": "1.0",
            "body_md5": hashlib.md5(body.encode()).hexdigest(),
        }
        signed = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
        signature = hmac.new(b"app-secret", f"POST\n{path}\n{signed}".encode(), "sha256").hexdigest()
        query = urllib.parse.urlencode(parameters | {"auth_signature": signature})
        url = f"http://127.0.0.1:{self.port}{path}?{query}"
        headers = {"Content-Type": "application/json", "X-Pusher-Library": "pusher-http-php 7.2.4"}
        with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers)) as response:
            return json.load(response)


if __name__ == "__main__":
    unittest.main()
