// The message box: its keys, its height, and the error about its text.
//
//   with a keyboard    Enter sends, Shift and Enter begins a new line
//   on a touch screen  Enter begins a new line, the button sends

const TOUCH = matchMedia("(hover: none) and (pointer: coarse)");

export class Composer {
  #text;
  #fault;
  /** Whether the error disappears when the connection is back. */
  #faultOfConnection = false;

  /**
   * @param {{form: HTMLFormElement, text: HTMLTextAreaElement, fault: Element}} parts
   * @param {{entered: (draft: string) => void, changed: (draft: string) => void}} owner
   */
  constructor({ form, text, fault }, owner) {
    this.#text = text;
    this.#fault = fault;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const draft = text.value.replace(/[^\P{Cc}\n\t]/gu, "");
      if (draft.trim()) owner.entered(draft);
      else text.focus();
    });
    text.addEventListener("keydown", (event) => {
      // While an input method composes, Enter selects a word.
      const composing = event.isComposing || event.keyCode === 229;
      if (event.key !== "Enter" || event.shiftKey || composing || this.isTouched) return;
      event.preventDefault();
      form.requestSubmit();
    });
    text.addEventListener("input", () => {
      this.showFault("");
      this.#fit();
      owner.changed(text.value);
    });
    TOUCH.addEventListener("change", () => this.#nameEnter());
    this.#nameEnter();
  }

  /** Whether the user has a touch screen and no mouse. */
  get isTouched() {
    return TOUCH.matches;
  }

  get draft() {
    return this.#text.value;
  }

  focus() {
    this.#text.focus();
  }

  /** Sets the text, and removes the error of the previous text. */
  write(draft) {
    this.#text.value = draft;
    this.showFault("");
    this.#fit();
  }

  /** @param {boolean} ofConnection whether it disappears when the connection is back */
  showFault(message, ofConnection = false) {
    this.#fault.textContent = message;
    this.#faultOfConnection = ofConnection;
  }

  connected() {
    if (this.#faultOfConnection) this.showFault("");
  }

  /** What the Enter key of a keyboard on the screen shows. */
  #nameEnter() {
    this.#text.enterKeyHint = this.isTouched ? "enter" : "send";
  }

  /** Sets the height to that of the text, up to the limit of the style sheet. */
  #fit() {
    const text = this.#text;
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight + text.offsetHeight - text.clientHeight}px`;
  }
}
