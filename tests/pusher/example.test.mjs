// The chat in examples/pusher-chat, started by its one command, in two pages of Chromium.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { within } from "./server.mjs";

const COMMAND = new URL("../../examples/pusher-chat/run.sh", import.meta.url).pathname;
const WAIT_MS = 60_000;

let example;
let url;
let browser;

before(async () => {
  const environment = { ...process.env, PORT: "0", PUSHER_PORT: String(await freePort()) };
  // A group of processes of its own, so that a signal reaches all of them, as Ctrl-C does.
  example = spawn(COMMAND, { env: environment, stdio: ["ignore", "pipe", "inherit"], detached: true });
  url = await within(address(example.stdout), "the example is ready", 90_000);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: ["--no-sandbox"],
  });
});
after(async () => {
  await browser?.close();
  const ended = once(example, "exit");
  process.kill(-example.pid, "SIGINT");
  await within(ended, "the example ends");
});

/** A port that is free now. */
async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  return port;
}

/** The address of the page, which the web server prints. */
async function address(output) {
  for await (const line of createInterface({ input: output })) {
    const found = line.match(/the chat is at (http:\S+)/);
    if (found) return found[1];
  }
  throw new Error("the example printed no address");
}

async function pageOf(name) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(WAIT_MS);
  await page.goto(url);
  await page.getByText("connected", { exact: true }).waitFor();
  await page.getByLabel("Your name").fill(name);
  return page;
}

test("two pages exchange messages in both channels, and see who is typing", async () => {
  const [ann, bob] = [await pageOf("Ann"), await pageOf("Bob")];
  const errors = [];
  for (const page of [ann, bob]) page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  for (const channel of ["public", "private"]) {
    const input = bob.getByLabel(`Message to the ${channel} channel`);
    await input.pressSequentially(`hello, ${channel}`);
    if (channel === "private") await ann.getByText("Bob is typing").waitFor();
    await input.press("Enter");
    await ann.getByText(`hello, ${channel}`).waitFor();
    // The sender's page shows its message, and does not get it again.
    assert.equal(await bob.getByText(`hello, ${channel}`).count(), 1);
  }
  // Bob stops without a message.
  await bob.getByLabel("Message to the private channel").pressSequentially("never");
  await ann.getByText("Bob is typing").waitFor();
  await ann.getByText("Bob is typing").waitFor({ state: "detached" });
  assert.deepEqual(errors, []);
});
