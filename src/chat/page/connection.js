// The page's connection: messages in JSON over a WebSocket that connects again.

import { ReconnectingWebSocket } from "./reconnecting-websocket.js";

/** The Close code of a connection whose tab has entered the room again. Then the state is "stopped" with this code. */
const TAKEN_OVER = 4001;

export class Connection {
  #socket;

  /**
   * @param {string} url
   * @param {string} subprotocol
   * @param {{state: (state: object) => void, message: (message: object) => void, probe: () => object,
   *   diagnose: (signal: AbortSignal) => Promise<{cause: string, retryAfterMs: number}>}} owner
   *   `state` receives the states of a `ReconnectingWebSocket`; `probe` returns a message that the server answers.
   */
  constructor(url, subprotocol, owner) {
    this.#socket = new ReconnectingWebSocket(url, {
      protocols: subprotocol,
      onState: owner.state,
      onMessage: (data) => received(data, owner),
      probe: () => JSON.stringify(owner.probe()),
      diagnose: owner.diagnose,
      // The chat closes with 1008 for what a user can stop doing.
      retries: ({ code }) => code !== TAKEN_OVER,
    });
  }

  get state() {
    return this.#socket.state;
  }

  start() {
    this.#socket.start();
  }

  stop() {
    this.#socket.stop();
  }

  /** Ends the delay. */
  retry() {
    this.#socket.retry();
  }

  /** Returns whether the message was sent. */
  send(message) {
    return this.#socket.send(JSON.stringify(message));
  }
}

function received(data, owner) {
  let message;
  try {
    message = JSON.parse(data);
  } catch {
    return;
  }
  owner.message(message);
}
