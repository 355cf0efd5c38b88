// The types of reconnecting-websocket.js, for TypeScript; its JSDoc says the same.

/** "lost": it was open; "failed": it did not open, and the reason is not known; otherwise what `diagnose` has found */
export type Cause = string;

/** `until` as of `Date.now()`; `code` and `reason` of a server that has closed for good */
export type State =
  | { kind: "connecting" }
  | { kind: "open" }
  | { kind: "waiting"; until: number; cause: Cause }
  | { kind: "stopped"; code?: number; reason?: string };

/** `cause` "unreachable": no server responds. Any other: one responds and refuses */
export type Diagnosis = { cause: string; retryAfterMs?: number };

export type Options = {
  /** the subprotocols that are offered */
  protocols?: string | string[];
  /** "arraybuffer" if not set */
  binaryType?: "arraybuffer" | "blob";
  /** a connection is open: subscribe, and ask for what was missed. `isFirst`: none was open before */
  onOpen?: (socket: ReconnectingWebSocket, isFirst: boolean) => void;
  /** a message has come */
  onMessage?: (data: string | ArrayBuffer | Blob) => void;
  /** the state has changed, or the device has gone on or off line */
  onState?: (state: State) => void;
  /** whether another connection follows this end of one that was open */
  retries?: (event: CloseEvent) => boolean;
  /** finds out why no connection opens. Without a result, or if it rejects, the reason is not known */
  diagnose?: (signal: AbortSignal) => Promise<Diagnosis | undefined>;
  /** a message that the server answers */
  probe?: () => string | ArrayBuffer | ArrayBufferView | Blob;
  /** 1 MiB if not set */
  bufferedBytesMax?: number;
};

export declare class ReconnectingWebSocket {
  #private;

  /** `url`: a function is called for each attempt, for instance to add a fresh token */
  constructor(url: string | URL | (() => string | URL), options?: Options);

  /** Connects, and again whenever the connection is lost, until `stop`. */
  start(): void;

  /** Closes the connection; no other one follows. `code`: 1000, or 3000 to 4999. `reason`: at most 123 bytes */
  stop(code?: number, reason?: string): void;

  /** Ends the delay. */
  retry(): void;

  get state(): State;

  /** The subprotocol that the server has chosen, or "". */
  get protocol(): string;

  /** Bytes that the network has not taken. */
  get bufferedAmount(): number;

  /** Sends a message of any length, unless too much waits already. Returns whether it was sent. */
  send(data: string | ArrayBuffer | ArrayBufferView | Blob): boolean;

  /**
   * Waits until at most so many bytes wait for the network: half of `bufferedBytesMax` if not set. `false`: this connection has
   * ended before.
   */
  drained(bytes?: number): Promise<boolean>;
}
