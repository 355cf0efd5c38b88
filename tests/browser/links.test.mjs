// Tests which parts of a message become links. They need no browser, because src/chat/page/links.js
// is a pure function.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pageModule } from "./yamabiko.mjs";

const { partsOf } = await pageModule("links.js");

const linksOf = (text) => partsOf(text).filter((part) => part.href).map((part) => part.text);

/** Each rule with its cases: a text, then its links. */
const CASES = {
  "an address is a link with any case, host, port, query and fragment": [
    ["see https://example.org/a?b=c#d now", "https://example.org/a?b=c#d"],
    ["HTTPS://EXAMPLE.ORG/A and Http://example.org", "HTTPS://EXAMPLE.ORG/A", "Http://example.org"],
    ["https://x", "https://x"],
    ["http://localhost:8080/", "http://localhost:8080/"],
    ["http://127.0.0.1:8080/a http://[::1]:8080/b", "http://127.0.0.1:8080/a", "http://[::1]:8080/b"],
    ["https://example.org?a[0]=1&b[]=2", "https://example.org?a[0]=1&b[]=2"],
    ["https://example.org/~user/a%20b;c=1,2/@me+you", "https://example.org/~user/a%20b;c=1,2/@me+you"],
    ["https://a.example/\nhttps://b.example/\thttps://c.example/", "https://a.example/", "https://b.example/", "https://c.example/"],
  ],
  "a host that begins with www. is a link": [
    ["www.example.org", "www.example.org"],
    ["WWW.Example.org:8080/a, or", "WWW.Example.org:8080/a"],
    ["(www.example.org)", "www.example.org"],
    ["見てwww.example.orgを", "www.example.org"],
  ],
  "balanced brackets belong to the address, others do not": [
    ["https://en.wikipedia.org/wiki/Rust_(programming_language)", "https://en.wikipedia.org/wiki/Rust_(programming_language)"],
    ["(https://en.wikipedia.org/wiki/Rust_(programming_language))", "https://en.wikipedia.org/wiki/Rust_(programming_language)"],
    ["(see https://example.org/a)", "https://example.org/a"],
    ["(https://a.example/x),(https://b.example/y)", "https://a.example/x", "https://b.example/y"],
    ["[text](https://example.org/a(b)c)", "https://example.org/a(b)c"],
    ["[https://example.org/]", "https://example.org/"],
    ["https://example.org/a(b", "https://example.org/a(b"],
    ["https://example.org/a(", "https://example.org/a"],
    ["<https://example.org/a> \"https://example.org/b\" 'https://example.org/c'", "https://example.org/a", "https://example.org/b", "https://example.org/c"],
    ["{https://example.org/a} |https://example.org/b|", "https://example.org/a", "https://example.org/b"],
  ],
  "punctuation at the end belongs to the sentence": [
    ["https://example.org.", "https://example.org"],
    ["https://example.org/a?!", "https://example.org/a"],
    ["https://example.org/?", "https://example.org/"],
    ["https://example.org/a.b, https://example.org/c: *https://example.org/d*", "https://example.org/a.b", "https://example.org/c", "https://example.org/d"],
    ["https://en.wikipedia.org/wiki/Rust_(programming_language).", "https://en.wikipedia.org/wiki/Rust_(programming_language)"],
    ["https://example.org: x", "https://example.org"],
    ["https://example.org...", "https://example.org"],
  ],
  "Japanese text and its punctuation end an address, letters of its path do not": [
    ["見て：https://example.org/道です。次", "https://example.org/道です"],
    ["見て：https://example.org/道。次", "https://example.org/道"],
    ["「https://example.org/a」と（https://example.org/b）", "https://example.org/a", "https://example.org/b"],
    ["https://example.org/a、https://example.org/b！", "https://example.org/a", "https://example.org/b"],
    ["https://example.org/a　次", "https://example.org/a"],
    ["https://example.orgを見て", "https://example.org"],
    ["https://example.org/aを見て", "https://example.org/a"],
    ["http://localhost:8080です", "http://localhost:8080"],
    ["https://ja.wikipedia.org/wiki/山彦", "https://ja.wikipedia.org/wiki/山彦"],
    ["https://ja.wikipedia.org/wiki/ひらがな", "https://ja.wikipedia.org/wiki/ひらがな"],
    ["https://ja.wikipedia.org/wiki/C言語", "https://ja.wikipedia.org/wiki/C言語"],
    ["https://ja.wikipedia.org/wiki/アルベルト・アインシュタイン", "https://ja.wikipedia.org/wiki/アルベルト・アインシュタイン"],
    ["https://ja.wikipedia.org/wiki/山_(曖昧さ回避)を", "https://ja.wikipedia.org/wiki/山_(曖昧さ回避)を"],
    ["https://日本語.jp/道", "https://日本語.jp/道"],
    ["https://例え.テスト", "https://例え.テスト"],
  ],
  "addresses with other scripts follow the same rules": [
    ["https://ru.wikipedia.org/wiki/Эхо, да", "https://ru.wikipedia.org/wiki/Эхо"],
    ["https://de.wikipedia.org/wiki/Straßenbahn „https://bücher.example“", "https://de.wikipedia.org/wiki/Straßenbahn", "https://bücher.example"],
    ["https://fa.wikipedia.org/wiki/می\u200Cخواهم؟", "https://fa.wikipedia.org/wiki/می\u200Cخواهم"],
    ["https://example.org/a—and https://example.org/b…", "https://example.org/a", "https://example.org/b"],
    ["https://en.wikipedia.org/wiki/Michelson–Morley_experiment", "https://en.wikipedia.org/wiki/Michelson–Morley_experiment"],
  ],
  "an invisible or direction-changing character ends an address": [
    ["https://example.org/a\u202Eb", "https://example.org/a"],
    ["https://example.org/a\u200Bb", "https://example.org/a"],
    ["https://example.org\u2066/a", "https://example.org"],
  ],
  "no other text is a link": [
    ["https://"], ["https://."], ["http:///a"], ["https:example.org"], ["xhttps://example.org"],
    ["javascript://example.org/%0Aalert(1)"], ["ftp://www.example.org"], ["data:text/html,https"],
    ["www."], ["www.example"], ["www..org"], ["awww.example.org"], ["me@www.example.org"], ["example.org"],
    ["https://example.org:99999/"], ["https://1.2.3.4.5/"],
    ["https://bank.example@evil.example/"], ["https://user:word@evil.example/"], ["https://user:1@www.evil.example/"],
  ],
};

for (const [rule, cases] of Object.entries(CASES)) {
  test(rule, () => {
    for (const [text, ...links] of cases) assert.deepEqual(linksOf(text), links, text);
  });
}

test("the concatenated parts of a text are the text", () => {
  for (const [text] of Object.values(CASES).flat()) {
    assert.equal(partsOf(text).map((part) => part.text).join(""), text);
  }
});

test("the target of a link is the displayed address, with https if it has no scheme", () => {
  for (const { text, href } of Object.values(CASES).flat().flatMap(([text]) => partsOf(text))) {
    if (href) assert.ok(href === text || href === `https://${text}`, href);
  }
  assert.equal(partsOf("www.example.org/a")[0].href, "https://www.example.org/a");
});

test("a message that consists of beginnings of addresses is not split", () => {
  for (const piece of ["https://", "https://a", "https://a.", "www.", "www.a", "https://a/(", "https://a@", "a."]) {
    const text = piece.repeat(Math.floor(4096 / piece.length));
    assert.equal(partsOf(text).map((part) => part.text).join(""), text);
  }
});
