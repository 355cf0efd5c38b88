// The pure parts of the page, without a browser: commands, the parts of a text, languages, positions.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pageModule } from "./yamabiko.mjs";

const { commandOf } = await pageModule("commands.js");
const { partsOf } = await pageModule("format.js");
const { ALL_TEXTS, errorText, preferredLanguage, setLanguage } = await pageModule("texts.js");
const { isBehind } = await pageModule("storage.js");

test("a text that begins with a slash is a command and never a message", () => {
  for (const [entered, kind, text] of [
    ["/help", "help", undefined],
    ["  /WHO now", "who", undefined],
    ["/quit", "leave", undefined],
    ["/me waves ", "me", "waves"],
    ["/me", "needs", "me"],
    ["/nick  Bo 2", "nick", "Bo 2"],
    ["/topic", "topic", ""],
    ["/topic tea\nat four", "topic", "tea\nat four"],
    ["/kick Bo 2", "kick", "Bo 2"],
    ["/mute Bo", "needs", "mute"],
    ["/mute 10", "needs", "mute"],
    ["/slow x", "needs", "slow"],
    ["/invite", "needs", "invite"],
    ["/shout x", "unknown", "shout"],
    ["/", "unknown", ""],
    ["/constructor", "unknown", "constructor"],
  ]) {
    assert.deepEqual(commandOf(entered), text === undefined ? { kind } : { kind, text }, entered);
  }
});

test("the number of a command is its last word", () => {
  assert.deepEqual(commandOf("/mute Bo 2 10"), { kind: "mute", text: "Bo 2", number: 10 });
  assert.deepEqual(commandOf("/ban  Bo  60 "), { kind: "ban", text: "Bo", number: 60 });
  assert.deepEqual(commandOf("/slow 30"), { kind: "slow", number: 30 });
});

test("two slashes send a text that begins with one, and other texts are sent unchanged", () => {
  assert.deepEqual(commandOf(" //me waves"), { kind: "message", text: "/me waves" });
  assert.deepEqual(commandOf(" and/or "), { kind: "message", text: " and/or " });
});

const NAMES = ["Aiko", "Aiko 2", "Bo", "山田"];

test("a text is split into code, mentions, addresses and the rest", () => {
  for (const [text, parts] of [
    ["see `let x` here", [{ text: "see " }, { text: "let x", code: "line" }, { text: " here" }]],
    ["```\nlet x;\n  y\n```", [{ text: "let x;\n  y", code: "block" }]],
    ["a```b```c", [{ text: "a" }, { text: "b", code: "block" }, { text: "c" }]],
    ["`https://example.org @Bo`", [{ text: "https://example.org @Bo", code: "line" }]],
    ["hi @bo!", [{ text: "hi " }, { text: "@bo", mention: "Bo" }, { text: "!" }]],
    ["@Aiko 2 and @aiko", [{ text: "@Aiko 2", mention: "Aiko 2" }, { text: " and " }, { text: "@aiko", mention: "Aiko" }]],
    ["@山田さん", [{ text: "@山田", mention: "山田" }, { text: "さん" }]],
    ["https://example.org/ @Bo", [{ text: "https://example.org/", href: "https://example.org/" }, { text: " " }, { text: "@Bo", mention: "Bo" }]],
  ]) {
    assert.deepEqual(partsOf(text, NAMES), parts, text);
  }
});

test("what only looks like code or a mention is text", () => {
  for (const text of ["`", "``", "a ` b", "`a\nb`", "```", "``` ```", "mail@Bo", "@Bobby", "@Bo_", "@", "@@", "@nobody"]) {
    assert.equal(partsOf(text, NAMES).map((part) => part.text).join(""), text);
    assert.ok(partsOf(text, NAMES).every((part) => !part.code && part.mention === undefined), text);
  }
});

test("the longest text of marks is split in a moment, and its parts are the text", () => {
  for (const mark of ["`", "```", "``` ", "@", "@Bo", "`a\n", "https://"]) {
    const text = mark.repeat(4096 / mark.length);
    const parts = partsOf(text, Array.from({ length: 1000 }, (_, number) => `name ${number}`));
    assert.ok(parts.length <= text.length);
    if (!mark.includes("`")) assert.equal(parts.map((part) => part.text).join(""), text);
  }
});

test("both languages have the same texts, and an error of the server has a sentence in each", () => {
  const { en, ja } = ALL_TEXTS;
  const { errors, ...texts } = ja;
  assert.deepEqual(Object.keys(texts).sort(), Object.keys(en).sort());
  for (const key of Object.keys(en)) assert.equal(typeof texts[key], typeof en[key], key);
  const reply = { code: "name_taken", text: "A member has this name." };
  assert.equal(errorText(reply), reply.text);
  setLanguage("ja");
  assert.equal(errorText(reply), errors.name_taken);
  assert.equal(errorText({ code: "new_code", text: "New." }), "New.");
  assert.equal(errorText({ code: "constructor", text: "New." }), "New.");
  setLanguage("en");
});

test("the language is the chosen one, or the first of the browser's that the page has", () => {
  assert.equal(preferredLanguage("", ["fr-FR", "ja-JP", "en"]), "ja");
  assert.equal(preferredLanguage("en", ["ja"]), "en");
  assert.equal(preferredLanguage("xx", ["fr"]), "en");
});

test("a position is behind another one of the same epoch with a lower offset", () => {
  assert.ok(isBehind("a-10", "a-9"));
  assert.ok(isBehind("a-18446744073709551615", "a-18446744073709551614"));
  for (const [one, other] of [["a-9", "a-9"], ["a-9", "a-10"], ["b-10", "a-9"], ["", ""], ["a", "a-1"]]) {
    assert.equal(isBehind(one, other), false);
  }
});
