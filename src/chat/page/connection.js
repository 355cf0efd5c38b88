// A WebSocket that comes back by itself.
//
//             open                    closed or silent
//   connecting ----> open ------------------------------> waiting
//       ^              |                                     |
//       |              +-- stop() --> stopped                |
//       +------------------- time is up, online, retry() ----+
//
// The time to wait doubles with each try, up to half a minute, and is drawn at
// random from its upper half, so that after a restart of the server not
// everybody comes at once.
//
// If a socket does not open, `diagnose` finds out why, while the wait runs. A
// server that answers but refuses is tried more slowly, up to five minutes. One
// such finding is not enough: the server may have come up just after the try.

const WAIT_FIRST_MS = 500;
const WAIT_MAX_MS = 30_000;
const REFUSED_WAIT_FIRST_MS = 5_000;
const REFUSED_WAIT_MAX_MS = 300_000;
/** As many findings in a row make a refusal. */
const REFUSALS_MIN = 2;
/** A connection that held this long has proved itself: the waits start over. */
const PROVED_AFTER_MS = 5_000;
/** A handshake that takes longer has failed. */
const CONNECT_MAX_MS = 15_000;
/** After this much silence the server is asked for a sign of life … */
const SILENCE_MAX_MS = 30_000;
/** … and has this long to give it. */
const ANSWER_MAX_MS = 10_000;

export class Connection {
  #socket = null;
  #tries = 0;
  #timer = 0;
  #openedAt = 0;
  /** Why there is no connection, as far as it is known. */
  #cause = "failed";
  /** How many times in a row the server answered, but opened no socket. */
  #refusals = 0;
  /** Ends the diagnosis that runs. */
  #diagnosis = new AbortController();
  #wake = () => this.#networkChanged();

  /**
   * @param {string} url
   * @param {string} subprotocol
   * @param {{state: (state: object) => void, message: (message: object) => void, probe: () => object,
   *   diagnose: (signal: AbortSignal) => Promise<{cause: string, retryAfterMs: number}>}} owner
   *   `state` hears of {kind: "connecting" | "open" | "stopped"} and
   *   {kind: "waiting", until: milliseconds as of Date.now(), cause}, where
   *   `cause` is "lost" (it was open), "failed" (nothing is known yet) or
   *   what `diagnose` found; `probe` gives a message that the server answers.
   */
  constructor(url, subprotocol, owner) {
    this.url = url;
    this.subprotocol = subprotocol;
    this.owner = owner;
    this.state = { kind: "stopped" };
  }

  start() {
    window.addEventListener("online", this.#wake);
    window.addEventListener("offline", this.#wake);
    this.#connect();
  }

  stop() {
    window.removeEventListener("online", this.#wake);
    window.removeEventListener("offline", this.#wake);
    this.#drop();
    this.#enter({ kind: "stopped" });
  }

  /** Does not wait any longer. */
  retry() {
    if (this.state.kind === "waiting") this.#connect();
  }

  /** Returns whether the message is on its way. */
  send(message) {
    if (this.state.kind !== "open") return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #connect() {
    this.#drop();
    const socket = new WebSocket(this.url, this.subprotocol);
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#received(event.data);
    socket.onclose = () => this.#lost();
    this.#timer = setTimeout(() => this.#lost(), CONNECT_MAX_MS);
    this.#enter({ kind: "connecting" });
  }

  #opened() {
    this.#openedAt = Date.now();
    this.#refusals = 0;
    this.#listen();
    this.#enter({ kind: "open" });
  }

  #received(data) {
    this.#listen();
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    this.owner.message(message);
  }

  /** The server was heard: silence is counted from now. */
  #listen() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), SILENCE_MAX_MS);
  }

  #ask() {
    if (!this.send(this.owner.probe())) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(), ANSWER_MAX_MS);
  }

  #lost() {
    const opened = this.#openedAt > 0;
    if (opened && Date.now() - this.#openedAt >= PROVED_AFTER_MS) this.#tries = 0;
    this.#drop();
    if (opened) this.#cause = "lost";
    this.#wait(waitOf(this.#tries, WAIT_FIRST_MS, WAIT_MAX_MS));
    this.#tries += 1;
    if (!opened) this.#diagnose();
  }

  #wait(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#enter({ kind: "waiting", until: Date.now() + wait, cause: this.#cause });
  }

  async #diagnose() {
    const { signal } = (this.#diagnosis = new AbortController());
    const { cause, retryAfterMs } = await this.owner.diagnose(signal);
    if (signal.aborted) return;
    this.#refusals = cause === "unreachable" ? 0 : this.#refusals + 1;
    if (this.#refusals === 0) {
      this.#cause = cause;
      return this.#enter({ ...this.state, cause });
    }
    if (this.#refusals < REFUSALS_MIN) return;
    this.#cause = cause;
    const wait = waitOf(this.#refusals - REFUSALS_MIN, REFUSED_WAIT_FIRST_MS, REFUSED_WAIT_MAX_MS);
    this.#wait(Math.max(wait, Math.min(retryAfterMs, REFUSED_WAIT_MAX_MS)));
  }

  /** Forgets the socket at once: closing a dead one can take minutes. */
  #drop() {
    clearTimeout(this.#timer);
    this.#diagnosis.abort();
    this.#openedAt = 0;
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** `online` ends the wait; either makes an open connection prove itself. */
  #networkChanged() {
    if (navigator.onLine) this.retry();
    if (this.state.kind === "open") this.#ask();
    this.owner.state(this.state);
  }

  #enter(state) {
    this.state = state;
    this.owner.state(state);
  }
}

/** Doubles with each try, up to a bound, and is drawn from its upper half. */
function waitOf(tries, firstMs, maxMs) {
  return Math.min(maxMs, firstMs * 2 ** tries) * (0.5 + Math.random() / 2);
}
