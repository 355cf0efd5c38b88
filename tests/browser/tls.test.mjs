// Tests the chat page over https and wss in a real Chromium, with a certificate that it does not trust and is told to accept.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, enter, launch, messageWith, send } from "./yamabiko.mjs";

const WAIT_MS = 60_000;

let folder;
let server;
let browser;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "yamabiko-browser-"));
  const [certificate, key] = ["cert.pem", "key.pem"].map((name) => join(folder, name));
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  execFileSync("openssl", ["req", "-x509", ...kind, ...names, "-keyout", key, "-out", certificate], { stdio: "ignore" });
  server = await Server.start(0, ["--tls-cert", certificate, "--tls-key", key]);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A tab in its own browser context, and the URLs of the WebSockets that it opens. */
async function tab(options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  return { page, sockets, close: () => context.close() };
}

test("two members exchange messages over https and wss", async () => {
  assert.match(server.url, /^https:/);
  const [aiko, bo] = [await tab({ ignoreHTTPSErrors: true }), await tab({ ignoreHTTPSErrors: true })];
  await enter(aiko.page, server.url, "Aiko", "sealed");
  await enter(bo.page, server.url, "Bo", "sealed");
  await aiko.page.getByText("Bo entered.").waitFor();
  await send(aiko.page, "Yo-ho!");
  await messageWith(bo.page, "Yo-ho!").waitFor();
  const long = "echo ".repeat(700).trim();
  await send(bo.page, long);
  await messageWith(aiko.page, long).waitFor();
  for (const { sockets } of [aiko, bo]) {
    assert.ok(sockets.length > 0 && sockets.every((url) => url.startsWith("wss:")), String(sockets));
  }
  await Promise.all([aiko.close(), bo.close()]);
});

test("browser that does not trust the certificate shows no page, and the server goes on", async () => {
  const stranger = await tab({});
  await assert.rejects(stranger.page.goto(server.url), /ERR_CERT_AUTHORITY_INVALID/);
  const member = await tab({ ignoreHTTPSErrors: true });
  await enter(member.page, server.url, "Chie", "sealed");
  await member.page.getByText("Connected", { exact: true }).waitFor();
  await Promise.all([stranger.close(), member.close()]);
});
