// Tests when a `ReconnectingWebSocket` connects again, and when the chat page does. They use no browser and no real time: this file
// simulates the clock, the network and the sockets.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, mock, test } from "node:test";
import { fileURLToPath } from "node:url";
import { pageModule, reconnectingWebSocket } from "./yamabiko.mjs";

const { ReconnectingWebSocket } = await reconnectingWebSocket();
const { Connection } = await pageModule("connection.js");
const { diagnose } = await pageModule("diagnosis.js");

/** The sockets that were opened, oldest first. */
let sockets;
class Socket {
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, sent: [], closed: [], bufferedAmount: 0, protocol: "" });
    sockets.push(this);
  }
  send(data) {
    this.sent.push(data);
  }
  close(...words) {
    this.closed.push(words);
  }
  /** The handshake has succeeded. */
  open() {
    this.onopen();
  }
  /** The server has closed. */
  end(code = 1006, reason = "") {
    this.onclose({ code, reason });
  }
}

/** What the window and the document have to report. */
let events;
globalThis.WebSocket = Socket;
globalThis.addEventListener = (name, listener) => events.set(name, listener);
globalThis.removeEventListener = (name) => events.delete(name);
globalThis.document = { ...globalThis, visibilityState: "visible", addEventListener, removeEventListener };
Object.defineProperty(globalThis, "navigator", { value: { onLine: true }, configurable: true });

beforeEach(() => {
  sockets = [];
  events = new Map();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(Math, "random", () => 1);
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** Lets promises go on. */
async function turns() {
  for (let turn = 0; turn < 8; turn += 1) await null;
}

/** A socket that was started, and its reported states. `find` returns its diagnoses. */
function connect(find, options = {}) {
  const states = [];
  const socket = new ReconnectingWebSocket("ws:", {
    onState: (state) => states.push(state),
    ...(find && { diagnose: async () => find() }),
    ...options,
  });
  socket.start();
  return { socket, states };
}

/** Lets the newest socket fail to open. Returns the delay and the cause. */
async function fail(states) {
  sockets.at(-1).end();
  await turns();
  const { kind, until, cause } = states.at(-1);
  assert.equal(kind, "waiting");
  return { wait: until - Date.now(), cause };
}

/** Lets this number of attempts fail, each after its delay. Returns the delays and causes. */
async function failAgain(states, times) {
  const outcomes = [];
  for (let time = 0; time < times; time += 1) {
    const outcome = await fail(states);
    outcomes.push(outcome);
    const opened = sockets.length;
    mock.timers.tick(outcome.wait - 1);
    assert.equal(sockets.length, opened, "no attempt before the delay is over");
    mock.timers.tick(1);
    assert.equal(sockets.length, opened + 1, "an attempt when the delay is over");
  }
  return outcomes;
}

test("delays double up to half a minute for an unreachable server", async () => {
  const { states } = connect(() => ({ cause: "unreachable" }));
  const outcomes = await failAgain(states, 9);
  assert.deepEqual(outcomes.map(({ wait }) => wait / 1000), [0.5, 1, 2, 4, 8, 16, 30, 30, 30]);
  assert.ok(outcomes.every(({ cause }) => cause === "unreachable"));
});

test("delays are drawn from their upper half", async () => {
  Math.random.mock.mockImplementation(() => 0);
  const { states } = connect();
  const outcomes = await failAgain(states, 3);
  assert.deepEqual(outcomes.map(({ wait, cause }) => [wait, cause]), [[250, "failed"], [500, "failed"], [1000, "failed"]]);
});

test("delays double up to five minutes for a server that responds but refuses", async () => {
  const { states } = connect(() => ({ cause: "refused" }));
  const outcomes = await failAgain(states, 10);
  assert.deepEqual(outcomes.map(({ wait }) => wait / 1000), [0.5, 5, 10, 20, 40, 80, 160, 300, 300, 300]);
  assert.deepEqual(outcomes.map(({ cause }) => cause).slice(0, 3), ["failed", "refused", "refused"]);
});

test("a server that starts between an attempt and its diagnosis is not regarded as refusing", async () => {
  let cause = "unreachable";
  const { states } = connect(() => ({ cause }));
  await failAgain(states, 1);
  cause = "refused";
  assert.deepEqual(await failAgain(states, 1), [{ wait: 1000, cause: "unreachable" }]);
  sockets.at(-1).open();
  assert.equal(states.at(-1).kind, "open");
});

test("the server's Retry-After is respected up to five minutes", async () => {
  let retryAfterMs = 120_000;
  const { states } = connect(() => ({ cause: "unavailable", retryAfterMs }));
  const [, second] = await failAgain(states, 2);
  assert.equal(second.wait, 120_000);
  retryAfterMs = 86_400_000;
  assert.equal((await failAgain(states, 1))[0].wait, 300_000);
});

test("delays and refusals start again after a connection that was open long enough", async () => {
  const { states } = connect(() => ({ cause: "refused" }));
  await failAgain(states, 5);
  sockets.at(-1).open();
  mock.timers.tick(5_000);
  const [lost, failed, refused] = await failAgain(states, 3);
  assert.deepEqual(lost, { wait: 500, cause: "lost" });
  assert.deepEqual(failed, { wait: 1000, cause: "lost" });
  assert.deepEqual(refused, { wait: 5000, cause: "refused" });
});

test("delays do not start again after a connection that ended at once", async () => {
  const { states } = connect();
  await failAgain(states, 3);
  sockets.at(-1).open();
  mock.timers.tick(4_999);
  assert.equal((await failAgain(states, 1))[0].wait, 4_000);
});

test("an attempt on request ends the delay and its diagnosis", async () => {
  let finish;
  const found = new Promise((resolve) => (finish = resolve));
  const { socket, states } = connect(() => found);
  await fail(states);
  socket.retry();
  finish({ cause: "unreachable", retryAfterMs: 0 });
  await turns();
  assert.equal(states.at(-1).kind, "connecting");
});

test("a device that is on line again, and a page that is seen again, end the delay", async () => {
  const { states } = connect();
  for (const wake of [() => events.get("online")(), () => events.get("visibilitychange")()]) {
    await fail(states);
    wake();
    assert.equal(sockets.at(-1).closed.length, 0);
    assert.equal(states.findLast(({ kind }) => kind !== "waiting").kind, "connecting");
  }
  assert.equal(sockets.length, 3);
});

test("a handshake that takes 15 seconds has failed", () => {
  const { states } = connect();
  mock.timers.tick(14_999);
  assert.equal(states.at(-1).kind, "connecting");
  mock.timers.tick(1);
  assert.equal(states.at(-1).kind, "waiting");
});

test("the hook for a new connection is called each time, and knows the first one", () => {
  const opened = [];
  const onOpen = (socket, isFirst) => {
    opened.push(isFirst);
    assert.ok(socket.send("subscribe"));
  };
  connect(undefined, { onOpen });
  sockets.at(-1).open();
  sockets.at(-1).end();
  mock.timers.tick(500);
  sockets.at(-1).open();
  assert.deepEqual(opened, [true, false]);
  assert.deepEqual(sockets.map(({ sent }) => sent), [["subscribe"], ["subscribe"]]);
});

test("another connection follows after these codes and no others", () => {
  const again = [1001, 1005, 1006, 1011, 1012, 1013, 1014];
  for (const code of [...again, 1000, 1002, 1003, 1007, 1008, 1009, 1010, 1015, 3000, 4000, 4999]) {
    const { states } = connect();
    sockets.at(-1).open();
    sockets.at(-1).end(code, "reason");
    const expected = again.includes(code) ? "waiting" : "stopped";
    const { kind, ...ended } = states.at(-1);
    assert.equal(kind, expected, `${code}`);
    if (kind === "stopped") assert.deepEqual(ended, { code, reason: "reason" });
  }
});

test("the application decides otherwise which ends are final", () => {
  const { states } = connect(undefined, { retries: ({ code }) => code !== 4001 });
  sockets.at(-1).open();
  sockets.at(-1).end(1008);
  assert.equal(states.at(-1).kind, "waiting");
  mock.timers.tick(500);
  sockets.at(-1).open();
  sockets.at(-1).end(4001);
  assert.equal(states.at(-1).kind, "stopped");
});

test("a socket that is stopped has no timers and no listeners, and can start again", () => {
  const { socket, states } = connect();
  sockets.at(-1).open();
  socket.stop(4000, "bye");
  assert.deepEqual(sockets.at(-1).closed, [[4000, "bye"]]);
  assert.equal(events.size, 0);
  mock.timers.tick(600_000);
  assert.equal(sockets.length, 1);
  assert.deepEqual(states.at(-1), { kind: "stopped" });
  assert.ok(!socket.send("too late"));
  socket.start();
  assert.equal(sockets.length, 2);
});

test("an address that is a function is asked for each attempt", async () => {
  let number = 0;
  const socket = new ReconnectingWebSocket(() => `ws://host/?attempt=${(number += 1)}`);
  socket.start();
  sockets.at(-1).end();
  mock.timers.tick(500);
  assert.deepEqual(sockets.map(({ url }) => url), ["ws://host/?attempt=1", "ws://host/?attempt=2"]);
});

test("a message is refused while the browser holds more than the limit, and not at it", async () => {
  const { socket } = connect(undefined, { bufferedBytesMax: 1000 });
  sockets.at(-1).open();
  sockets.at(-1).bufferedAmount = 1000;
  assert.ok(socket.send("at the limit"));
  sockets.at(-1).bufferedAmount = 1001;
  assert.ok(!socket.send("beyond it"));
  let drained;
  socket.drained().then((result) => (drained = result));
  for (const [bytes, expected] of [[501, undefined], [500, true]]) {
    sockets.at(-1).bufferedAmount = bytes;
    mock.timers.tick(50);
    await turns();
    assert.equal(drained, expected);
  }
});

test("waiting for the network ends with the connection", async () => {
  const { socket } = connect();
  sockets.at(-1).open();
  sockets.at(-1).bufferedAmount = 2 << 20;
  let drained;
  socket.drained().then((result) => (drained = result));
  sockets.at(-1).end();
  mock.timers.tick(50);
  await turns();
  assert.equal(drained, false);
});

test("a silent server gets a request after half a minute, and is lost 10 seconds later", () => {
  const { states } = connect(undefined, { probe: () => "are you there?" });
  sockets.at(-1).open();
  mock.timers.tick(29_999);
  sockets.at(-1).onmessage({ data: "a message" });
  mock.timers.tick(29_999);
  assert.deepEqual(sockets.at(-1).sent, []);
  mock.timers.tick(1);
  assert.deepEqual(sockets.at(-1).sent, ["are you there?"]);
  mock.timers.tick(9_999);
  assert.equal(states.at(-1).kind, "open");
  mock.timers.tick(1);
  assert.deepEqual(states.at(-1).cause, "lost");
});

for (const [what, diagnose] of [
  ["rejects", async () => Promise.reject(new TypeError("no response"))],
  ["throws", () => { throw new TypeError("no response"); }],
  ["finds nothing", async () => undefined],
]) {
  test(`a diagnosis that ${what} leaves the reason unknown, and the delays short`, async () => {
    const rejections = [];
    const rejected = (reason) => rejections.push(reason);
    process.on("unhandledRejection", rejected);
    try {
      const { states } = connect(undefined, { diagnose });
      const outcomes = await failAgain(states, 4);
      assert.deepEqual(outcomes, [500, 1000, 2000, 4000].map((wait) => ({ wait, cause: "failed" })));
      // Node tells of a rejection when the promises that are ready have gone on.
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(rejections, []);
    } finally {
      process.off("unhandledRejection", rejected);
    }
  });
}

test("an attempt without a diagnosis ends a row of refusals", async () => {
  const diagnoses = ["refused", undefined, "refused", "refused"];
  const { states } = connect(() => {
    const cause = diagnoses.shift();
    return cause && { cause };
  });
  const outcomes = await failAgain(states, 4);
  assert.deepEqual(outcomes.map(({ wait }) => wait), [500, 1000, 2000, 5000]);
});

test("the page's connection speaks JSON and comes back after any code", () => {
  const [messages, states] = [[], []];
  const connection = new Connection("ws:", "v1", {
    state: (state) => states.push(state),
    message: (message) => messages.push(message),
    probe: () => ({ type: "names" }),
    diagnose: async () => ({ cause: "unreachable", retryAfterMs: 0 }),
  });
  connection.start();
  assert.equal(sockets.at(-1).protocols, "v1");
  assert.ok(!connection.send({ type: "too soon" }));
  sockets.at(-1).open();
  assert.ok(connection.send({ type: "join" }));
  mock.timers.tick(30_000);
  assert.deepEqual(sockets.at(-1).sent, ['{"type":"join"}', '{"type":"names"}']);
  sockets.at(-1).onmessage({ data: '{"type":"joined"}' });
  sockets.at(-1).onmessage({ data: "no JSON" });
  assert.deepEqual(messages, [{ type: "joined" }]);
  sockets.at(-1).end(1008);
  assert.equal(states.at(-1).kind, "waiting");
});

/** The diagnosis for these responses: a status for each path, 0 for no response. */
async function found(statuses, fields = {}) {
  globalThis.fetch = async (path) => {
    if (!statuses[path]) throw new TypeError("no response");
    return new Response(null, { status: statuses[path], headers: fields });
  };
  return diagnose("./chat/talk", new AbortController().signal);
}

test("the cause is derived from the responses of /health and the room's path", async () => {
  for (const [health, room, cause] of [
    [0, 0, "unreachable"],
    [502, 502, "unreachable"],
    [504, 504, "unreachable"],
    [503, 503, "unavailable"],
    [403, 403, "refused"],
    [404, 404, "refused"],
    [200, 0, "unreachable"],
    [200, 404, "no_room"],
    [200, 503, "unavailable"],
    [200, 426, "refused"],
    [200, 200, "refused"],
  ]) {
    const statuses = { "./health": health, "./chat/talk": room };
    assert.deepEqual(await found(statuses), { cause, retryAfterMs: 0 }, JSON.stringify(statuses));
  }
});

test("Retry-After is parsed in seconds, and ignored in any other form", async () => {
  for (const [value, retryAfterMs] of [["7", 7000], ["Fri, 31 Dec 1999 23:59:59 GMT", 0], ["-5", 0], ["", 0]]) {
    const { retryAfterMs: read } = await found({ "./health": 503 }, { "Retry-After": value });
    assert.equal(read, retryAfterMs, value);
  }
});

const MODULE_FOLDER = fileURLToPath(new URL("../../browser", import.meta.url));
const PROGRAM_MAX_MS = 60_000;

test("the module's package holds the module, and is imported by its name", () => {
  const { name, version } = JSON.parse(readFileSync(join(MODULE_FOLDER, "package.json"), "utf8"));
  const packed = execFileSync("npm", ["pack", "--dry-run", "--json", "--offline"], { cwd: MODULE_FOLDER, timeout: PROGRAM_MAX_MS });
  const [{ files }] = JSON.parse(packed);
  const expected = ["README.md", "package.json", "reconnecting-websocket.d.ts", "reconnecting-websocket.js"];
  assert.deepEqual(files.map(({ path }) => path).sort(), expected);
  const crates = readFileSync(join(MODULE_FOLDER, "../Cargo.toml"), "utf8");
  assert.equal(version, /^version = "(.+)"$/m.exec(crates)[1]);

  // As `npm install` does it with a folder.
  const project = mkdtempSync(join(tmpdir(), "yamabiko-module-"));
  try {
    mkdirSync(join(project, "node_modules"));
    symlinkSync(MODULE_FOLDER, join(project, "node_modules", name), "dir");
    const program = `import { ReconnectingWebSocket } from "${name}"; console.log(new ReconnectingWebSocket("ws:").state.kind);`;
    const output = execFileSync(process.execPath, ["--input-type=module", "--eval", program], { cwd: project, timeout: PROGRAM_MAX_MS });
    assert.equal(String(output), "stopped\n");
  } finally {
    rmSync(project, { recursive: true });
  }
});
