// Tests in a real Chromium that a member gets what it has missed, each message once: after a lost connection, and over a restart of
// the server with a data file. Each wait ends with an expected event; no test sleeps.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { Counter, Server, enter, launch, messageWith, send } from "./yamabiko.mjs";

const WAIT_MS = 60_000;

let browser;
let folder;
let contexts = [];
let servers = [];

before(async () => {
  browser = await launch();
  folder = await mkdtemp(join(tmpdir(), "yamabiko-resume-"));
});
after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});
afterEach(async () => {
  await Promise.all(contexts.map((context) => context.close()));
  await Promise.all(servers.map((server) => server.stop()));
  contexts = [];
  servers = [];
});

async function start(port, options) {
  const server = await Server.start(port, options);
  servers.push(server);
  return server;
}

async function inRoom(url, name, room) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 } });
  context.setDefaultTimeout(WAIT_MS);
  contexts.push(context);
  const page = await context.newPage();
  await enter(page, url, name, room);
  return page;
}

const connected = (page) => page.getByText("Connected", { exact: true }).waitFor();

/** The log has each of these texts once, in this order. */
async function hasEachOnce(page, texts) {
  await messageWith(page, texts.at(-1)).waitFor();
  const found = [];
  for (const article of await page.locator("article:not(.calling):not(.lost)").all()) {
    const content = await article.innerText();
    found.push(...texts.filter((text) => content.includes(text)));
  }
  assert.deepEqual(found, texts);
}

test("a member whose connection breaks gets what was written meanwhile, each message once", async () => {
  const server = await start(0, []);
  const network = await Counter.start(server);
  try {
    const aiko = await inRoom(network.url, "Aiko", "broken");
    const bo = await inRoom(server.url, "Bo", "broken");
    const texts = [];
    for (const round of ["first", "second", "third"]) {
      await connected(aiko);
      for (const text of [`${round} before`, `${round} after`]) {
        if (text.endsWith("after")) for (const socket of network.sockets) socket.destroy();
        await send(bo, text);
        texts.push(text);
        await messageWith(bo, text).waitFor();
      }
      await hasEachOnce(aiko, texts);
    }
  } finally {
    network.stop();
  }
});

test("members resume over a restart with a data file, and later ones see the past", async () => {
  const options = ["--data", join(folder, "rooms.db")];
  let server = await start(0, options);
  const { port } = server;
  const aiko = await inRoom(server.url, "Aiko", "kept");
  const bo = await inRoom(server.url, "Bo", "kept");
  await send(bo, "before the restart");
  await messageWith(aiko, "before the restart").waitFor();
  await server.stop();
  for (const page of [aiko, bo]) await page.getByText(/Connection lost/).waitFor();
  server = await start(port, options);
  for (const page of [aiko, bo]) await connected(page);
  await send(bo, "after the restart");
  const texts = ["before the restart", "after the restart"];
  for (const page of [aiko, bo]) await hasEachOnce(page, texts);
  const chie = await inRoom(server.url, "Chie", "kept");
  await hasEachOnce(chie, texts);
});
