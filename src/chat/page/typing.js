// Who is writing: tells the server that this user writes, and shows who else does. Nothing of it is stored anywhere.

import { enumeration, say } from "./texts.js";

/** A writer tells it this often, while the text changes. The server passes on one notice in two seconds. */
const TELL_MS = 3_000;
/** Without a further notice, a writer has stopped. */
const SHOWN_MS = 6_000;
/** A notice that comes this soon behind a message of the same person was sent in front of it. */
const OVERTAKEN_MS = 1_500;
/** More names are not listed. */
const NAMES_MAX = 3;

export class Typing {
  #line;
  /** Writer -> timer. */
  #writers = new Map();
  /** Person -> when the last message came. */
  #messages = new Map();
  #toldAt = -TELL_MS;

  /** @param {Element} line where the writers are shown */
  constructor(line) {
    this.#line = line;
  }

  /** The user has changed the text. Returns whether the server should be told. */
  changed(text) {
    const now = performance.now();
    const isMessage = text.trim() && !/^\s*\/(?!\/)/.test(text);
    if (!isMessage || now - this.#toldAt < TELL_MS) return false;
    this.#toldAt = now;
    return true;
  }

  /** The text was sent: the next one is news again. */
  sent() {
    this.#toldAt = -TELL_MS;
  }

  /** The server tells that somebody writes. */
  received(name) {
    if (performance.now() - (this.#messages.get(name) ?? -OVERTAKEN_MS) < OVERTAKEN_MS) return;
    clearTimeout(this.#writers.get(name));
    this.#writers.set(name, setTimeout(() => this.#stop(name), SHOWN_MS));
    this.#show();
  }

  /** A message of this person has come, or the person has left. */
  ended(name) {
    this.#messages.set(name, performance.now());
    if (this.#messages.size > 100) this.#messages.delete(this.#messages.keys().next().value);
    this.#stop(name);
  }

  clear() {
    for (const timer of this.#writers.values()) clearTimeout(timer);
    this.#writers.clear();
    this.#messages.clear();
    this.sent();
    this.#show();
  }

  #stop(name) {
    clearTimeout(this.#writers.get(name));
    if (this.#writers.delete(name)) this.#show();
  }

  #show() {
    const names = [...this.#writers.keys()];
    const text = (() => {
      if (names.length === 0) return "";
      if (names.length === 1) return say("is_writing", names[0]);
      if (names.length <= NAMES_MAX) return say("are_writing", enumeration(names));
      return say("many_writing");
    })();
    if (this.#line.textContent !== text) this.#line.textContent = text;
  }
}
