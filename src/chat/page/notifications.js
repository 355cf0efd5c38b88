// Notifications of the system, for messages that arrive while the page is not visible. Off until the user chooses otherwise, and only
// then the browser is asked for its permission.

import { say } from "./texts.js";
import { recall, remember } from "./storage.js";

const KEY = "yamabiko.notify";
/** Characters of a message in a notification. */
const SHOWN_MAX = 140;

export class Notifications {
  #select;
  #fault;

  /**
   * @param {HTMLSelectElement} select "off", "mentions" or "all"
   * @param {Element} fault where a refusal of the browser is shown
   */
  constructor(select, fault) {
    this.#select = select;
    this.#fault = fault;
    const kept = recall(KEY);
    select.value = this.#allowed && ["mentions", "all"].includes(kept) ? kept : "off";
    select.addEventListener("change", () => this.#chosen());
  }

  get #allowed() {
    return "Notification" in window && Notification.permission === "granted";
  }

  async #chosen() {
    this.#fault.textContent = "";
    if (this.#select.value !== "off" && !this.#allowed && "Notification" in window) await Notification.requestPermission();
    if (this.#select.value !== "off" && !this.#allowed) {
      this.#select.value = "off";
      this.#fault.textContent = say("notify_blocked");
    }
    remember(KEY, this.#select.value);
  }

  /** A message of somebody else has come. */
  received({ from, text, room, mentionsMe }) {
    const wanted = this.#select.value === "all" || (this.#select.value === "mentions" && mentionsMe);
    if (!wanted || !document.hidden || !this.#allowed) return;
    const characters = Array.from(text.slice(0, 2 * SHOWN_MAX));
    const body = characters.length > SHOWN_MAX ? `${characters.slice(0, SHOWN_MAX).join("")}…` : text;
    // A further one of the room replaces it.
    const notification = new Notification(say("notification", from, room), { body, tag: `yamabiko ${room}` });
    notification.addEventListener("click", () => {
      window.focus();
      notification.close();
    });
  }
}
