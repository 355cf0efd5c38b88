// Tests when the page reconnects. They use no browser and no real time: this file simulates the
// clock, the network and the sockets.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { pageModule } from "./yamabiko.mjs";

const { Connection } = await pageModule("connection.js");
const { diagnose } = await pageModule("diagnosis.js");

/** The sockets that the page opened, oldest first. */
let sockets;
class Socket {
  constructor() {
    sockets.push(this);
  }
  close() {}
}

globalThis.WebSocket = Socket;
globalThis.window = { addEventListener() {}, removeEventListener() {} };
Object.defineProperty(globalThis, "navigator", { value: { onLine: true }, configurable: true });

beforeEach(() => {
  sockets = [];
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(Math, "random", () => 1);
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** A connection and its reported states. `find` returns its diagnoses. */
function connect(find) {
  const states = [];
  const connection = new Connection("ws:", "v1", {
    state: (state) => states.push(state),
    message() {},
    probe: () => ({}),
    diagnose: async () => ({ retryAfterMs: 0, ...find() }),
  });
  connection.start();
  return { connection, states };
}

/** Lets the newest socket fail to open. Returns the delay and the cause. */
async function fail(states) {
  sockets.at(-1).onclose();
  for (let turn = 0; turn < 5; turn += 1) await null;
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
  sockets.at(-1).onopen();
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
  sockets.at(-1).onopen();
  mock.timers.tick(5_000);
  const [lost, failed, refused] = await failAgain(states, 3);
  assert.deepEqual(lost, { wait: 500, cause: "lost" });
  assert.deepEqual(failed, { wait: 1000, cause: "lost" });
  assert.deepEqual(refused, { wait: 5000, cause: "refused" });
});

test("an attempt on request ends the delay and its diagnosis", async () => {
  let finish;
  const found = new Promise((resolve) => (finish = resolve));
  const states = [];
  const owner = { state: (state) => states.push(state), message() {}, probe: () => ({}), diagnose: () => found };
  const connection = new Connection("ws:", "v1", owner);
  connection.start();
  await fail(states);
  connection.retry();
  finish({ cause: "unreachable", retryAfterMs: 0 });
  for (let turn = 0; turn < 5; turn += 1) await null;
  assert.equal(states.at(-1).kind, "connecting");
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
