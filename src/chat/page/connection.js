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

const WAIT_FIRST_MS = 500;
const WAIT_MAX_MS = 30_000;
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
  #wake = () => this.#networkChanged();

  /**
   * @param {string} url
   * @param {string} subprotocol
   * @param {{state: (state: object) => void, message: (message: object) => void, probe: () => object}} owner
   *   `state` hears of {kind: "connecting" | "open" | "stopped"} and
   *   {kind: "waiting", until: milliseconds as of Date.now()}; `probe` gives a
   *   message that the server answers.
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
    if (this.#openedAt && Date.now() - this.#openedAt >= PROVED_AFTER_MS) this.#tries = 0;
    this.#drop();
    const wait = Math.min(WAIT_MAX_MS, WAIT_FIRST_MS * 2 ** this.#tries) * (0.5 + Math.random() / 2);
    this.#tries += 1;
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#enter({ kind: "waiting", until: Date.now() + wait });
  }

  /** Forgets the socket at once: closing a dead one can take minutes. */
  #drop() {
    clearTimeout(this.#timer);
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
