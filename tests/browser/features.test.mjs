// What people do on the page of the chat, in Chromium and in Firefox, with the real server. In each state that a test reaches, axe-core
// finds nothing. Each wait ends with an expected event.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, afterEach, before, describe, test } from "node:test";
import { PUPPETEERS } from "./browsers.mjs";
import { Server } from "./yamabiko.mjs";

const WAIT_MS = 60_000;
const DAY_MS = 86_400_000;
const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

for (const [browserName, start] of Object.entries(PUPPETEERS)) {
  describe(browserName, () => {
    let server;
    let browser;
    let contexts = [];

    before(async () => {
      [server, browser] = await Promise.all([Server.start(), start()]);
    });
    after(async () => {
      await browser?.close();
      await server?.stop();
    });
    afterEach(async () => {
      await Promise.all(contexts.map((context) => context.close()));
      contexts = [];
    });

    /** A tab with a storage of its own, or a further tab beside this one. `prepare` runs in the page before its scripts. */
    async function tab({ beside = null, prepare = null, value = null } = {}) {
      const context = beside ? beside.browserContext() : await browser.createBrowserContext();
      if (!beside) contexts.push(context);
      const page = await context.newPage();
      page.setDefaultTimeout(WAIT_MS);
      await page.setViewport({ width: 1000, height: 700 });
      if (prepare) await page.evaluateOnNewDocument(prepare, value);
      return page;
    }

    async function inRoom(name, room, options) {
      const page = await tab(options);
      await enter(page, name, room);
      return page;
    }

    async function enter(page, name, room) {
      await page.goto("about:blank");
      await page.goto(server.url);
      await page.waitForSelector("#enter");
      await fill(page, "#name", name);
      await fill(page, "#room", room);
      await click(page, "#enter");
      await until(page, () => document.querySelector("#chat:not([hidden]) #status[data-state=connected]"));
    }

    test("others see who is writing until the message comes, and nobody who enters later", async () => {
      const aiko = await inRoom("Aiko", "typing");
      const bo = await inRoom("Bo", "typing");
      await fill(bo, "#text", "I am");
      await textOf(aiko, "#typing", "Bo is writing…");
      await axe(aiko);
      const chie = await inRoom("Chie", "typing");
      assert.equal(await content(chie, "#typing"), "");
      await send(bo, "I am here");
      await logHas(aiko, "I am here");
      await textOf(aiko, "#typing", "");
      assert.doesNotMatch(await content(aiko, "#log"), /writing/);
    });

    test("a mention and code stand out, for the mentioned member more than for others", async () => {
      const aiko = await inRoom("Aiko", "marks");
      const bo = await inRoom("Bo", "marks");
      await textOf(aiko, "#people-count", "2");
      await send(bo, "@aiko look at `let x` and\n```\nlet y;\n```");
      await until(aiko, () => document.querySelector(".mentions-me .mention.me"));
      assert.equal(await content(aiko, ".mention"), "@aiko");
      assert.deepEqual(await aiko.$$eval("#log code", (found) => found.map((code) => code.textContent)), ["let x", "let y;"]);
      await until(bo, () => document.querySelector(".mention:not(.me)"));
      assert.equal(await bo.$(".mentions-me"), null);
      await axe(aiko);
    });

    test("commands act, and neither they nor unknown ones are sent", async () => {
      const aiko = await inRoom("Aiko", "commands");
      const bo = await inRoom("Bo", "commands");
      await send(aiko, "/me waves");
      await logHas(bo, "Aiko waves");
      await until(bo, () => document.querySelector(".message.action"));
      await send(aiko, "/topic Tea at four");
      await textOf(bo, "#topic", "Tea at four");
      await logHas(bo, "Aiko has set the topic: Tea at four");
      await send(aiko, "/nick Aki");
      await logHas(bo, "Aiko is now Aki.");
      await textOf(aiko, "#you", "Aki");
      await send(aiko, "/who");
      await logHas(aiko, "2 here: Aki and Bo");
      await send(aiko, "/help");
      await logHas(aiko, "/nick NAME changes your name.");
      await send(aiko, "/shout hello");
      await textOf(aiko, "#composer-fault", /There is no command \/shout/);
      assert.equal(await aiko.$eval("#text", (box) => box.value), "/shout hello");
      await axe(aiko);
      await send(aiko, "//shout hello");
      await logHas(bo, "/shout hello");
      await send(aiko, "/topic -");
      await textOf(bo, "#topic", "");
      assert.doesNotMatch(await content(bo, "#log"), /There is no command|2 here/);
      // A later member gets the topic and the log, and a reload keeps the new name.
      assert.equal(await aiko.evaluate(() => localStorage.getItem("yamabiko.name")), "Aki");
    });

    test("a new name is that of all tabs of the person", async () => {
      const one = await inRoom("Aiko", "tabs");
      const other = await inRoom("Aiko", "tabs", { beside: one });
      await send(one, "/nick Aki");
      await textOf(other, "#you", "Aki");
      await send(other, "from the other tab");
      await logHas(one, "from the other tab");
      assert.match(await one.$$eval(".message", (found) => found.at(-1).innerText), /^Aki/);
      assert.equal(await content(one, "#people-count"), "1");
    });

    test("a reload and a further tab are the person whose session the server has signed, and a session that was made up is nobody", async () => {
      const session = () => localStorage.getItem("yamabiko.session");
      const one = await inRoom("Aiko", "person");
      assert.match(await one.evaluate(session), /^s1\.[\w-]{54}$/);
      await enter(one, "Aiko", "person");
      const other = await inRoom("Aiko", "person", { beside: one });
      await textOf(other, "#people-count", "1");
      const madeUp = `s1.${"A".repeat(54)}`;
      const bo = await inRoom("Bo", "person", { prepare: keepSession, value: madeUp });
      await textOf(one, "#people-count", "2");
      assert.notEqual(await bo.evaluate(session), madeUp);
      assert.match(await bo.evaluate(session), /^s1\./);
    });

    test("messages of another day have its date above them", async () => {
      const bo = await inRoom("Bo", "days");
      await send(bo, "yesterday");
      await logHas(bo, "yesterday");
      assert.equal(await bo.$(".day"), null);
      const aiko = await inRoom("Aiko", "days", { prepare: clockAhead, value: DAY_MS });
      await until(aiko, () => document.querySelector(".day"));
      const expected = await aiko.evaluate((ahead) => new Intl.DateTimeFormat(navigator.language, { dateStyle: "full" }).format(Date.now() - ahead), DAY_MS);
      assert.equal(await content(aiko, ".day"), expected);
      await axe(aiko);
    });

    test("what came since the last visit is behind a line, also after a reload", async () => {
      const aiko = await inRoom("Aiko", "unread");
      const bo = await inRoom("Bo", "unread");
      await send(bo, "one");
      await logHas(aiko, "one");
      await until(aiko, () => localStorage.getItem("yamabiko.read")?.includes("unread"));
      await aiko.goto("about:blank");
      await send(bo, "two");
      await logHas(bo, "two");
      await enter(aiko, "Aiko", "unread");
      await logHas(aiko, "two");
      assert.match(await content(aiko, "#log"), /one[^]*New since you were last here[^]*two/);
      await axe(aiko);
      await send(aiko, "three");
      await until(aiko, () => !document.querySelector(".unread"));
      await enter(aiko, "Aiko", "unread");
      await logHas(aiko, "three");
      assert.equal(await aiko.$(".unread"), null, "all of it was read");
    });

    test("successive joins and leaves are one note", async () => {
      const aiko = await inRoom("Aiko", "folded");
      const others = [];
      for (const name of ["Bo", "Chie", "Dan"]) others.push(await inRoom(name, "folded"));
      await logHas(aiko, "Bo, Chie, and Dan entered.");
      await click(others[0], "#leave");
      await logHas(aiko, "Chie and Dan entered. Bo left.");
      await send(aiko, "hello");
      await click(others[1], "#leave");
      await logHas(aiko, /hello[^]*Chie left\./);
    });

    test("a notification comes for a mention if the user has asked for it, and the title counts what was not seen", async () => {
      const aiko = await inRoom("Aiko", "notify", { prepare: fakeNotifications });
      const bo = await inRoom("Bo", "notify");
      await hide(aiko, true);
      await send(bo, "@Aiko hello");
      await until(aiko, () => document.title.startsWith("(1) "));
      await logHas(aiko, "New since you were last here");
      assert.deepEqual(await aiko.evaluate(() => shown), [], "off by default");
      assert.equal(await aiko.evaluate(() => asked), 0);
      await hide(aiko, false);
      await until(aiko, () => !document.title.startsWith("("));
      await aiko.select("#notify", "mentions");
      await until(aiko, () => asked === 1 && localStorage.getItem("yamabiko.notify") === "mentions");
      await hide(aiko, true);
      await send(bo, "not for you");
      await send(bo, "@aiko for you");
      await until(aiko, () => shown.length === 1);
      assert.deepEqual(await aiko.evaluate(() => shown), [["Bo in notify", "@aiko for you"]]);
      await axe(aiko);
    });

    test("a refusal of the browser to notify is told, and the setting stays off", async () => {
      const aiko = await inRoom("Aiko", "blocked", { prepare: fakeNotifications, value: "denied" });
      await aiko.select("#notify", "all");
      await textOf(aiko, "#notify-fault", "The browser does not allow notifications for this page.");
      assert.equal(await aiko.$eval("#notify", (select) => select.value), "off");
    });

    test("the page speaks the browser's language, and another one if the user chooses it", async () => {
      const aiko = await tab({ prepare: languages, value: ["ja-JP", "en"] });
      await aiko.goto(server.url);
      await textOf(aiko, "#enter", "部屋に入る");
      assert.equal(await aiko.$eval("html", (html) => html.lang), "ja");
      await axe(aiko);
      await enter(aiko, "愛子", "言語");
      await textOf(aiko, "#status-text", "接続中");
      await logHas(aiko, "言語に入りました。");
      await send(aiko, "/who");
      await logHas(aiko, "1人：愛子");
      await axe(aiko);
      await aiko.select("#language", "en");
      await textOf(aiko, "#leave", "Leave");
      await textOf(aiko, "#status-text", "Connected");
      await aiko.reload();
      await textOf(aiko, "#enter", "Enter the room");
    });

    test("on a touch screen Enter begins a new line and the button sends", async () => {
      const aiko = await inRoom("Aiko", "touch", { prepare: touchScreen });
      assert.equal(await aiko.$eval("#text", (box) => box.enterKeyHint), "enter");
      await fill(aiko, "#text", "one");
      await aiko.bringToFront();
      await aiko.keyboard.press("Enter");
      await aiko.keyboard.type("two");
      assert.equal(await aiko.$eval("#text", (box) => box.value), "one\ntwo");
      await click(aiko, "#send");
      await logHas(aiko, /one\s+two/);
    });

    test("a phone in landscape shows messages beside a long draft", async () => {
      const aiko = await inRoom("Aiko", "landscape");
      await aiko.setViewport({ width: 740, height: 340 });
      await fill(aiko, "#text", "line\n".repeat(12));
      const height = await aiko.$eval("#log", (log) => log.clientHeight);
      assert.ok(height >= 120, `${height} pixels of 340 for the messages`);
      await axe(aiko);
    });

    test("a private room is created with a password, and entered with it or by the address of an invitation", async () => {
      const aiko = await tab();
      await aiko.goto(server.url);
      await aiko.select("#visibility", "private");
      await fill(aiko, "#password", "open sesame");
      await axe(aiko);
      await fill(aiko, "#name", "Aiko");
      await fill(aiko, "#room", "den");
      await click(aiko, "#enter");
      await logHas(aiko, "You entered den.");
      await send(aiko, "secret");
      await send(aiko, "/invite 1");
      await logHas(aiko, "Whoever has this address may enter");
      const address = await content(aiko, "#log .note code");

      const bo = await tab();
      await bo.goto(server.url);
      await fill(bo, "#name", "Bo");
      await fill(bo, "#room", "den");
      await click(bo, "#enter");
      await textOf(bo, "#gate-error", "This room is private: it needs its password or an invitation.");
      await axe(bo);
      await fill(bo, "#password", "open barley");
      await click(bo, "#enter");
      await textOf(bo, "#gate-error", "This is not the password of the room.");
      await bo.goto("about:blank");
      await bo.goto(address);
      await fill(bo, "#name", "Bo");
      await click(bo, "#enter");
      await logHas(bo, "secret");
      assert.equal(new URL(bo.url()).hash, "#den", "the invitation is not left in the address");
    });

    test("the gate lists rooms with the number of people, and a room that is not listed is not among them", async () => {
      await inRoom("Aiko", "listed-room");
      const page = await tab();
      await page.goto(server.url);
      await textOf(page, "#rooms", /listed-room 1 person/);
      await page.evaluate(() => [...document.querySelectorAll("#rooms button")].find((room) => room.textContent === "listed-room").click());
      assert.equal(await page.$eval("#room", (field) => field.value), "listed-room");
      await axe(page);
    });

    test("a moderator deletes messages, mutes and removes people, and the page tells both sides", async () => {
      const aiko = await tab();
      await aiko.goto(server.url);
      await aiko.select("#visibility", "unlisted");
      await fill(aiko, "#name", "Aiko");
      await fill(aiko, "#room", "order");
      await click(aiko, "#enter");
      await logHas(aiko, "You entered order.");
      const bo = await inRoom("Bo", "order");
      assert.equal(await bo.$("#log .delete:not([hidden])"), null);
      await send(bo, "spam");
      await logHas(aiko, "spam");
      await click(aiko, "#log .message .delete");
      for (const page of [aiko, bo]) await logHas(page, "Deleted by Aiko.");
      assert.doesNotMatch(await content(bo, "#log"), /spam/);
      await axe(aiko);
      // Its text is gone from the server, too.
      const late = await inRoom("Cy", "order");
      await logHas(late, "You entered order.");
      assert.doesNotMatch(await content(late, "#log"), /spam/);
      await send(aiko, "/mute Bo 5");
      await logHas(bo, "Aiko has muted Bo for 5 minutes.");
      await send(bo, "but");
      await logHas(bo, "A moderator does not let you write here for a time. Try again in");
      await send(aiko, "/mute Bo 0");
      await send(aiko, "/slow 60");
      await logHas(bo, "Aiko has set slow mode: a message in 60 seconds.");
      await send(aiko, "/kick Bo");
      await textOf(bo, "#status-text", "A moderator has removed you from this room.");
      await logHas(aiko, "Bo left.");
    });

    test("a broken connection leaves its mark in the log, and the room goes on behind it", async () => {
      const aiko = await inRoom("Aiko", "mark");
      const { port } = server;
      await server.stop();
      await until(aiko, () => document.querySelector(".mark"));
      await until(aiko, () => document.querySelector("#status[data-state=waiting]"));
      await axe(aiko);
      server = await Server.start(port);
      await until(aiko, () => {
        document.querySelector("#retry:not([hidden])")?.click();
        return document.querySelector("#status[data-state=connected]");
      });
      await logHas(aiko, /Disconnected[^]*You are back\./);
      await send(aiko, "still here");
      await logHas(aiko, "still here");
    });
  });
}

async function send(page, text) {
  await fill(page, "#text", text);
  await click(page, "#send");
}

// The steps do not need a tab that is in front: a browser draws no other one, and the steps of the library wait for that.

/** Sets a text as a paste does. */
function fill(page, selector, text) {
  return page.$eval(
    selector,
    (field, text) => {
      field.focus();
      field.value = text;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    },
    text,
  );
}

function click(page, selector) {
  return page.$eval(selector, (button) => button.click());
}

/** Waits until a function in the page returns something, with the tab in front: only then the log is drawn. */
async function until(page, holds, argument) {
  await page.bringToFront();
  return page.waitForFunction(holds, { polling: 50 }, argument);
}

function logHas(page, text) {
  return textOf(page, "#log", text, true);
}

/** Waits until the text of an element is this one, matches, or contains it. */
async function textOf(page, selector, text, contains = false) {
  const { source } = text instanceof RegExp ? text : { source: "" };
  const wanted = { selector, text: source ? "" : text, source, contains };
  try {
    await until(
      page,
      ({ selector, text, source, contains }) => {
        const shown = document.querySelector(selector)?.innerText.trim() ?? "";
        if (source) return new RegExp(source).test(shown);
        return contains ? shown.includes(text) : shown === text;
      },
      wanted,
    );
  } catch (error) {
    throw new Error(`${selector} never had ${text}, but: ${await content(page, selector)}`, { cause: error });
  }
}

function content(page, selector) {
  return page.$eval(selector, (element) => element.innerText.trim());
}

/** Makes the page believe that its tab is not visible. */
async function hide(page, hidden) {
  await page.bringToFront();
  await page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
}

/** Checks the page by all rules of axe-core, when what appears on it has appeared. */
async function axe(page) {
  // Animations that have an end go on in a visible page alone, and those of a part that is removed have none.
  await until(page, () =>
    document.getAnimations().every((one) => one.playState !== "running" || !Number.isFinite(one.effect.getComputedTiming().endTime)),
  );
  await page.evaluate(AXE);
  const violations = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
  });
  assert.deepEqual(violations, []);
}

// Run in the page, before its scripts.

function keepSession(session) {
  if (!localStorage.getItem("yamabiko.session")) localStorage.setItem("yamabiko.session", session);
}

function clockAhead(ahead) {
  const Real = Date;
  globalThis.Date = class extends Real {
    constructor(...parts) {
      super(...(parts.length ? parts : [Real.now() + ahead]));
    }
    static now() {
      return Real.now() + ahead;
    }
  };
}

function fakeNotifications(answer) {
  Object.assign(globalThis, { shown: [], asked: 0 });
  globalThis.Notification = class extends EventTarget {
    static permission = "default";
    static async requestPermission() {
      asked += 1;
      return (this.permission = answer ?? "granted");
    }
    constructor(title, { body }) {
      super();
      shown.push([title, body]);
    }
    close() {}
  };
}

function languages(tags) {
  Object.defineProperty(navigator, "languages", { get: () => tags });
}

function touchScreen() {
  const real = globalThis.matchMedia.bind(globalThis);
  globalThis.matchMedia = (query) =>
    query.includes("pointer: coarse") ? Object.assign(new EventTarget(), { matches: true }) : real(query);
}
