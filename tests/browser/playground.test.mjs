// Tests the playground in a real Chromium with the real server, as a user and as a screen reader use it. Each wait ends with an expected
// element; no test sleeps.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Server, launch } from "./yamabiko.mjs";

const WAIT_MS = 60_000;

let server;
let browser;
let contexts = [];
/** The errors and warnings in the consoles of all tabs; a breach of the page's policy is one. */
let consoleErrors = [];

before(async () => {
  server = await Server.start(0, ["--playground"]);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});
afterEach(async () => {
  await Promise.all(contexts.map((context) => context.close()));
  contexts = [];
  const seen = consoleErrors;
  consoleErrors = [];
  assert.deepEqual(seen, [], "the consoles have no errors and warnings");
});

/** The page, when it is connected. */
async function playground(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 800 }, ...options });
  context.setDefaultTimeout(WAIT_MS);
  contexts.push(context);
  const page = await context.newPage();
  page.on("pageerror", (error) => consoleErrors.push(String(error)));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && consoleErrors.push(message.text()));
  await page.goto(`${server.url}playground/`);
  await page.getByText("Connected to the server.").waitFor();
  return page;
}

async function opened(options) {
  const page = await playground(options);
  await page.getByRole("button", { name: "Send the request" }).click();
  await state(page, "Server", "open");
  return page;
}

/** Waits until an end is in this state. */
function state(page, end, name) {
  const machine = page.getByRole("group", { name: new RegExp(`^${end}`) });
  return machine.locator("li[aria-current=step]", { hasText: new RegExp(`^${name}$`) }).waitFor();
}

const wire = (page) => page.getByRole("list", { name: /What went over the wire/ });
const send = (page) => page.getByRole("button", { name: "Send these bytes" }).click();
const choose = (page, example) => page.getByLabel("Example", { exact: true }).selectOption({ label: example });

test("the handshake is the browser's own, and each of its lines has a meaning", async () => {
  const page = await playground();
  const request = await page.getByLabel("Request", { exact: true }).inputValue();
  assert.match(request, /^GET \/playground\/wire HTTP\/1\.1\n/);
  assert.match(request, /Sec-WebSocket-Version: 13/i);
  assert.match(request, /User-Agent: .*Chrome/i);
  await page.getByRole("button", { name: "Send the request" }).click();
  await page.getByText("Accepted. Both ends are open.").waitFor();
  await page.getByRole("cell", { name: /^HTTP\/1\.1 101 / }).waitFor();
  await state(page, "Client", "open");
});

test("an edited request is refused with the sentence of the RFC", async () => {
  const page = await playground();
  await page.getByLabel("Begin with").selectOption({ label: "A key of 15 bytes" });
  await page.getByRole("button", { name: "Send the request" }).click();
  await page.getByText("Refused: Sec-WebSocket-Key is not 16 bytes in base64").waitFor();
  await page.getByText(/value that, when decoded, is 16 bytes in length\.$/).waitFor();
  await page.getByRole("link", { name: "RFC 6455, section 4.2.1" }).waitFor();
  assert.ok(await page.getByRole("button", { name: "Send these bytes" }).isDisabled());
});

test("an edited response fails the client with the sentence of the RFC, and a legal one opens both ends", async () => {
  const page = await opened();
  const response = page.getByLabel("Response", { exact: true });
  assert.match(await response.inputValue(), /^HTTP\/1\.1 101 Switching Protocols\n/);
  await page.getByLabel("Begin the response with").selectOption({ label: "The accept key of another request" });
  const give = page.getByRole("button", { name: "Give the client this response" });
  await give.click();
  await page.getByText("The client does not go on: Sec-WebSocket-Accept does not match the key").waitFor();
  await page.getByText(/^If the response lacks a \|Sec-WebSocket-Accept\| header field/).waitFor();
  await state(page, "Client", "failed");
  await state(page, "Server", "lost");
  assert.ok(await page.getByRole("button", { name: "Send these bytes" }).isDisabled());

  await page.getByLabel("Begin the response with").selectOption({ label: "As the server has sent it" });
  await response.fill((await response.inputValue()).replace("Switching Protocols", "Welcome"));
  await give.click();
  await page.getByText("Accepted. Both ends are open.").waitFor();
  await page.getByRole("cell", { name: "HTTP/1.1 101 Welcome" }).waitFor();
  await state(page, "Client", "open");
});

test("a frame goes to the server and its echo comes back, each byte beside its meaning", async () => {
  const page = await opened();
  await choose(page, "The text “Hello”");
  await page.getByRole("region", { name: "What these bytes mean" }).getByRole("cell", { name: "“Hello”" }).waitFor();
  await send(page);
  const steps = wire(page);
  await steps.getByRole("heading", { name: "Client → server" }).waitFor();
  await steps.getByRole("heading", { name: "Server → client, by itself" }).waitFor();
  await steps.getByText("The application of the client gets: the text “Hello”").waitFor();
  await steps.getByRole("cell", { name: /unmasked 48 65 6c 6c 6f/ }).waitFor();
});

test("edited bytes are explained while they are edited, and broken ones name their rule", async () => {
  const page = await opened();
  const bytes = page.getByLabel("Bytes, in hexadecimal");
  const meaning = page.getByRole("region", { name: "What these bytes mean" });
  await bytes.fill("81 05 48 65 6c");
  await meaning.getByText("2 bytes are still missing.").waitFor();
  await meaning.getByText("Breaks a rule: a client's frame is not masked (§5.1)").waitFor();
  await bytes.fill("81 0x");
  await page.getByText("“0x” is not hexadecimal").waitFor();
  assert.equal(await bytes.getAttribute("aria-invalid"), "true");
  await bytes.fill("89 80 37 fa 21 3d");
  await meaning.getByText(/opcode 0x9: ping$/).waitFor();
  assert.equal(await bytes.getAttribute("aria-invalid"), null);
});

test("a broken frame shows the error, the close code, the sentence, and both state machines", async () => {
  const page = await opened();
  await choose(page, "Not masked");
  await send(page);
  const steps = wire(page);
  await steps.getByText("The server fails the connection with 1002: a client's frame is not masked (§5.1)").waitFor();
  await steps.getByText("The server MUST close the connection upon receiving a frame that is not masked.").waitFor();
  const link = steps.getByRole("link", { name: "RFC 6455, section 5.1" });
  assert.equal(await link.getAttribute("href"), "https://www.rfc-editor.org/rfc/rfc6455#section-5.1");
  await state(page, "Server", "failed");
  await state(page, "Client", "closed");
  await page.getByText("TCP: ended").waitFor();
});

test("the server's frames can be sent by hand, and the client checks them", async () => {
  const page = await opened();
  await page.getByLabel("the server", { exact: true }).check();
  await choose(page, "Masked");
  await send(page);
  await wire(page).getByText("A client MUST close a connection if it detects a masked frame.").waitFor();
  await state(page, "Client", "failed");
});

test("a composed Close moves both ends to closed", async () => {
  const page = await opened();
  await page.getByLabel("Kind").selectOption("close");
  await page.getByLabel("Code", { exact: true }).fill("4000");
  await page.getByLabel("Payload").fill("bye");
  await page.getByRole("button", { name: "Put it into the editor" }).click();
  await page.getByRole("cell", { name: "4000: private use" }).waitFor();
  await send(page);
  await state(page, "Client", "closed");
  await state(page, "Server", "closed");
  await page.getByText(/the application gets the code 4000$/).first().waitFor();
});

test("cutting TCP ends both ends with 1006", async () => {
  const page = await opened();
  await page.getByRole("button", { name: "Cut TCP" }).click();
  await state(page, "Client", "lost");
  await state(page, "Server", "lost");
  await page.getByText(/the application gets the code 1006$/).first().waitFor();
});

test("compression is the browser's own offer, and the echo is compressed", async () => {
  const page = await playground();
  await page.getByLabel("The server accepts compression").check();
  await page.getByRole("button", { name: "Send the request" }).click();
  await page.getByText("Accepted, with compression. Both ends are open.").waitFor();
  await choose(page, "A text that repeats itself: shorter with compression");
  await send(page);
  await wire(page).getByRole("cell", { name: "compressed data" }).waitFor();
  await wire(page).getByText("The application of the client gets: the text “echo, echo, echo, echo, echo”").waitFor();
});

test("everything can be done by keyboard, and the result is announced", async () => {
  const page = await playground();
  await page.getByLabel("Request", { exact: true }).focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await state(page, "Server", "open");
  assert.equal(await page.evaluate(() => document.activeElement.id), "opening-result");

  await page.getByLabel("Bytes, in hexadecimal").focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const news = page.locator("#news");
  await news.filter({ hasText: "client gets the text “Hello”. Client open, server open." }).waitFor();
  assert.equal(await news.getAttribute("role"), "status");
});

test("every control has a name, and headings go down one level at a time", async () => {
  const page = await opened();
  await send(page);
  await wire(page).getByRole("heading", { name: "Client → server" }).waitFor();
  const unnamed = await page.evaluate(() => {
    const controls = [...document.querySelectorAll("button, input, select, textarea")].filter((each) => each.checkVisibility());
    return controls.filter((each) => !each.textContent.trim() && !each.labels?.length).map((each) => each.id);
  });
  assert.deepEqual(unnamed, []);
  const levels = await page.evaluate(() => [...document.querySelectorAll("h1, h2, h3, h4")].map((each) => Number(each.tagName[1])));
  levels.reduce((above, level) => {
    assert.ok(level <= above + 1, levels.join(" "));
    return level;
  }, 0);
});

test("nothing is wider than a phone", async () => {
  const page = await opened({ viewport: { width: 360, height: 700 } });
  await choose(page, "126 bytes of binary data: a longer length");
  await page.getByRole("cell", { name: "payload of 126 bytes" }).waitFor();
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `${content} > ${window}`);
});

test("the page says that the server has ended", async () => {
  const page = await opened();
  await server.stop();
  await page.getByText(/The server has closed the connection of this page \(1001/).waitFor();
  assert.ok(await page.getByRole("button", { name: "Send the request" }).isDisabled());
  server = await Server.start(0, ["--playground"]);
});
