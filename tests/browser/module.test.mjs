// The module for browsers, in Chromium and in Firefox: with the real echo servers of this project, and with a server that does what a
// test says.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { BROWSERS, PageHost } from "./browsers.mjs";
import { EchoServer, Server, enter, example } from "./yamabiko.mjs";

const CHECKS_MS = 20;
const CHECK_MAX_MS = 60_000;

/** Waits until `check` returns something. */
async function until(what, check) {
  const end = Date.now() + CHECK_MAX_MS;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, CHECKS_MS));
  }
}

/** Accepts each WebSocket and gives its socket to the test. `status`: refuses it instead. */
class ScriptedServer {
  static async start() {
    const server = new ScriptedServer();
    server.sockets = [];
    server.status = 101;
    server.listener = createServer();
    server.listener.on("upgrade", (request, socket) => server.#accept(request, socket));
    server.listener.listen(0, "127.0.0.1");
    await once(server.listener, "listening");
    server.url = `ws://127.0.0.1:${server.listener.address().port}/`;
    return server;
  }

  #accept({ headers }, socket) {
    socket.on("error", () => socket.destroy());
    if (this.status !== 101) {
      return socket.end(`HTTP/1.1 ${this.status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    }
    const key = `${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash("sha1").update(key).digest("base64");
    const fields = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}`;
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n\r\n`);
    this.sockets.push(socket);
  }

  /** Closes the newest connection with a code and a reason. */
  close(code, reason = "") {
    const body = Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
    this.sockets.at(-1).end(Buffer.concat([Buffer.from([0x88, body.length]), body]));
  }

  stop() {
    this.listener.close();
    this.listener.closeAllConnections();
    for (const socket of this.sockets) socket.destroy();
  }
}

for (const [name, start] of Object.entries(BROWSERS)) {
  describe(`the module in ${name}`, () => {
    let browser, host, page;

    before(async () => {
      [browser, host] = [await start(), await PageHost.start()];
      page = await browser.page();
    });
    after(async () => {
      await browser?.close();
      host?.stop();
    });

    /** A fresh page with an open socket. */
    async function open(url, options) {
      await page.goto(host.url);
      await until("the page has loaded", () => page.evaluate(() => window.ready));
      await page.evaluate(([url, options]) => void window.open(url, options), [url, options]);
    }

    const heard = () => page.evaluate(() => window.heard);
    const kinds = async () => (await heard()).states.map(({ kind }) => kind);
    const lastState = async () => (await heard()).states.at(-1);
    const received = (count) =>
      until(`${count} messages`, async () => {
        const { messages } = await heard();
        return messages.length >= count && messages;
      });

    test("texts and bytes come back from an echo, under a strict policy", async () => {
      const server = await EchoServer.start(host.origin);
      try {
        await open(server.url);
        await received(1);
        await page.evaluate(() => socket.send("山彦"));
        await page.evaluate(() => socket.send(new Uint8Array([0, 1, 255])));
        assert.deepEqual(await received(3), ["subscribe", "山彦", [0, 1, 255]]);
        assert.deepEqual(await kinds(), ["connecting", "open"]);
        assert.deepEqual(await page.evaluate(() => window.violations), []);
      } finally {
        await server.stop();
      }
    });

    test("it works in a worker", async () => {
      const server = await EchoServer.start(host.origin);
      try {
        await page.goto(`${host.url}lenient`);
        const work = (url) =>
          new Promise((resolve, reject) => {
            const worker = new Worker("/worker.js", { type: "module" });
            worker.onmessage = ({ data }) => resolve(data);
            worker.onerror = ({ message }) => reject(new Error(message));
            worker.postMessage(url);
          });
        assert.equal(await page.evaluate(work, server.url), "from a worker");
      } finally {
        await server.stop();
      }
    });

    test("it connects again when the server has restarted, and subscribes again", async () => {
      const first = await EchoServer.start(host.origin);
      await open(first.url);
      await received(1);
      await first.stop();
      await until("the loss is noticed", async () => (await lastState()).kind !== "open");
      const second = await EchoServer.start(host.origin, first.port);
      try {
        assert.deepEqual(await received(2), ["subscribe", "subscribe again"]);
        const { opened, states } = await heard();
        assert.deepEqual(opened, [true, false]);
        assert.equal(states.find(({ kind }) => kind === "waiting").cause, "lost");
      } finally {
        await second.stop();
      }
    });

    test("it comes back after 1013 and stays away after 4001", async () => {
      const server = await ScriptedServer.start();
      try {
        await open(server.url);
        await until("it is open", async () => (await lastState()).kind === "open");
        server.close(1013);
        await until("it is open again", () => server.sockets.length === 2);
        await until("the page knows", async () => (await kinds()).filter((kind) => kind === "open").length === 2);
        server.close(4001, "banned");
        await until("it has stopped", async () => (await lastState()).kind === "stopped");
        assert.deepEqual(await lastState(), { kind: "stopped", code: 4001, reason: "banned" });
      } finally {
        server.stop();
      }
    });

    test("a message is refused while the network takes nothing, and sent when it does", async () => {
      const server = await ScriptedServer.start();
      try {
        await open(server.url, { bufferedBytesMax: 1 << 18 });
        await until("it is open", async () => (await lastState()).kind === "open");
        // Node does not read a socket of an upgrade before it is resumed. The kernel takes some MiB first; a network that has taken
        // nothing at 20 looks counts as blocked.
        const { sent, held } = await page.evaluate(async () => {
          const message = new Uint8Array(1 << 16);
          let [sent, held, looks] = [0, 0, 0];
          while (sent < 10_000 && looks < 20) {
            while (sent < 10_000 && socket.send(message)) sent += 1;
            looks = socket.bufferedAmount === held ? looks + 1 : 0;
            held = socket.bufferedAmount;
            await new Promise((resolve) => setTimeout(resolve, 25));
          }
          return { sent, held };
        });
        assert.ok(sent > 4 && sent < 10_000, `${sent} messages of 64 KiB`);
        assert.ok(held > 1 << 18, `${held} bytes are held`);
        const drained = page.evaluate(() => socket.drained());
        server.sockets.at(-1).resume();
        assert.equal(await drained, true);
        assert.ok(await page.evaluate(() => socket.send("again")));
      } finally {
        server.stop();
      }
    });

    test("a refusal looks like a failed network, and `diagnose` finds the reason", async () => {
      const server = await ScriptedServer.start();
      server.status = 503;
      try {
        await page.goto(host.url);
        await until("the page has loaded", () => page.evaluate(() => window.ready));
        await page.evaluate((url) => void window.open(url, { diagnose: async () => ({ cause: "full", retryAfterMs: 60_000 }) }), server.url);
        const waits = await until("two refusals", async () => {
          const { states } = await heard();
          return states.find(({ cause }) => cause === "full");
        });
        assert.ok(waits.until - Date.now() > 50_000);
        assert.equal((await heard()).states.find(({ kind }) => kind === "waiting").cause, "failed");
      } finally {
        server.stop();
      }
    });

    test("it talks to the example echo of yamabiko-tokio", async () => {
      const server = await example("echo");
      try {
        await open(server.url);
        await received(1);
        await page.evaluate(() => socket.send("山彦"));
        assert.deepEqual(await received(2), ["subscribe", "山彦"]);
      } finally {
        await server.stop();
      }
    });

    test("the page of the example axum_echo of yamabiko-tokio talks to its server", async () => {
      const server = await example("axum_echo");
      try {
        await page.goto(server.url.replace(/^ws/, "http"));
        assert.equal(await page.evaluate(echoed, `${server.url}echo`), "山彦");
      } finally {
        await server.stop();
      }
    });
  });
}

/** In the page: what comes back. */
function echoed(url) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send("山彦");
    socket.onmessage = ({ data }) => resolve(data);
    socket.onclose = ({ code }) => reject(new Error(`closed: ${code}`));
  });
}

test("the chat page of Firefox and that of Chromium talk to each other", async () => {
  const server = await Server.start();
  const chromium = await BROWSERS.Chromium();
  const firefox = await BROWSERS.Firefox();
  try {
    const anna = await chromium.page();
    await enter(anna, server.url, "Anna", "talk");
    const ben = await firefox.page();
    await ben.goto(`${server.url}#talk`);
    await ben.locator("#name").fill("Ben");
    await ben.locator("#room").fill("talk");
    await ben.locator("#enter").click();
    const shows = (page, text) => until(text, () => page.evaluate((text) => document.body.innerText.includes(text), text));
    await shows(ben, "Anna");
    await shows(anna, "Ben");
    await anna.getByLabel("Message", { exact: true }).fill("from Chromium");
    await anna.keyboard.press("Enter");
    await shows(ben, "from Chromium");
    await ben.locator("#text").fill("from Firefox");
    await ben.keyboard.press("Enter");
    await shows(anna, "from Firefox");
  } finally {
    await Promise.all([chromium.close(), firefox.close()]);
    await server.stop();
  }
});

// The package ws ends the program when an error has no listener.
test("a socket has a listener for errors, also when it is stopped before it is open", async () => {
  const sockets = [];
  const { WebSocket } = globalThis;
  globalThis.WebSocket = class {
    constructor() {
      sockets.push(this);
    }

    close() {}
  };
  try {
    const { ReconnectingWebSocket } = await import("../../browser/reconnecting-websocket.js");
    const socket = new ReconnectingWebSocket("ws://localhost/");
    socket.start();
    socket.stop();
    assert.deepEqual(sockets.map(({ onerror }) => typeof onerror), ["function"]);
  } finally {
    globalThis.WebSocket = WebSocket;
  }
});
