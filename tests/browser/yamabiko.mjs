// Starts and ends the binary, the browser and two proxies, and has the steps of a user.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import * as http from "node:http";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const START_MAX_MS = 60_000;
const STOP_MAX_MS = 60_000;
/** The first start of a browser reads all of it from the disk. */
export const LAUNCH_MAX_MS = 120_000;

export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];

/** A program that serves at an address, which it prints. */
class Program {
  static async run(program, file, settings) {
    program.process = spawn(file, settings, { stdio: ["ignore", "pipe", "inherit"] });
    program.url = await within(START_MAX_MS, addressOf(program.process), "the server printed no address");
    return program;
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  get ended() {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** Sends SIGTERM, as an operator does, and waits until the server has ended. */
  async stop() {
    if (this.ended) return;
    const ended = once(this.process, "exit");
    this.process.kill("SIGTERM");
    try {
      await within(STOP_MAX_MS, ended, "the server did not end on SIGTERM");
    } finally {
      this.process.kill("SIGKILL");
    }
  }
}

/** A running `yamabiko serve`. */
export class Server extends Program {
  /**
   * @param {number} port 0 selects a free one
   * @param {string[]} options further options of `serve`
   */
  static async start(port = 0, options = []) {
    // No limit of the ratio: long test messages repeat one pattern.
    const settings = ["--listen", `127.0.0.1:${port}`, "--inflate-ratio-max", "1032", ...options];
    return Program.run(new Server(), fileOf("YAMABIKO_BINARY"), ["serve", ...settings]);
  }
}

/** A running `yamabiko echo`, for pages of this origin. Its `url` is that of a WebSocket. */
export class EchoServer extends Program {
  static async start(origin, port = 0) {
    const settings = ["--listen", `127.0.0.1:${port}`, "--allow-origin", origin];
    const server = await Program.run(new EchoServer(), fileOf("YAMABIKO_BINARY"), ["echo", ...settings]);
    server.url = server.url.replace(/^http/, "ws");
    return server;
  }
}

/** A running example of yamabiko-tokio. Its `url` is that of a WebSocket. */
export async function example(name) {
  const server = await Program.run(new Program(), `${fileOf("TOKIO_EXAMPLES")}/${name}`, ["127.0.0.1:0"]);
  server.url = server.url.replace(/^http/, "ws");
  return server;
}

function fileOf(variable) {
  const file = process.env[variable];
  if (!file) throw new Error(`${variable} must name a file; run.sh sets it`);
  return file;
}

/** Forwards each connection to a server, and counts the bytes of both directions. */
export class Counter {
  static async start(server) {
    const counter = new Counter();
    counter.sent = counter.received = 0;
    counter.sockets = new Set();
    counter.listener = createServer((client) => counter.#forward(client, connect(server.port, "127.0.0.1")));
    counter.listener.listen(0, "127.0.0.1");
    await once(counter.listener, "listening");
    counter.url = `http://127.0.0.1:${counter.listener.address().port}/`;
    return counter;
  }

  #forward(client, server) {
    client.on("data", (data) => (this.sent += data.length));
    server.on("data", (data) => (this.received += data.length));
    for (const [socket, other] of [[client, server], [server, client]]) {
      this.sockets.add(socket);
      socket.pipe(other);
      socket.on("error", () => other.destroy());
      socket.on("close", () => this.sockets.delete(socket));
    }
  }

  stop() {
    this.listener.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

/**
 * A misconfigured reverse proxy: it puts the server's own address into `Host`, so that the
 * server refuses the page's origin. With a `status`, the proxy responds instead of the server.
 */
export class Proxy {
  static async start(server) {
    const proxy = new Proxy();
    proxy.server = server;
    proxy.status = 0;
    proxy.sockets = new Set();
    proxy.listener = http.createServer((request, response) => proxy.#forward(request, response));
    proxy.listener.on("upgrade", (request, socket) => proxy.#upgrade(request, socket));
    proxy.listener.on("connection", (socket) => proxy.#keep(socket));
    proxy.listener.listen(0, "127.0.0.1");
    await once(proxy.listener, "listening");
    proxy.url = `http://127.0.0.1:${proxy.listener.address().port}/`;
    return proxy;
  }

  #request({ method, url, headers }) {
    const { port } = this.server;
    const forwarded = http.request({ port, host: "127.0.0.1", method, path: url, headers: { ...headers, host: `127.0.0.1:${port}` } });
    forwarded.end();
    return forwarded;
  }

  #forward(request, response) {
    if (this.status) return response.writeHead(this.status).end();
    const forwarded = this.#request(request);
    forwarded.on("error", () => response.writeHead(502).end());
    forwarded.on("response", (reply) => reply.pipe(response.writeHead(reply.statusCode, reply.headers)));
  }

  #upgrade(request, socket) {
    const refuse = (status) => socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    socket.on("error", () => socket.destroy());
    if (this.status) return refuse(this.status);
    const forwarded = this.#request(request);
    forwarded.on("error", () => refuse(502));
    forwarded.on("response", (reply) => refuse(reply.statusCode));
    forwarded.on("upgrade", (reply, upgraded) => refuse(500) && upgraded.destroy());
  }

  #keep(socket) {
    this.sockets.add(socket);
    socket.on("close", () => this.sockets.delete(socket));
  }

  stop() {
    this.listener.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

export function launch() {
  return chromium.launch({ executablePath: CHROMIUM, headless: true, args: CHROMIUM_FLAGS, timeout: LAUNCH_MAX_MS });
}

/** The first `http://…/`, `https://…/` or `ws://…/` on standard output; later output is discarded. */
function addressOf(child) {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const address = line.match(/(?:https?|ws):\/\/[^\s/]+\//);
      if (address) resolve(address[0]);
    });
  });
}

async function within(limit, promise, message) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(message)), limit)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Fills in the form and enters a room, as a user does. */
export async function enter(page, url, name, room) {
  await page.goto(url);
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("Room", { exact: true }).fill(room);
  await page.getByRole("button", { name: "Enter the room" }).click();
  await page.getByRole("log").waitFor();
}

export async function send(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

/** The message with this text that the page shows as received. */
export function messageWith(page, text) {
  return page.locator("article:not(.calling):not(.lost)").filter({ hasText: text });
}

const RECONNECTING = "reconnecting-websocket.js";

/** Loads a script of the page as a module, with those that it imports, without a browser. */
export async function pageModule(file) {
  return import(await pageModuleAddress(file));
}

async function pageModuleAddress(file) {
  const folder = file === RECONNECTING ? "../../browser" : "../../src/chat/page";
  let source = await sourceOf(`${folder}/${file}`);
  for (const [, imported] of source.matchAll(/^import .* from "\.\/([\w-]+\.js)";$/gm)) {
    source = source.replaceAll(`"./${imported}"`, JSON.stringify(await pageModuleAddress(imported)));
  }
  return moduleAddress(source);
}

/** Loads the library's module for browsers. */
export async function reconnectingWebSocket() {
  return import(moduleAddress(await sourceOf(`../../browser/${RECONNECTING}`)));
}

function sourceOf(path) {
  return readFile(new URL(path, import.meta.url), "utf8");
}

function moduleAddress(source) {
  return `data:text/javascript,${encodeURIComponent(source)}`;
}
