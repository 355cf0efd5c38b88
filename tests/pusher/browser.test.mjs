// pusher-js and Laravel Echo in pages of Chromium, unmodified, against the program.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { APP, Server, WebhookReceiver, eventually, withReload } from "./server.mjs";

const WAIT_MS = 60_000;
const SCRIPTS = {
  "/pusher.js": new URL("node_modules/pusher-js/dist/web/pusher.js", import.meta.url),
  "/echo.js": new URL("node_modules/laravel-echo/dist/echo.iife.js", import.meta.url),
};

let server;
let webhooks;
let site;
let browser;

before(async () => {
  webhooks = await WebhookReceiver.start();
  server = await Server.start(0, webhooks.url);
  webhooks.library = server.library;
  site = await startSite();
  // The certificate of the tests over wss is of no authority that the browser knows.
  const args = ["--no-sandbox", "--ignore-certificate-errors"];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args });
});
after(async () => {
  await browser?.close();
  site?.listener.close();
  site?.listener.closeAllConnections();
  await server?.stop();
  webhooks?.stop();
});

/** The application's web server: a page with both libraries, and the endpoints that authorise. `?user=` says who the page is. */
async function startSite() {
  const listener = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    const id = searchParams.get("user");
    const send = (type, body) => response.writeHead(200, { "Content-Type": `${type}; charset=utf-8` }).end(body);
    if (pathname in SCRIPTS) return send("text/javascript", await readFile(SCRIPTS[pathname]));
    if (pathname === "/") return send("text/html", PAGE);
    if (request.method !== "POST") return response.writeHead(404).end();
    let body = "";
    for await (const part of request) body += part;
    const form = new URLSearchParams(body);
    const [socketId, channel] = [form.get("socket_id"), form.get("channel_name")];
    if (pathname === "/user-auth") return send("application/json", JSON.stringify(server.library.authenticateUser(socketId, { id })));
    const member = channel.startsWith("presence-") ? { user_id: id, user_info: { id } } : undefined;
    send("application/json", JSON.stringify(server.library.authorizeChannel(socketId, channel, member)));
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return { listener, url: `http://127.0.0.1:${listener.address().port}/` };
}

/** `seen` has what came, in its order; `members` is who is in its presence channel. */
const PAGE = `<!doctype html><title>page</title>
<script src="/pusher.js"></script><script src="/echo.js"></script>
<script>
const user = new URLSearchParams(location.search).get("user");
const seen = [];
const members = new Set();
function start(key, settings) {
  const at = (path) => path + "?user=" + encodeURIComponent(user);
  window.pusher = new Pusher(key, {
    ...settings,
    channelAuthorization: { endpoint: at("/auth"), transport: "ajax" },
    userAuthentication: { endpoint: at("/user-auth"), transport: "ajax" },
  });
  window.echo = new Echo.default({ ...settings, broadcaster: "pusher", key, authEndpoint: at("/auth") });
}
</script>`;

/** A page of this user, in a context of its own. */
async function pageOf(user) {
  const context = await browser.newContext();
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  const begin = async () => {
    await page.goto(`${site.url}?user=${user}`);
    await page.evaluate(([key, settings]) => start(key, settings), [APP.key, server.settings]);
  };
  await begin();
  return {
    page,
    begin,
    run: (script, argument) => page.evaluate(script, argument),
    seen: () => page.evaluate(() => seen),
    members: () => page.evaluate(() => [...members].sort()),
    async close() {
      await context.close();
      assert.deepEqual(errors, []);
    },
  };
}

/** Waits until the page has seen this. */
async function sees(page, expected) {
  await eventually(JSON.stringify(expected), async () => (await page.seen()).length >= expected.length);
  assert.deepEqual(await page.seen(), expected);
}

/** Enters a presence channel by Echo, and keeps its members. */
async function join(page, name) {
  await page.run((name) => new Promise((resolve) => {
    window.room = echo.join(name).here((here) => {
      here.forEach(({ id }) => members.add(id));
      resolve();
    });
    room.joining(({ id }) => members.add(id)).leaving(({ id }) => members.delete(id));
    room.listenForWhisper("typing", ({ name }) => seen.push(name + " is typing"));
  }), name);
}

test("pusher-js in a page has public and private channels, events of clients and the messages of a user", async () => {
  const [ann, bob] = [await pageOf("ann"), await pageOf("bob")];
  for (const page of [ann, bob]) {
    await page.run(() => Promise.all(["news", "private-news"].map((name) => new Promise((resolve) => {
      const channel = pusher.subscribe(name);
      channel.bind("headline", (data) => seen.push([name, data.text]));
      channel.bind("client-typing", (data) => seen.push([name, data.by]));
      channel.bind("pusher:subscription_succeeded", resolve);
    }))));
  }
  await server.library.trigger(["news"], "headline", { text: "山 \"echo\"" });
  await Promise.all([ann, bob].map((page) => sees(page, [["news", '山 "echo"']])));
  await server.library.trigger(["private-news"], "headline", { text: "hidden" });
  await Promise.all([ann, bob].map((page) => sees(page, [["news", '山 "echo"'], ["private-news", "hidden"]])));
  await bob.run(() => pusher.channel("private-news").trigger("client-typing", { by: "bob" }));
  await eventually("the event of the client", async () => (await ann.seen()).length === 3);
  assert.deepEqual((await ann.seen())[2], ["private-news", "bob"]);
  assert.equal((await bob.seen()).length, 2);
  await ann.run(async () => {
    pusher.user.bind("hello", (data) => seen.push(data));
    pusher.signin();
    await pusher.user.signinDonePromise;
  });
  await eventually("the user's channel is there", async () => {
    const response = await server.library.get({ path: "/channels" });
    return "#server-to-user-ann" in (await response.json()).channels;
  });
  await server.library.sendToUser("ann", "hello", { a: 1 });
  await eventually("the message to the user", async () => (await ann.seen()).length === 4);
  assert.deepEqual((await ann.seen())[3], { a: 1 });
  await Promise.all([ann.close(), bob.close()]);
});

test("Echo in a page has here, joining, leaving and a whisper that somebody types", async () => {
  const ann = await pageOf("ann");
  await join(ann, "talk");
  assert.deepEqual(await ann.members(), ["ann"]);
  const bob = await pageOf("bob");
  await join(bob, "talk");
  assert.deepEqual(await bob.members(), ["ann", "bob"]);
  await eventually("ann sees bob", async () => (await ann.members()).length === 2);
  await bob.run(() => { room.whisper("typing", { name: "bob" }); });
  await sees(ann, ["bob is typing"]);
  await bob.run(() => { echo.leave("talk"); });
  await eventually("ann sees bob go", async () => (await ann.members()).length === 1);
  await Promise.all([ann.close(), bob.close()]);
});

test("a page that is reloaded is the same member, and its web server hears nothing of it", () => withReload(async (channel, reload) => {
  const [ann, bob] = [await pageOf("ann"), await pageOf("bob")];
  try {
    const name = channel.replace("presence-", "");
    await join(ann, name);
    await join(bob, name);
    await eventually("ann sees bob", async () => (await ann.members()).length === 2);
    const events = () => webhooks.names(channel);
    await eventually("the web server knows", () => events().length === 3);
    await reload(async () => {
      await bob.begin();
      await join(bob, name);
    });
    assert.deepEqual(await bob.members(), ["ann", "bob"]);
    await eventually("ann sees bob again", async () => (await ann.members()).join() === "ann,bob");
    // What came after the reload is there, and nothing of the reload is in front of it.
    await bob.run(() => { room.whisper("typing", { name: "bob" }); });
    await eventually("the whisper", () => events().includes("client_event"));
    assert.deepEqual(events(), ["channel_occupied", "member_added", "member_added", "client_event"]);
  } finally {
    await Promise.all([ann.close(), bob.close()]);
  }
}));

for (const [how, signal] of [["killed", "SIGKILL"], ["stopped", "SIGTERM"]]) {
  test(`a page comes back to a server that was ${how}, and has its channels again`, { timeout: 180_000 }, async () => {
    const ann = await pageOf("ann");
    await join(ann, "lasting");
    await server.end(signal);
    const next = await Server.start(server.port, webhooks.url);
    await server.stop();
    server = next;
    webhooks.library = server.library;
    await eventually("the member is there again", async () => {
      const response = await server.library.get({ path: "/channels/presence-lasting/users" });
      return (await response.json()).users.length === 1;
    });
    await ann.run(() => { room.listen(".again", (data) => seen.push(data)); });
    await server.library.trigger("presence-lasting", "again", 1);
    await sees(ann, [1]);
    await ann.close();
  });
}
