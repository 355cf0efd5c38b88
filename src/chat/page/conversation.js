// The conversation on the page: the messages in the order of the server, as text only. No
// string is converted into HTML.

import { partsOf } from "./format.js";
import { enumeration, formatTime, say } from "./texts.js";

const ENTRIES_MAX = 1000;
/** Within this distance of the end, the view counts as at the end. */
const END_PX = 48;
/** A longer text is folded; the style sheet sets its height. */
const LINES_WHOLE_MAX = 20;
/** Successive messages of one member within this time are grouped under one name. */
const GROUP_MS = 5 * 60_000;

const SVG = "http://www.w3.org/2000/svg";
/** Of more people who enter or leave one after the other, only the number is shown. */
const CHANGES_NAMED_MAX = 5;

export class Conversation {
  #log;
  #newer;
  /** Below the end of the log: messages that were sent and not received back. */
  #calls = element("div", "calls");
  #unread = 0;
  #atEnd = true;
  /** The entries for the next frame. */
  #queue = [];
  #frame = 0;
  /** The sender and the time of the last entry, if it was a message. */
  #last = null;
  /** The day of the last entry with a time. */
  #day = "";
  /** The note about who has entered and left, while nothing else follows it: {element, entered, left}. */
  #changes = null;
  /** The line above the first message that the user has not seen. */
  #unreadLine = null;
  /** Asks to delete the message with a position; `null` if the user may not. */
  #onDelete = null;
  /** Who can be mentioned, and who the user is. */
  #names = () => [];
  #own = "";
  /** How many texts have been folded. */
  #folds = 0;

  /** @param {() => Iterable<string>} names of the people who can be mentioned */
  constructor(log, newer, names) {
    this.#names = names;
    this.#log = log;
    this.#newer = newer;
    this.#calls.setAttribute("aria-live", "off");
    this.clear();
    log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    newer.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.#resized()).observe(log);
  }

  clear() {
    this.#queue = [];
    this.#calls.replaceChildren();
    this.#log.replaceChildren(this.#calls);
    this.#last = null;
    this.#day = "";
    this.#changes = null;
    this.#unreadLine = null;
    this.toEnd();
  }

  /** Moderators get a button at each message. `null`: the user is none. */
  set onDelete(callback) {
    this.#onDelete = callback;
    for (const button of this.#log.querySelectorAll(".delete")) button.hidden = !callback;
  }

  /** A moderator has deleted the message with this position. */
  deleted(position, reason) {
    const article = [...this.#log.children, ...this.#queue].find((entry) => entry.dataset?.position === position);
    if (!article) return;
    article.classList.add("deleted");
    article.querySelector(".fold")?.remove();
    article.querySelector(".delete")?.remove();
    article.querySelector(".message-text").replaceChildren(reason);
  }

  /** A note with an address to copy. */
  address(text, address) {
    const note = element("p", "note", `${text} `);
    note.append(element("code", "", address));
    this.#interrupt();
    this.#append(note);
  }

  /** The user's name. */
  set own(name) {
    this.#own = name;
  }

  /** An event of the room, such as a new member. */
  note(text) {
    const note = element("p", "note", text);
    note.dir = "auto";
    this.#interrupt();
    this.#append(note);
  }

  /** Somebody has entered or left. Successive changes are one note, in which the last change of each person counts. */
  changed(name, entered) {
    if (!this.#changes) {
      const note = element("p", "note");
      note.dir = "auto";
      this.#interrupt();
      this.#append(note);
      this.#changes = { note, last: new Map() };
    }
    const { note, last } = this.#changes;
    last.delete(name);
    last.set(name, entered);
    const of = (kind) => [...last].filter(([, entered]) => entered === kind).map(([name]) => name);
    const texts = [[of(true), "entered"], [of(false), "left"]].filter(([names]) => names.length > 0);
    note.textContent = texts.map(([names, key]) => say(key, someOf(names))).join(" ");
  }

  /** The next message is one that the user has not seen. */
  unreadFromHere() {
    if (this.#unreadLine) return;
    this.#unreadLine = element("p", "note unread", say("new_since"));
    this.#interrupt();
    this.#append(this.#unreadLine);
  }

  /** The user has seen all messages. */
  allRead() {
    if (!this.#unreadLine) return;
    this.#queue = this.#queue.filter((entry) => entry !== this.#unreadLine);
    this.#unreadLine.remove();
    this.#unreadLine = null;
  }

  /** Shows the first message that the user has not seen, if there is one. */
  toUnread() {
    this.#flush();
    this.#unreadLine?.scrollIntoView({ block: "start" });
  }

  get isAtEnd() {
    return this.#atEnd;
  }

  /** Another entry follows than a message of the same sender, or a further change. */
  #interrupt() {
    this.#last = null;
    this.#changes = null;
  }

  /** A line with the day, if the message is of another one than the entry before it; of the first message, if it is not of today. */
  #newDay(time) {
    const day = new Date(time).toDateString();
    const before = this.#day || new Date().toDateString();
    this.#day = day;
    if (day === before) return;
    const line = element("p", "note day");
    const shown = element("time", "", formatTime(time, "day"));
    shown.dateTime = new Date(time).toISOString().slice(0, 10);
    line.append(shown);
    this.#interrupt();
    this.#append(line);
  }

  /** The beginning or the end of a gap without connection. */
  mark(text, time) {
    const mark = element("p", "note mark");
    mark.append(element("span", "", text), " ", when(time));
    this.#interrupt();
    this.#append(mark);
  }

  /** A message of a member. Returns its element. */
  add(message) {
    const { from, time, action } = message;
    this.#newDay(time);
    this.#changes = null;
    const follows = !action && this.#last?.from === from && Math.abs(time - this.#last.time) < GROUP_MS;
    const article = this.#message(message, follows);
    if (message.position) this.#addDelete(article, message.position);
    this.#last = action ? null : { from, time };
    this.#append(article);
    return article;
  }

  /** An own message that was sent: it stays below all received entries. */
  call(text, from, action) {
    const article = this.#message({ from, text, action, time: Date.now(), mine: true }, false);
    article.classList.add("calling");
    this.#calls.append(article);
    this.#fold([article]);
    this.toEnd();
    return article;
  }

  /** It was received back: all members have it at this position. */
  answered(article, message) {
    article.remove();
    this.add({ ...message, mine: true }).classList.add("answered");
  }

  /** It was not received back. */
  unanswered(article, reason, again) {
    article.classList.replace("calling", "lost");
    const fault = element("p", "fault", `${reason} `);
    fault.setAttribute("role", "alert");
    const button = element("button", "link", say("send_again"));
    button.type = "button";
    button.addEventListener("click", () => {
      article.remove();
      again();
    });
    fault.append(button);
    article.append(fault);
    if (this.#atEnd) this.toEnd();
  }

  toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#scrolled();
  }

  #addDelete(article, position) {
    article.dataset.position = position;
    const button = element("button", "link delete", say("delete"));
    button.type = "button";
    button.hidden = !this.#onDelete;
    button.addEventListener("click", () => this.#onDelete?.(position));
    article.append(button);
  }

  #message({ from, text, time, mine, action }, follows) {
    const article = element("article", mine ? "message mine" : "message");
    article.classList.toggle("follows", follows);
    article.classList.toggle("action", Boolean(action));
    const shown = messageText(text, this.#names(), mine ? "" : this.#own);
    if (action) {
      const name = element("strong", "name", from);
      colour(name, from);
      shown.prepend(name, " ");
    }
    article.append(speaker(from, time, mine, follows), shown);
    if (shown.querySelector(".mention.me")) article.classList.add("mentions-me");
    if (mine) article.append(echo());
    return article;
  }

  /**
   * Entries are added once per frame, whatever their number, and the view follows in the
   * same step: so no scroll event in between can be mistaken for one of the user.
   */
  #append(entry) {
    this.#queue.push(entry);
    if (this.#queue.length > ENTRIES_MAX) this.#queue.shift();
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  #flush() {
    if (!this.#frame) return;
    cancelAnimationFrame(this.#frame);
    this.#show();
  }

  #show() {
    this.#frame = 0;
    this.#scrolled();
    const entries = this.#queue.splice(0);
    this.#calls.before(...entries);
    this.#fold(entries.filter(isMessage));
    while (this.#log.childElementCount > ENTRIES_MAX) this.#log.firstElementChild.remove();
    if (this.#atEnd) return this.toEnd();
    this.#unread += entries.filter(isMessage).length;
    this.#showUnread();
  }

  #resized() {
    this.#fold(this.#log.querySelectorAll(".message"));
    if (this.#atEnd) this.toEnd();
  }

  /** Folds texts that are too high. Reads all heights before it changes one. */
  #fold(articles) {
    const highest = LINES_WHOLE_MAX * parseFloat(getComputedStyle(this.#log).lineHeight);
    const high = [...articles].filter((article) => article.querySelector(".message-text").scrollHeight > highest);
    for (const article of high) if (!article.querySelector(".fold")) this.#addFold(article);
  }

  #addFold(article) {
    const shown = article.querySelector(".message-text");
    const button = element("button", "link fold");
    shown.id = `message-text-${(this.#folds += 1)}`;
    button.type = "button";
    button.setAttribute("aria-controls", shown.id);
    const show = (whole) => {
      article.classList.toggle("folded", !whole);
      button.setAttribute("aria-expanded", String(whole));
      button.textContent = say(whole ? "less" : "whole");
      shown.scrollTop = 0;
    };
    button.addEventListener("click", () => {
      const whole = article.classList.contains("folded");
      show(whole);
      if (!whole) button.scrollIntoView({ block: "nearest" });
      this.#scrolled();
    });
    // A link with the keyboard focus must be visible.
    shown.addEventListener("focusin", ({ target }) => {
      if (!article.classList.contains("folded") || !target.matches(":focus-visible")) return;
      show(true);
      target.scrollIntoView({ block: "nearest" });
    });
    shown.after(button);
    show(false);
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    this.#atEnd = scrollHeight - scrollTop - clientHeight <= END_PX;
    if (this.#atEnd) this.#unread = 0;
    this.#showUnread();
  }

  #showUnread() {
    this.#newer.hidden = this.#unread === 0;
    this.#newer.textContent = say("new_messages", this.#unread);
  }
}

function someOf(names) {
  const more = names.length - CHANGES_NAMED_MAX;
  return enumeration(more > 0 ? [...names.slice(0, CHANGES_NAMED_MAX), say("and_more_people", more)] : names);
}

function isMessage(entry) {
  return entry.classList.contains("message");
}

/** The mountain of a member: its colour and shape are derived from the name. */
export function peak(name) {
  const hash = hashOf(name);
  const summit = 6 + (hash % 7);
  const height = 2 + ((hash >>> 4) % 4);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "peak");
  svg.setAttribute("viewBox", "0 0 20 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  const saddle = summit + 3;
  path.setAttribute("d", `M0 16 ${summit} ${height}l3 5 2-${1 + ((hash >>> 8) % 3)} ${20 - saddle - 2} 10Z`);
  svg.append(path);
  colour(svg, name);
  return svg;
}

/** Sets the hue of a name; the style sheet derives a legible colour from it. */
export function colour(target, name) {
  target.style.setProperty("--hue", String((hashOf(name) >>> 3) % 360));
}

/** FNV-1a of the name in lower case, as the server compares it. */
function hashOf(name) {
  let hash = 0x811c9dc5;
  for (const character of name.toLowerCase()) {
    hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193) >>> 0;
  }
  return (hash ^ (hash >>> 15)) >>> 0;
}

function speaker(from, time, mine, follows) {
  const line = element("p", follows ? "speaker visually-hidden" : "speaker");
  const name = element("strong", "name", from);
  name.dir = "auto";
  colour(name, from);
  if (!follows) line.append(peak(from));
  line.append(name, mine ? element("span", "visually-hidden", say("of_you")) : "", " ", when(time));
  return line;
}

function when(time) {
  const date = new Date(time);
  const shown = element("time", "", formatTime(date, "clock"));
  shown.dateTime = date.toISOString();
  shown.title = formatTime(date, "calendar");
  return shown;
}

/** The text, with web addresses as links, code, and mentions. */
function messageText(text, names, own) {
  const shown = element("div", "message-text");
  shown.dir = "auto";
  for (const part of partsOf(text, names)) shown.append(partElement(part, own));
  return shown;
}

function partElement(part, own) {
  if (part.href) return link(part);
  if (part.code === "block") return codeBlock(part.text);
  if (part.code) return element("code", "", part.text);
  if (part.mention === undefined) return part.text;
  const mention = element("span", part.mention === own ? "mention me" : "mention", part.text);
  colour(mention, part.mention);
  return mention;
}

/** A long line of code can be scrolled, also by keys. */
function codeBlock(text) {
  const block = element("pre", "");
  block.tabIndex = 0;
  block.append(element("code", "", text));
  return block;
}

function link({ text, href }) {
  const anchor = element("a", "", text);
  anchor.href = href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer nofollow ugc";
  return anchor;
}

/** Three arcs, filled when the message is received back; a screen reader is told the same. */
function echo() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "echo-mark");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  for (const arc of ["M6 5.5a3.5 3.5 0 0 0 0 5", "M3.5 3.5a6.5 6.5 0 0 0 0 9", "M1 1.5a9.5 9.5 0 0 0 0 13"]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", arc);
    svg.append(path);
  }
  const mark = element("span", "echo-mark-frame");
  mark.append(svg, element("span", "visually-hidden delivered", say("delivered")));
  return mark;
}

export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
