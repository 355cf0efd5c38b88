// Tests the chat page in a real Chromium with the real server, as a user and as a screen reader
// use it. Each wait ends with an expected event; no test sleeps.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { Counter, Proxy, Server, enter, launch, messageWith, send } from "./yamabiko.mjs";

const WAIT_MS = 60_000;

let server;
let browser;
let contexts = [];
/** The errors and warnings in the consoles of all tabs. */
let consoleErrors = [];
/** Whether requests of this test are expected to fail. */
let mayFailRequests = false;
const FAILED_REQUEST = /WebSocket connection to .* failed|Failed to load resource/;

before(async () => {
  server = await Server.start();
  browser = await launch();
});
// A test that stops the server and then fails must not make later tests fail.
beforeEach(async () => {
  if (server.ended) server = await Server.start();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});
afterEach(async () => {
  await Promise.all(contexts.map((context) => context.close()));
  contexts = [];
  const seen = consoleErrors.filter((text) => !mayFailRequests || !FAILED_REQUEST.test(text));
  consoleErrors = [];
  mayFailRequests = false;
  assert.deepEqual(seen, [], "the consoles have no errors and warnings");
});

/** A tab in its own browser context: only the server is shared. */
async function tab(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 }, ...options });
  context.setDefaultTimeout(WAIT_MS);
  contexts.push(context);
  const page = await context.newPage();
  page.on("pageerror", (error) => consoleErrors.push(String(error)));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && consoleErrors.push(message.text()));
  return page;
}

async function inRoom(name, room, options) {
  const page = await tab(options);
  await enter(page, server.url, name, room);
  return page;
}

const people = (page) => page.getByRole("complementary", { name: /Here now/ });
/**
 * Console messages about failed requests are no fault of this test. They are discarded at its end: one may come after the page has
 * shown the failure, and a page tries again until it is closed.
 */
function ignoreFailedRequests() {
  mayFailRequests = true;
}

const connected = (page) => page.getByText("Connected", { exact: true }).waitFor();

test("two members of a room see each other join, exchange messages, and one sees the other leave", async () => {
  const aiko = await inRoom("Aiko", "talk");
  const bo = await inRoom("Bo", "talk");
  await aiko.getByText("Bo entered.").waitFor();
  await people(aiko).getByText("Bo", { exact: true }).waitFor();
  await people(bo).getByText("Aiko", { exact: true }).waitFor();

  await send(aiko, "Yo-ho!");
  await messageWith(bo, "Yo-ho!").waitFor();
  await messageWith(aiko, "Yo-ho!").waitFor();
  await send(bo, "Yo-ho, yo-ho!");
  await messageWith(aiko, "Yo-ho, yo-ho!").waitFor();
  assert.match(await messageWith(aiko, "Yo-ho, yo-ho!").innerText(), /Bo/);

  await bo.getByRole("button", { name: "Leave" }).click();
  await aiko.getByText("Bo left.").waitFor();
  await people(aiko).getByText("Bo", { exact: true }).waitFor({ state: "detached" });
  await bo.getByRole("button", { name: "Enter the room" }).waitFor();
});

test("closing the tab leaves the room", async () => {
  const aiko = await inRoom("Aiko", "close");
  const bo = await inRoom("Bo", "close");
  await aiko.getByText("Bo entered.").waitFor();
  await bo.close();
  await aiko.getByText("Bo left.").waitFor();
});

test("rooms are separate, and the address names the room", async () => {
  const aiko = await inRoom("Aiko", "apart-1");
  const bo = await inRoom("Bo", "apart-2");
  assert.equal(new URL(aiko.url()).hash, "#apart-1");
  await send(aiko, "only here");
  await messageWith(aiko, "only here").waitFor();
  await send(bo, "only there");
  await messageWith(bo, "only there").waitFor();
  assert.equal(await bo.getByText("only here").count(), 0);

  await bo.evaluate(() => (location.hash = "#apart-1"));
  await aiko.getByText("Bo entered.").waitFor();
  await bo.getByRole("heading", { name: "apart-1" }).waitFor();
});

test("a room name may be in any script, and the page shows the server's form of it", async () => {
  const aiko = await inRoom("Aiko", "会議室");
  await aiko.getByRole("heading", { name: "会議室" }).waitFor();
  await aiko.waitForURL(/#%E4%BC%9A%E8%AD%B0%E5%AE%A4$/);
  const bo = await tab();
  await bo.goto(`${server.url}#会議室`);
  assert.equal(await bo.getByLabel("Room", { exact: true }).inputValue(), "会議室");
  await bo.getByLabel("Your name").fill("Bo");
  await bo.keyboard.press("Enter");
  await aiko.getByText("Bo entered.").waitFor();

  await bo.evaluate(() => (location.hash = "#cafe%CC%81"));
  await bo.getByRole("heading", { name: "caf\u00E9" }).waitFor();
  await bo.waitForURL(/#caf%C3%A9$/);
});

test("an address with an invalid room name shows the reason instead of another room", async () => {
  const page = await tab();
  const field = page.getByLabel("Room", { exact: true });
  for (const [hash, room] of [["my%20room", "my room"], ["a%2Fb", "a/b"], ["100%", "100%"], ["..", ".."]]) {
    await page.goto("about:blank");
    await page.goto(`${server.url}#${hash}`);
    assert.equal(await field.inputValue(), room);
    await page.getByLabel("Your name").fill("Aiko");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: /A room's name has 1 to 64 letters/ }).waitFor();
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    assert.equal(await field.inputValue(), room);
  }
  ignoreFailedRequests();
});

test("the address of a room's WebSocket redirects to the page of this room", async () => {
  const page = await tab();
  for (const room of ["ridge", "会議室"]) {
    await page.goto("about:blank");
    await page.goto(`${server.url}chat/${encodeURIComponent(room)}`);
    assert.equal(await page.getByLabel("Room", { exact: true }).inputValue(), room);
  }
});

test("the page shows the server's form of the entered name", async () => {
  const page = await inRoom("Ａｉｋｏ", "normal");
  await page.getByText("The server writes your name as Aiko.").waitFor();
  await people(page).getByText("Aiko", { exact: true }).waitFor();
  await send(page, "mine");
  await messageWith(page, "mine").waitFor();
  assert.match(await messageWith(page, "mine").innerText(), /^Aiko/);
});

test("after a restart of the server both members reconnect automatically and exchange messages", async () => {
  const aiko = await inRoom("Aiko", "restart");
  const bo = await inRoom("Bo", "restart");
  const { port } = server;
  for (const page of [aiko, bo]) await connected(page);
  await server.stop();
  for (const page of [aiko, bo]) await page.getByText(/Connection lost/).waitFor();
  await send(aiko, "during the outage");
  await aiko.getByText("Not connected. Your text is kept here.").waitFor();
  assert.equal(await aiko.getByLabel("Message", { exact: true }).inputValue(), "during the outage");

  server = await Server.start(port);
  for (const page of [aiko, bo]) await page.getByText(/You are back/).waitFor();
  for (const page of [aiko, bo]) await connected(page);
  await people(aiko).getByText("Bo", { exact: true }).waitFor();
  await aiko.keyboard.press("Enter");
  await messageWith(bo, "during the outage").waitFor();
  await send(bo, "after the outage");
  await messageWith(aiko, "after the outage").waitFor();
  ignoreFailedRequests();
});

test("messages about a lost connection disappear when the connection is back", async () => {
  const aiko = await inRoom("Aiko", "lost");
  const bo = await inRoom("Bo", "lost");
  await people(aiko).getByText("Bo", { exact: true }).waitFor();
  const { port } = server;
  await bo.close();
  await aiko.getByText("Bo left.").waitFor();
  const chie = await inRoom("Chie", "lost");
  await people(aiko).getByText("Chie", { exact: true }).waitFor();
  await server.stop();

  const mark = aiko.getByRole("log").locator(".mark").filter({ hasText: "Disconnected" });
  await mark.waitFor();
  assert.ok(Date.now() - Date.parse(await mark.locator("time").getAttribute("datetime")) < WAIT_MS, "the mark shows the time of the loss");
  await people(aiko).getByText("Not known while you are disconnected.").waitFor();
  assert.equal(await people(aiko).getByText("Chie", { exact: true }).count(), 0, "no member is shown as present");
  await send(aiko, "kept");
  const fault = aiko.getByText("Not connected. Your text is kept here.");
  await fault.waitFor();
  await aiko.getByText(/The server cannot be reached/).waitFor();

  server = await Server.start(port);
  await aiko.locator(".mark").filter({ hasText: "You are back" }).waitFor();
  await fault.waitFor({ state: "hidden" });
  await people(aiko).getByText("Aiko", { exact: true }).waitFor();
  assert.equal(await people(aiko).getByText("Not known").isVisible(), false);
  assert.equal(await mark.count(), 1, "one mark for each loss, not for each failed attempt");
  assert.equal(await aiko.getByLabel("Message", { exact: true }).inputValue(), "kept");
  await chie.close();
  ignoreFailedRequests();
});

test("an error of the text stays when the connection is back", async () => {
  const page = await inRoom("Aiko", "fault");
  const { port } = server;
  await page.getByLabel("Message", { exact: true }).fill("山".repeat(1366));
  await page.keyboard.press("Enter");
  const fault = page.getByRole("alert").filter({ hasText: "Too long by 2 bytes." });
  await fault.waitFor();
  await server.stop();
  await page.getByText(/Connection lost/).waitFor();
  server = await Server.start(port);
  await page.getByText(/You are back/).waitFor();
  await connected(page);
  assert.ok(await fault.isVisible());
  ignoreFailedRequests();
});

test("an edit of the form ends the attempt to enter and removes its status", async () => {
  const page = await tab();
  const { port } = server;
  await page.goto(server.url);
  await server.stop();
  await page.getByLabel("Your name").fill("Aiko");
  await page.getByRole("button", { name: "Enter the room" }).click();
  const status = page.getByRole("status").filter({ hasText: "The server cannot be reached." });
  await status.waitFor();
  await page.getByLabel("Room", { exact: true }).fill("edited");
  await status.waitFor({ state: "hidden" });

  server = await Server.start(port);
  const bo = await inRoom("Bo", "edited");
  await page.getByRole("button", { name: "Enter the room" }).click();
  await bo.getByText("Aiko entered.").waitFor();
  await page.waitForURL(/#edited$/);
  ignoreFailedRequests();
});

test("each room keeps its own draft", async () => {
  const page = await inRoom("Aiko", "draft-1");
  const box = page.getByLabel("Message", { exact: true });
  await box.fill("for the first room only");
  await page.evaluate(() => (location.hash = "#draft-2"));
  await page.getByRole("heading", { name: "draft-2" }).waitFor();
  assert.equal(await box.inputValue(), "");
  await box.fill("for the second");
  await page.getByRole("button", { name: "Leave" }).click();
  await page.getByLabel("Room", { exact: true }).fill("draft-1");
  await page.getByRole("button", { name: "Enter the room" }).click();
  await page.getByRole("heading", { name: "draft-1" }).waitFor();
  assert.equal(await box.inputValue(), "for the first room only");
  await page.keyboard.press("Enter");
  await messageWith(page, "for the first room only").waitFor();
  await page.evaluate(() => (location.hash = "#draft-2"));
  await page.getByRole("heading", { name: "draft-2" }).waitFor();
  assert.equal(await box.inputValue(), "for the second");
  await page.evaluate(() => (location.hash = "#draft-1"));
  await page.getByRole("heading", { name: "draft-1" }).waitFor();
  assert.equal(await box.inputValue(), "", "a sent text is not kept as a draft");
});

test("a text of 3,000 lines is folded until the user unfolds it", async () => {
  const aiko = await inRoom("Aiko", "fold");
  const bo = await inRoom("Bo", "fold");
  const address = "https://example.org/last";
  // Chromium needs seconds to type so many lines, so the value is set.
  await bo.getByLabel("Message", { exact: true }).evaluate((box, text) => {
    box.value = text;
    box.focus();
  }, `top${"\n".repeat(3000)}${address}`);
  await bo.keyboard.press("Enter");
  await send(bo, "short");
  await messageWith(bo, "short").waitFor();
  await messageWith(aiko, "short").waitFor();
  const entry = messageWith(aiko, "top");
  const height = (article) => article.evaluate((element) => element.offsetHeight);
  const hasFocus = (control) => control.evaluate((element) => element === document.activeElement);
  assert.ok((await height(messageWith(bo, "top"))) < 400, "the message is folded for its sender");
  assert.ok((await height(entry)) < 400, "the message is folded");
  assert.equal(await messageWith(aiko, "short").getByRole("button").count(), 0);

  const more = entry.getByRole("button", { name: "Show the whole message" });
  assert.equal(await more.getAttribute("aria-expanded"), "false");
  await more.focus();
  await aiko.keyboard.press("Enter");
  const less = entry.getByRole("button", { name: "Show less" });
  assert.equal(await less.getAttribute("aria-expanded"), "true");
  assert.ok((await height(entry)) > 3000 * 20, "the message is unfolded");
  await aiko.keyboard.press("Enter");
  assert.ok((await height(entry)) < 400, "the message is folded again");
  assert.ok(await hasFocus(more));
  const { y } = await more.boundingBox();
  assert.ok(y > 0 && y < 700, "the button stays visible");

  await aiko.keyboard.press("Shift+Tab");
  assert.ok(await hasFocus(entry.getByRole("link", { name: address })));
  assert.ok((await height(entry)) > 3000 * 20, "a link with the focus is visible");
});

test("a text is folded by its height, also when the window becomes narrow", async () => {
  const page = await inRoom("Aiko", "narrow");
  await send(page, "narrow ".repeat(140));
  await messageWith(page, "narrow").waitFor();
  const button = page.getByRole("button", { name: "Show the whole message" });
  assert.equal(await button.count(), 0);
  await page.setViewportSize({ width: 320, height: 640 });
  await button.waitFor();
});

test("a server that refuses the page is distinguished from an unreachable one", async () => {
  const proxy = await Proxy.start(server);
  try {
    const page = await tab();
    const statusHas = (text) => page.getByRole("status").filter({ hasText: text }).waitFor();
    const submit = page.getByRole("button", { name: "Enter the room" });
    await page.goto(proxy.url);
    await page.getByLabel("Your name").fill("Aiko");
    await submit.click();
    await statusHas(/The server answers, but refuses this page/);
    await statusHas(`--allow-origin ${new URL(proxy.url).origin}`);

    proxy.status = 503;
    await submit.click();
    await statusHas(/The server answers, but accepts no connections now/);

    proxy.stop();
    await submit.click();
    await statusHas(/The server cannot be reached/);
  } finally {
    proxy.stop();
    ignoreFailedRequests();
  }
});

test("an invalid name is reported at its field, and a taken name with the suggestion of a free one", async () => {
  const aiko = await inRoom("Aiko", "names");
  const other = await tab();
  await other.goto(server.url);
  const name = other.getByLabel("Your name");
  const submit = other.getByRole("button", { name: "Enter the room" });
  await other.getByLabel("Room", { exact: true }).fill("names");

  for (const [typed, error] of [
    ["   ", /Enter your name/],
    ["x".repeat(33), /at most 32 characters/],
    ["a\u200Bb", /invisible/],
    ["AIKO", /has this name/],
  ]) {
    await name.fill(typed);
    await submit.click();
    await other.getByRole("alert").filter({ hasText: error }).waitFor();
    assert.equal(await name.getAttribute("aria-invalid"), "true");
    assert.ok(await name.evaluate((field) => field === document.activeElement), "the focus is on the field");
  }
  await other.getByRole("button", { name: "Enter as AIKO 2" }).click();
  await aiko.getByText("AIKO 2 entered.").waitFor();

  const third = await tab();
  await third.goto(server.url);
  await third.getByLabel("Your name").fill("Chie");
  await third.getByLabel("Room", { exact: true }).fill("no such/room");
  await third.getByRole("button", { name: "Enter the room" }).click();
  await third.getByRole("alert").filter({ hasText: /room's name/ }).waitFor();
  ignoreFailedRequests();
});

test("messages are displayed as text, line by line, and addresses become links", async () => {
  const aiko = await inRoom("Aiko", "text");
  const bo = await inRoom("<b>Bo</b>", "text");
  const markup = "<img src=x onerror=alert(1)> & </article>";
  await send(bo, markup);
  await messageWith(aiko, markup).waitFor();
  assert.equal(await aiko.locator("#log img, #log b").count(), 0);
  await people(aiko).getByText("<b>Bo</b>").waitFor();

  const box = bo.getByLabel("Message", { exact: true });
  await box.fill("first");
  await bo.keyboard.press("Shift+Enter");
  await bo.keyboard.type("see https://example.org/a?b=c.");
  await bo.keyboard.press("Enter");
  await messageWith(aiko, "first").waitFor();
  assert.match(await messageWith(aiko, "first").locator(".message-text").innerText(), /^first\nsee https/);
  const link = aiko.getByRole("link", { name: "https://example.org/a?b=c" });
  assert.equal(await link.getAttribute("href"), "https://example.org/a?b=c");
  assert.match(await link.getAttribute("rel"), /noopener/);

  await send(bo, "見て：https://example.org/道。次 (WWW.example.org/a_(b)) javascript:alert(1)");
  await messageWith(aiko, "次").waitFor();
  const links = messageWith(aiko, "次").getByRole("link");
  assert.deepEqual(await links.allInnerTexts(), ["https://example.org/道", "WWW.example.org/a_(b)"]);
  assert.deepEqual(
    await links.evaluateAll((anchors) => anchors.map(({ href, rel }) => [href, rel.split(" ")[0]])),
    [["https://example.org/%E9%81%93", "noopener"], ["https://www.example.org/a_(b)", "noopener"]],
  );
});

test("the newest message is visible, unless the user has scrolled up: then a button shows the number", async () => {
  const aiko = await inRoom("Aiko", "scroll");
  const bo = await inRoom("Bo", "scroll");
  for (let line = 1; line <= 30; line += 1) await send(bo, `line ${line}.`);
  await messageWith(aiko, "line 30.").waitFor();
  const log = aiko.getByRole("log");
  const atTheEnd = () =>
    aiko.waitForFunction(() => {
      const box = document.getElementById("log");
      return box.scrollTop > 0 && box.scrollHeight - box.scrollTop - box.clientHeight < 2;
    });
  await atTheEnd();

  await log.evaluate((box) => (box.scrollTop = 0));
  await send(bo, "news");
  const newer = aiko.getByRole("button", { name: /1 new message/ });
  await newer.waitFor();
  assert.equal(await log.evaluate((box) => box.scrollTop), 0, "the scroll position does not change");
  await newer.click();
  await newer.waitFor({ state: "hidden" });
  await atTheEnd();
});

test("the page remembers the name and the room", async () => {
  const page = await inRoom("Aiko", "memory");
  await page.goto("about:blank");
  await page.goto(server.url);
  assert.equal(await page.getByLabel("Your name").inputValue(), "Aiko");
  assert.equal(await page.getByLabel("Room", { exact: true }).inputValue(), "memory");
});

test("a text that is too long is reported and kept", async () => {
  const page = await inRoom("Aiko", "long");
  await page.getByLabel("Message", { exact: true }).fill("山".repeat(1366));
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "Too long by 2 bytes." }).waitFor();
  await page.keyboard.press("Backspace");
  await page.keyboard.press("Enter");
  await messageWith(page, "山山").waitFor();
});

test("the page shows when the device is offline", async () => {
  const page = await inRoom("Aiko", "offline");
  await connected(page);
  await page.context().setOffline(true);
  await page.getByRole("status").filter({ hasText: /device is offline/ }).waitFor();
  await page.context().setOffline(false);
  await connected(page);
});

test("the page can be used with the keyboard alone", async () => {
  const page = await tab();
  await page.goto(server.url);
  await page.keyboard.type("Aiko");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type("keys");
  await page.keyboard.press("Enter");
  await page.getByRole("log").waitFor();
  await page.keyboard.type("by hand");
  await page.keyboard.press("Enter");
  await messageWith(page, "by hand").waitFor();

  const focused = () => page.evaluate(() => document.activeElement.id);
  assert.equal(await focused(), "text");
  await page.keyboard.press("Shift+Tab");
  assert.equal(await focused(), "log", "the messages can be scrolled by keys");
  await page.keyboard.press("Shift+Tab");
  assert.equal(await focused(), "leave");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Enter the room" }).waitFor();
  assert.equal(await focused(), "name");
});

test("a screen reader finds all parts of the page", async () => {
  const page = await inRoom("Aiko", "reader");
  const log = page.getByRole("log", { name: "Messages" });
  assert.equal(await log.getAttribute("aria-live"), "polite");
  await page.getByRole("heading", { level: 1, name: "reader" }).waitFor();
  await page.getByRole("heading", { level: 2, name: /Here now/ }).waitFor();
  await page.getByRole("textbox", { name: "Message" }).waitFor();
  await page.getByRole("button", { name: "Send" }).waitFor();
  await page.getByRole("status").filter({ hasText: "Connected" }).waitFor();
  await page.getByRole("main").waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
  await send(page, "one");
  await send(page, "two");
  await messageWith(page, "two").waitFor();
  assert.match(await messageWith(page, "two").innerText(), /Aiko/, "each message names its sender for a screen reader");
  const unlabelled = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, textarea")]
      .filter((control) => control.checkVisibility())
      .filter((control) => !(control.labels?.length || control.textContent.trim()))
      .map((control) => control.outerHTML),
  );
  assert.deepEqual(unlabelled, []);
});

for (const colorScheme of ["light", "dark"]) {
  test(`text has a contrast of 4.5:1 or more with its background in ${colorScheme} mode`, async () => {
    const page = await inRoom("Aiko", `contrast-${colorScheme}`, { colorScheme });
    const other = await inRoom("Bo", `contrast-${colorScheme}`);
    for (const sender of [page, other]) await send(sender, "see https://example.org/");
    await messageWith(page, "see").nth(1).waitFor();
    for (let hue = 0; hue < 360; hue += 15) {
      await page.evaluate((hue) => {
        for (const named of document.querySelectorAll(".name, #you")) named.style.setProperty("--hue", hue);
      }, hue);
      assert.deepEqual(await page.evaluate(faintTexts), [], `with names of hue ${hue}`);
    }
  });
}

/** Runs in the page: each text whose contrast with its background is below 4.5. */
function faintTexts() {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, ground) => ground.map((channel, index) => channel + ((top[index] - channel) * top[3]) / 255);
  const ground = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((channel) => {
      const part = channel / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (node) => {
    const below = ground(node);
    const [low, high] = [luminance(over(rgba(getComputedStyle(node).color), below)), luminance(below)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const shown = [...document.querySelectorAll("#chat *")].filter((node) => node.checkVisibility() && !node.closest(".visually-hidden"));
  const texts = shown.filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
  return texts.filter((node) => contrast(node) < 4.5).map((node) => `${node.textContent.trim()}: ${contrast(node).toFixed(2)}`);
}

for (const width of [320, 360, 414]) {
  test(`nothing is cut off or scrolls horizontally on a phone of ${width} pixels`, async () => {
    const phone = { viewport: { width, height: 640 }, hasTouch: true, isMobile: true };
    const page = await tab(phone);
    const overflow = () => page.evaluate(() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth);
    await page.goto(server.url);
    assert.ok((await overflow()) <= 0, "the form");
    const room = `phone-${width}-`.padEnd(64, "x");
    await enter(page, server.url, "W".repeat(32), room);
    await page.getByLabel("Message", { exact: true }).fill(`${"long".repeat(100)} and so on`);
    await page.getByRole("button", { name: "Send" }).tap();
    await messageWith(page, "and so on").waitFor();
    assert.ok((await overflow()) <= 0, "the room");
    assert.equal(await page.getByRole("log").evaluate((log) => log.scrollWidth - log.clientWidth), 0, "the messages");
    for (const name of ["Leave", "Send", /show who/]) {
      const box = await page.getByRole("button", { name }).boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= width && box.width >= 40 && box.height >= 40, `${name} can be touched`);
    }

    assert.equal(await people(page).isVisible(), false);
    await page.getByRole("button", { name: /show who/ }).tap();
    await people(page).waitFor();
    assert.ok((await overflow()) <= 0, "the people");
    await page.keyboard.press("Escape");
    await people(page).waitFor({ state: "hidden" });
  });
}

test("the page and the server compress their messages", async () => {
  const counter = await Counter.start(server);
  const aiko = await tab();
  // This script runs before the scripts of the page, and records the sockets that they open.
  await aiko.addInitScript(() => {
    globalThis.opened = [];
    globalThis.WebSocket = class extends WebSocket {
      constructor(...parameters) {
        super(...parameters);
        opened.push(this);
      }
    };
  });
  await enter(aiko, counter.url, "Aiko", "compressed");
  const bo = await inRoom("Bo", "compressed");
  await aiko.getByText("Bo entered.").waitFor();
  assert.match(await aiko.evaluate(() => opened.at(-1).extensions), /^permessage-deflate\b/);

  const { sent, received } = counter;
  const longText = (name) => `${"山彦 ".repeat(500)}by ${name}`;
  await send(aiko, longText("Aiko"));
  await messageWith(bo, "by Aiko").waitFor();
  await messageWith(aiko, "by Aiko").waitFor();
  await send(bo, longText("Bo"));
  await messageWith(aiko, "by Bo").waitFor();
  assert.equal(await messageWith(aiko, "by Bo").locator(".message-text").innerText(), longText("Bo"));
  assert.equal(await messageWith(bo, "by Aiko").locator(".message-text").innerText(), longText("Aiko"));
  // Uncompressed, 3.5 kB would be sent and 7 kB received.
  assert.ok(counter.sent - sent < 1000, `${counter.sent - sent} bytes were sent`);
  assert.ok(counter.received - received < 2000, `${counter.received - received} bytes were received`);
  await aiko.close();
  counter.stop();
});

test("messages of every length reach the browser unchanged, text and binary, compressed", async () => {
  const page = await tab();
  await page.goto(server.url);
  const outcome = await page.evaluate(async (lengths) => {
    const socket = new WebSocket(`ws://${location.host}/broadcast/lengths`);
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
    const next = () => new Promise((resolve, reject) => Object.assign(socket, { onmessage: resolve, onclose: reject }));
    const results = [socket.extensions.split(";")[0]];
    const ofText = (length) => `${"山彦🏔é".repeat(length / 12)}${"x".repeat(length % 12)}`;
    const ofBytes = (length) => Uint8Array.from({ length }, (_, index) => (index * index) >> 9);
    for (const length of lengths) {
      socket.send(ofText(length));
      results.push((await next()).data === ofText(length));
      socket.send(ofBytes(length));
      const bytes = new Uint8Array((await next()).data);
      results.push(bytes.length === length && ofBytes(length).every((byte, index) => byte === bytes[index]));
    }
    socket.close();
    return results;
  }, [0, 1, 125, 126, 65535, 65536, 1 << 20]);
  assert.deepEqual(outcome, ["permessage-deflate", ...Array(14).fill(true)]);
});

test("the page is served with its security headers", async () => {
  const response = await fetch(server.url);
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type"), /^text\/html; *charset=utf-8$/i);
  assert.match(response.headers.get("content-security-policy"), /default-src 'none'/);
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  assert.equal(response.headers.get("referrer-policy"), "no-referrer");
  const health = await fetch(new URL("/health", server.url));
  assert.equal(await health.text(), "ok\n");
});
