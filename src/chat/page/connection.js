// A WebSocket that reconnects automatically.
//
//             open                    closed or silent
//   connecting ----> open ------------------------------> waiting
//       ^              |                                     |
//       |              +-- stop() --> stopped                |
//       +------------------- delay over, online, retry() ----+
//
// The delay doubles with each attempt, up to half a minute, and is drawn at random from its
// upper half, so that after a restart of the server not all clients reconnect at once.
//
// If a socket does not open, `diagnose` determines the reason during the delay. If the server
// answers but refuses, the delays are longer, up to five minutes. One such result is not
// enough: the server may have started just after the attempt.

const WAIT_FIRST_MS = 500;
const WAIT_MAX_MS = 30_000;
const REFUSED_WAIT_FIRST_MS = 5_000;
const REFUSED_WAIT_MAX_MS = 300_000;
/** The number of successive refusals after which the delays are longer. */
const REFUSALS_MIN = 2;
/** After a connection was open for so long, the delays start again. */
const PROVED_AFTER_MS = 5_000;
/** A handshake that takes longer has failed. */
const CONNECT_MAX_MS = 15_000;
/** After so much silence the page sends a request … */
const SILENCE_MAX_MS = 30_000;
/** … and waits so long for the reply. */
const ANSWER_MAX_MS = 10_000;

export class Connection {
  #socket = null;
  #tries = 0;
  #timer = 0;
  #openedAt = 0;
  /** The reason why there is no connection, as far as it is known. */
  #cause = "failed";
  /** The number of successive attempts in which the server answered and opened no socket. */
  #refusals = 0;
  /** Ends the running diagnosis. */
  #diagnosis = new AbortController();
  #wake = () => this.#networkChanged();

  /**
   * @param {string} url
   * @param {string} subprotocol
   * @param {{state: (state: object) => void, message: (message: object) => void, probe: () => object,
   *   diagnose: (signal: AbortSignal) => Promise<{cause: string, retryAfterMs: number}>}} owner
   *   `state` receives {kind: "connecting" | "open" | "stopped"} and
   *   {kind: "waiting", until: milliseconds as of Date.now(), cause}, where
   *   `cause` is "lost" (it was open), "failed" (not known yet) or the cause from
   *   `diagnose`; `probe` returns a message that the server answers.
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

  /** Ends the delay. */
  retry() {
    if (this.state.kind === "waiting") this.#connect();
  }

  /** Returns whether the message was sent. */
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

  /** Data has arrived: measures the silence from now on. */
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

  /** Discards the socket immediately: closing a dead one can take minutes. */
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

  /** `online` ends the delay. Both events probe an open connection. */
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

/** Doubles with each attempt, up to a limit; drawn from its upper half. */
function waitOf(tries, firstMs, maxMs) {
  return Math.min(maxMs, firstMs * 2 ** tries) * (0.5 + Math.random() / 2);
}
