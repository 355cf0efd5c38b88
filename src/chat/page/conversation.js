// The conversation on the page: the messages in the order of the server, as text only. No
// string is converted into HTML.

import { partsOf } from "./links.js";

const ENTRIES_MAX = 1000;
/** Within this distance of the end, the view counts as at the end. */
const END_PX = 48;
/** A longer text is folded; the style sheet sets its height. */
const LINES_WHOLE_MAX = 20;
/** Successive messages of one member within this time are grouped under one name. */
const GROUP_MS = 5 * 60_000;

const SVG = "http://www.w3.org/2000/svg";
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

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
  /** How many texts have been folded. */
  #folds = 0;

  constructor(log, newer) {
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
    this.toEnd();
  }

  /** An event of the room, such as a new member. */
  note(text) {
    const note = element("p", "note", text);
    note.dir = "auto";
    this.#last = null;
    this.#append(note);
  }

  /** The beginning or the end of a gap without connection. */
  mark(text, time) {
    const mark = element("p", "note mark");
    mark.append(element("span", "", text), " ", when(time));
    this.#last = null;
    this.#append(mark);
  }

  /** A message of a member. Returns its element. */
  add(message) {
    const { from, time } = message;
    const follows = this.#last?.from === from && Math.abs(time - this.#last.time) < GROUP_MS;
    const article = this.#message(message, follows);
    this.#last = { from, time };
    this.#append(article);
    return article;
  }

  /** An own message that was sent: it stays below all received entries. */
  call(text, from) {
    const article = this.#message({ from, text, time: Date.now(), mine: true }, false);
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
    const button = element("button", "link", "Send again");
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

  #message({ from, text, time, mine }, follows) {
    const article = element("article", mine ? "message mine" : "message");
    article.classList.toggle("follows", follows);
    article.append(speaker(from, time, mine, follows), messageText(text));
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
      button.textContent = whole ? "Show less" : "Show the whole message";
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
    this.#newer.textContent = this.#unread === 1 ? "1 new message ↓" : `${this.#unread} new messages ↓`;
  }
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
  line.append(name, mine ? element("span", "visually-hidden", " (you)") : "", " ", when(time));
  return line;
}

function when(time) {
  const date = new Date(time);
  const shown = element("time", "", clock.format(date));
  shown.dateTime = date.toISOString();
  shown.title = calendar.format(date);
  return shown;
}

/** The text, with web addresses as links. */
function messageText(text) {
  const paragraph = element("p", "message-text");
  paragraph.dir = "auto";
  for (const part of partsOf(text)) paragraph.append(part.href ? link(part) : part.text);
  return paragraph;
}

function link({ text, href }) {
  const anchor = element("a", "", text);
  anchor.href = href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer nofollow ugc";
  return anchor;
}

/** Three arcs, filled when the message is received back. */
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
  return svg;
}

export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
