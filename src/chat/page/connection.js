// The page's connection: messages in JSON over a WebSocket that connects again.

import { ReconnectingWebSocket } from "./reconnecting-websocket.js";

/** Close codes after which the page does not connect again by itself: the tab has entered the room again, or a moderator has removed the user. */
export const TAKEN_OVER = 4001;
export const REMOVED = 4003;

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
      retries: ({ code }) => code !== TAKEN_OVER && code !== REMOVED,
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
