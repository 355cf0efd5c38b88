// Chromium and Firefox, with the few steps that both test libraries have.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import puppeteer from "puppeteer-core";
import { CHROMIUM, CHROMIUM_FLAGS, LAUNCH_MAX_MS, launch } from "./yamabiko.mjs";

const FIREFOX = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

const COMMON = { headless: true, timeout: LAUNCH_MAX_MS };

/** Browsers that puppeteer drives: the same steps in both. */
export const PUPPETEERS = {
  Chromium: () => puppeteer.launch({ ...COMMON, browser: "chrome", executablePath: CHROMIUM, args: CHROMIUM_FLAGS }),
  Firefox: () => puppeteer.launch({ ...COMMON, browser: "firefox", executablePath: FIREFOX }),
};

/** The browsers, by name: each starts, and has `page()` and `close()`. A page has `goto(url)` and `evaluate(function, argument)`. */
export const BROWSERS = {
  async Chromium() {
    const browser = await launch();
    return { page: () => browser.newPage(), close: () => browser.close() };
  },
  async Firefox() {
    const browser = await PUPPETEERS.Firefox();
    return { page: () => browser.newPage(), close: () => browser.close() };
  },
};

/** A policy under which a page may start a worker by the name of its file … */
const LENIENT_POLICY =
  "default-src 'none'; script-src 'self'; connect-src ws://127.0.0.1:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/** … and the strictest one under which it can open a WebSocket. */
const POLICY = `${LENIENT_POLICY}; require-trusted-types-for 'script'; trusted-types 'none'`;

const JAVASCRIPT = "text/javascript; charset=utf-8";

/** Serves an empty page, the module, and a worker that uses it. */
export class PageHost {
  static async start() {
    const host = new PageHost();
    const module = await readFile(new URL("../../browser/reconnecting-websocket.js", import.meta.url));
    const html = ["text/html; charset=utf-8", '<!doctype html><title>module</title><script type="module" src="/page.js"></script>'];
    const files = {
      "/": html,
      "/lenient": html,
      "/page.js": [JAVASCRIPT, PAGE_SCRIPT],
      "/worker.js": [JAVASCRIPT, WORKER_SCRIPT],
      "/reconnecting-websocket.js": [JAVASCRIPT, module],
    };
    host.listener = createServer(({ url }, response) => {
      const [type, body] = files[url] ?? [];
      if (!type) return response.writeHead(404).end();
      const policy = url === "/lenient" ? LENIENT_POLICY : POLICY;
      response.writeHead(200, { "Content-Type": type, "Content-Security-Policy": policy }).end(body);
    });
    host.listener.listen(0, "127.0.0.1");
    await once(host.listener, "listening");
    host.origin = `http://127.0.0.1:${host.listener.address().port}`;
    host.url = `${host.origin}/`;
    return host;
  }

  stop() {
    this.listener.close();
    this.listener.closeAllConnections();
  }
}

/**
 * `open(url, options)` starts a socket that keeps what it hears: `states`, `messages`, and `opened`, the first or not. Messages are
 * texts, or the bytes of an ArrayBuffer.
 */
const PAGE_SCRIPT = `
import { ReconnectingWebSocket } from "/reconnecting-websocket.js";
const violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
function open(url, options = {}) {
  const heard = { states: [], messages: [], opened: [] };
  const socket = new ReconnectingWebSocket(url, {
    onState: (state) => heard.states.push(state),
    onMessage: (data) => heard.messages.push(typeof data === "string" ? data : [...new Uint8Array(data)]),
    onOpen: (socket, isFirst) => {
      heard.opened.push(isFirst);
      socket.send(isFirst ? "subscribe" : "subscribe again");
    },
    ...options,
  });
  socket.start();
  return Object.assign(window, { socket, heard, violations });
}
Object.assign(window, { open, violations, ready: true });
`;

const WORKER_SCRIPT = `
import { ReconnectingWebSocket } from "/reconnecting-websocket.js";
onmessage = ({ data: url }) => {
  const socket = new ReconnectingWebSocket(url, {
    onOpen: () => socket.send("from a worker"),
    onMessage: (data) => postMessage(data),
  });
  socket.start();
};
`;
