// A WebSocket for pages that connects again when its connection is lost. One file, without dependencies and without a
// build; it runs under a strict Content-Security-Policy, in pages and in workers.
//
//             open                    closed, or silent
//   connecting ----> open ------------------------------> waiting
//       ^              |                                     |
//       |              +-- stop(), or closed for good --> stopped
//       +------ delay over, online, page visible, retry() ---+
//
//   import { ReconnectingWebSocket } from "./reconnecting-websocket.js";
//
//   let last = 0;
//   const socket = new ReconnectingWebSocket(address, {
//     onOpen: () => socket.send(JSON.stringify({ type: "subscribe", after: last })),
//     onMessage: (data) => (last = show(JSON.parse(data))),
//     onState: (state) => (status.textContent = state.kind),
//   });
//   socket.start();
//
// Delays. They double with each attempt, from half a second to half a minute, and are drawn at random from their upper half, so that
// after a restart of the server not all pages come back at once. They begin again after a connection that was open for 5 s: a
// server that accepts and then fails needs the delays most.
//
// Why. A page does not learn why a WebSocket did not open: a refusal with 401 or 503 looks like a network that has failed, and the
// response's fields are not visible, Retry-After included. So `diagnose` may find out, by a request of HTTP. If a server responds and
// refuses twice in a row, the delays are longer: from 5 s to 5 minutes, and not less than Retry-After.
//
// The end. After 1001, 1005, 1006 and 1011 to 1014 another connection follows. After any other code the server means the page to stay
// away (`retries` decides otherwise). This is what the clients of the crate yamabiko do, too.
//
// Sending. `send` returns false if nothing is open, or if the browser holds more than `bufferedBytesMax` bytes that the network has not
// taken: otherwise a page that sends faster than the network makes the browser hold all of it. `drained` waits for that. Nothing is
// kept for the next connection: what a server has received is known to the application alone, which can ask for it in `onOpen`.
//
// Silence. A page cannot send a ping. With `probe`, a request is sent after 30 s without a message, and the connection counts as lost if
// no message comes for 10 s after that.

/** The first and the longest delay between attempts. */
const WAIT_FIRST_MS = 500;
const WAIT_MAX_MS = 30_000;
/** The same for a server that responds and refuses. */
const REFUSED_WAIT_FIRST_MS = 5_000;
const REFUSED_WAIT_MAX_MS = 300_000;
/** The number of successive refusals after which the delays are longer. One may be a server that has started just after the attempt. */
const REFUSALS_MIN = 2;
/** After a connection was open for so long, the delays begin again. */
const PROVED_AFTER_MS = 5_000;
/** A handshake that takes longer has failed. */
const CONNECT_MAX_MS = 15_000;
/** After so much silence the page sends a request … */
const SILENCE_MAX_MS = 30_000;
/** … and waits so long for any message. */
const ANSWER_MAX_MS = 10_000;
/** There is no event for a buffer that has become shorter. */
const DRAIN_CHECK_MS = 50;
const BUFFERED_BYTES_MAX = 1 << 20;

/**
 * @typedef {"lost" | "failed" | string} Cause "lost": it was open; "failed": it did not open, and the reason is not known; otherwise
 *   what `diagnose` has found
 *
 * @typedef {{kind: "connecting"} | {kind: "open"} | {kind: "waiting", until: number, cause: Cause} |
 *   {kind: "stopped", code?: number, reason?: string}} State `until` as of `Date.now()`; `code` and `reason` of a server that has
 *   closed for good
 *
 * @typedef {{cause: "unreachable" | string, retryAfterMs?: number}} Diagnosis "unreachable": no server responds. Any other: one responds
 *   and refuses
 *
 * @typedef {object} Options
 * @property {string | string[]} [protocols] the subprotocols that are offered
 * @property {"arraybuffer" | "blob"} [binaryType] "arraybuffer" if not set
 * @property {(socket: ReconnectingWebSocket, isFirst: boolean) => void} [onOpen] a connection is open: subscribe, and ask for what
 *   was missed. `isFirst`: none was open before
 * @property {(data: string | ArrayBuffer | Blob) => void} [onMessage] a message has come
 * @property {(state: State) => void} [onState] the state has changed, or the device has gone on or off line
 * @property {(event: CloseEvent) => boolean} [retries] whether another connection follows this end of one that was open
 * @property {(signal: AbortSignal) => Promise<Diagnosis | undefined>} [diagnose] finds out why no connection opens. Without a result, or if
 *   it rejects, the reason is not known
 * @property {() => string | ArrayBuffer | ArrayBufferView | Blob} [probe] a message that the server answers
 * @property {number} [bufferedBytesMax] 1 MiB if not set
 */

export class ReconnectingWebSocket {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {string | URL | (() => string | URL)} */
  #url;
  /** @type {Options} */
  #options;
  /** @type {State} */
  #state = { kind: "stopped" };
  #tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #openedAt = 0;
  #wasOpen = false;
  /** The reason why there is no connection, as far as it is known. */
  #cause = "failed";
  /** The number of successive attempts in which the server responded and no connection opened. */
  #refusals = 0;
  /** Ends the running diagnosis. */
  #diagnosis = new AbortController();
  #networkChanged = () => this.#onNetwork();
  #pageChanged = () => this.#onPage();

  /**
   * @param {string | URL | (() => string | URL)} url a function is called for each attempt, for instance to add a fresh token
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    this.#url = url;
    this.#options = options;
  }

  /** Connects, and again whenever the connection is lost, until `stop`. */
  start() {
    if (this.#state.kind !== "stopped") return;
    globalThis.addEventListener?.("online", this.#networkChanged);
    globalThis.addEventListener?.("offline", this.#networkChanged);
    globalThis.document?.addEventListener("visibilitychange", this.#pageChanged);
    this.#connect();
  }

  /**
   * Closes the connection; no other one follows.
   * @param {number} [code] 1000, or 3000 to 4999
   * @param {string} [reason] at most 123 bytes
   */
  stop(code = 1000, reason = "") {
    this.#end({ kind: "stopped" }, code, reason);
  }

  /** Ends the delay. */
  retry() {
    if (this.#state.kind === "waiting") this.#connect();
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** The subprotocol that the server has chosen, or "". */
  get protocol() {
    return this.#socket?.protocol ?? "";
  }

  /** Bytes that the network has not taken. */
  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /**
   * Sends a message of any length, unless too much waits already.
   * @param {string | ArrayBuffer | ArrayBufferView | Blob} data
   * @returns {boolean} whether it was sent
   */
  send(data) {
    if (this.#state.kind !== "open" || !this.#socket) return false;
    if (this.#socket.bufferedAmount > this.#bufferedBytesMax) return false;
    this.#socket.send(/** @type {any} */ (data));
    return true;
  }

  /**
   * Waits until at most so many bytes wait for the network.
   * @param {number} [bytes] half of `bufferedBytesMax` if not set
   * @returns {Promise<boolean>} false: this connection has ended before
   */
  async drained(bytes = this.#bufferedBytesMax / 2) {
    const socket = this.#socket;
    const isOpen = () => socket !== null && this.#socket === socket && this.#state.kind === "open";
    while (isOpen() && this.bufferedAmount > bytes) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_CHECK_MS));
    }
    return isOpen();
  }

  get #bufferedBytesMax() {
    return this.#options.bufferedBytesMax ?? BUFFERED_BYTES_MAX;
  }

  #connect() {
    this.#drop();
    const url = typeof this.#url === "function" ? this.#url() : this.#url;
    const socket = new WebSocket(url, this.#options.protocols ?? []);
    socket.binaryType = this.#options.binaryType ?? "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#received(event.data);
    socket.onclose = (event) => this.#closed(event);
    // It says nothing that `onclose` does not say. Without a listener the package ws ends the program of Node.js.
    socket.onerror = () => {};
    this.#timer = setTimeout(() => this.#lost(), CONNECT_MAX_MS);
    this.#enter({ kind: "connecting" });
  }

  #opened() {
    const isFirst = !this.#wasOpen;
    this.#wasOpen = true;
    this.#openedAt = Date.now();
    this.#refusals = 0;
    this.#listen();
    this.#enter({ kind: "open" });
    // `onState` may have stopped it.
    if (this.#state.kind === "open") this.#options.onOpen?.(this, isFirst);
  }

  /** @param {any} data */
  #received(data) {
    this.#listen();
    this.#options.onMessage?.(data);
  }

  /** Data has arrived: measures the silence from now on. */
  #listen() {
    clearTimeout(this.#timer);
    if (this.#options.probe) this.#timer = setTimeout(() => this.#ask(), SILENCE_MAX_MS);
  }

  #ask() {
    if (!this.#options.probe || !this.#socket || this.#state.kind !== "open") return;
    // A buffer that is full is asked, too: the network does not take it.
    if (this.#socket.bufferedAmount <= this.#bufferedBytesMax) this.#socket.send(/** @type {any} */ (this.#options.probe()));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(), ANSWER_MAX_MS);
  }

  /** @param {CloseEvent} event */
  #closed(event) {
    const retries = this.#options.retries ?? serverMayComeBack;
    if (this.#state.kind === "open" && !retries(event)) {
      this.#end({ kind: "stopped", code: event.code, reason: event.reason });
    } else {
      this.#lost();
    }
  }

  #lost() {
    const opened = this.#state.kind === "open";
    if (opened && Date.now() - this.#openedAt >= PROVED_AFTER_MS) this.#tries = 0;
    this.#drop();
    if (opened) this.#cause = "lost";
    this.#wait(waitOf(this.#tries, WAIT_FIRST_MS, WAIT_MAX_MS));
    this.#tries += 1;
    if (!opened && this.#options.diagnose) this.#diagnose(this.#options.diagnose);
  }

  /** @param {number} wait */
  #wait(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#enter({ kind: "waiting", until: Date.now() + wait, cause: this.#cause });
  }

  /** @param {NonNullable<Options["diagnose"]>} diagnose */
  async #diagnose(diagnose) {
    const { signal } = (this.#diagnosis = new AbortController());
    let found;
    try {
      found = await diagnose(signal);
    } catch {
      // A `fetch` that fails, or that was aborted, rejects.
    }
    if (signal.aborted || this.#state.kind !== "waiting") return;
    if (!found) {
      this.#refusals = 0;
      return;
    }
    const { cause, retryAfterMs = 0 } = found;
    this.#refusals = cause === "unreachable" ? 0 : this.#refusals + 1;
    if (this.#refusals === 0) {
      this.#cause = cause;
      return this.#enter({ ...this.#state, cause });
    }
    if (this.#refusals < REFUSALS_MIN) return;
    this.#cause = cause;
    const wait = waitOf(this.#refusals - REFUSALS_MIN, REFUSED_WAIT_FIRST_MS, REFUSED_WAIT_MAX_MS);
    this.#wait(Math.max(wait, Math.min(retryAfterMs, REFUSED_WAIT_MAX_MS)));
  }

  /**
   * Discards the socket at once: closing a dead one can take minutes.
   * @param {number} [code]
   * @param {string} [reason]
   */
  #drop(code, reason) {
    clearTimeout(this.#timer);
    this.#diagnosis.abort();
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code, reason);
  }

  /**
   * @param {State} state
   * @param {number} [code]
   * @param {string} [reason]
   */
  #end(state, code, reason) {
    globalThis.removeEventListener?.("online", this.#networkChanged);
    globalThis.removeEventListener?.("offline", this.#networkChanged);
    globalThis.document?.removeEventListener("visibilitychange", this.#pageChanged);
    this.#drop(code, reason);
    this.#enter(state);
  }

  /** `online` ends the delay. Both events probe an open connection. */
  #onNetwork() {
    if (navigator.onLine) this.retry();
    if (this.#state.kind === "open") this.#ask();
    this.#options.onState?.(this.#state);
  }

  /** The user is back, and does not wait. */
  #onPage() {
    if (document.visibilityState === "visible") this.retry();
  }

  /** @param {State} state */
  #enter(state) {
    this.#state = state;
    this.#options.onState?.(state);
  }
}

/**
 * Whether the server may serve this page later: it goes away, restarts, is full, or has told nothing.
 * @param {{code: number}} event
 */
function serverMayComeBack({ code }) {
  return [1001, 1005, 1006].includes(code) || (code >= 1011 && code <= 1014);
}

/**
 * Doubles with each attempt, up to a limit; drawn from its upper half.
 * @param {number} tries
 * @param {number} firstMs
 * @param {number} maxMs
 */
function waitOf(tries, firstMs, maxMs) {
  return Math.min(maxMs, firstMs * 2 ** tries) * (0.5 + Math.random() / 2);
}
