// The parts of a message's text: code, mentions of people, addresses, and what is between them.
//
//   "@Bo see `let x` at www.example.org"
//    mention  code       address
//
// Code is shown as it is, so nothing in it is a mention or an address. An opening backtick without a closing one is a backtick.
// A mention is @ and the name of somebody, in upper or lower case, not inside a word. Names can have spaces, so the text is compared
// with the names that the page knows, the longest first.

import { partsOf as partsWithLinks } from "./links.js";

/** Around code of several lines. */
const FENCE = "```";
const WORD = /[\p{L}\p{M}\p{N}_]/u;
/** Further mentions in a text are text: each is compared with all names. */
const MENTIONS_MAX = 50;

/**
 * Splits a text into parts: {text} is plain, {text, href} an address, {text, code: "line" | "block"} code without its backticks,
 * {text, mention} the mention of this name.
 *
 * @param {string} text
 * @param {Iterable<string>} names of the people who can be mentioned
 */
export function partsOf(text, names = []) {
  const known = [...names].sort((one, other) => other.length - one.length);
  const budget = { mentions: MENTIONS_MAX };
  const parts = [];
  let from = 0;
  for (const code of codeIn(text)) {
    parts.push(...plain(text.slice(from, code.from), known, budget), code.part);
    from = code.to;
  }
  parts.push(...plain(text.slice(from), known, budget));
  return parts;
}

/** Three backticks, up to the next three, without a line end at both ends; or one, up to the next one in the line. One pass. */
function codeIn(text) {
  const found = [];
  const lastFence = text.lastIndexOf(FENCE);
  for (let at = text.indexOf("`"); at >= 0; at = text.indexOf("`", at)) {
    const isBlock = text.startsWith(FENCE, at) && lastFence > at;
    const mark = isBlock ? FENCE : "`";
    const from = at + mark.length;
    const end = text.indexOf(mark, from);
    const inside = end < 0 ? "" : text.slice(from, end);
    const isCode = inside.trim() && (isBlock || !inside.includes("\n"));
    if (isCode) found.push({ from: at, to: end + mark.length, part: codePart(inside, isBlock) });
    at = isCode ? end + mark.length : from;
  }
  return found;
}

function codePart(inside, isBlock) {
  return isBlock ? { text: inside.replace(/^\r?\n|\r?\n$/g, ""), code: "block" } : { text: inside, code: "line" };
}

function plain(text, names, budget) {
  return partsWithLinks(text).flatMap((part) => (part.href ? [part] : mentions(part.text, names, budget)));
}

function mentions(text, names, budget) {
  const parts = [];
  let from = 0;
  for (let at = text.indexOf("@"); at >= 0; at = text.indexOf("@", Math.max(from, at + 1))) {
    if (budget.mentions === 0) break;
    budget.mentions -= 1;
    const name = isInWord(text, at) ? undefined : names.find((name) => isNamed(text, at + 1, name));
    if (name === undefined) continue;
    if (at > from) parts.push({ text: text.slice(from, at) });
    from = at + 1 + name.length;
    parts.push({ text: text.slice(at, from), mention: name });
  }
  if (from < text.length) parts.push({ text: text.slice(from) });
  return parts;
}

/** A letter or digit is directly in front, as in an e-mail address. */
function isInWord(text, at) {
  return at > 0 && WORD.test(text[at - 1]);
}

/** The name is at this place, and no Latin word goes on behind it. Scripts without spaces go on directly. */
function isNamed(text, at, name) {
  const written = text.slice(at, at + name.length);
  if (!name || written.toLowerCase() !== name.toLowerCase()) return false;
  const last = name.at(-1);
  const next = text.slice(at + name.length).match(/^[^]/u)?.[0] ?? "";
  return !(/[\p{Script=Latin}\p{N}_]/u.test(last) && /[\p{Script=Latin}\p{M}\p{N}_]/u.test(next));
}
