// Runs the JavaScript library ws for interop.py, which describes the modes:
//
//     peer_ws.mjs echo URL DEFLATE FOLDER
//     peer_ws.mjs room URL DEFLATE FOLDER RECEIVED SENDERS
//     peer_ws.mjs serve DEFLATE FOLDER

import { once } from "node:events";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { WebSocket, WebSocketServer } from "ws";

const modes = { echo, room, serve };
const [mode, ...parameters] = process.argv.slice(2);
await modes[mode](...parameters);

async function echo(url, deflate, folder) {
  const socket = connect(url, deflate);
  const incoming = queue(socket);
  await opened(socket);
  await expectEcho(socket, incoming, folder);
  socket.close(1000);
  await once(socket, "close");
}

/** Sends the messages of the folder one after another, and requires an equal message in return for each. */
async function expectEcho(socket, incoming, folder) {
  for (const message of messagesIn(folder)) {
    send(socket, message);
    const { kind, payload } = await incoming.next();
    if (kind !== message.kind || !payload.equals(message.payload)) {
      throw new Error(`${message.name} came back as ${kind} of ${payload.length} bytes`);
    }
  }
}

async function room(url, deflate, folder, received, senders) {
  const socket = connect(url, deflate);
  const incoming = queue(socket);
  await opened(socket);
  const [first, ...others] = messagesIn(folder);
  send(socket, first);
  await incoming.next();
  console.log("ready");
  await once(createInterface({ input: process.stdin }), "line");
  for (const message of others) send(socket, message);
  mkdirSync(received);
  for (let count = 0, ended = 0; ended < Number(senders); count += 1) {
    const { kind, payload } = await incoming.next();
    writeFileSync(join(received, `${String(count).padStart(4, "0")}.${kind}`), payload);
    if (kind === "text" && payload.length < 300 && payload.includes("the end")) ended += 1;
  }
  socket.close(1000);
  await once(socket, "close");
  process.exit(0); // standard input is still open
}

async function serve(deflate, folder) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: options(deflate) });
  server.on("connection", async (socket, request) => {
    const { pathname } = new URL(request.url, "http://127.0.0.1");
    const incoming = queue(socket);
    if (pathname === "/getCaseCount") socket.send("1");
    if (pathname === "/runCase") await expectEcho(socket, incoming, folder);
    if (pathname === "/updateReports") server.close();
    socket.close(1000);
  });
  await once(server, "listening");
  console.log(server.address().port);
}

function connect(url, deflate) {
  return new WebSocket(url, { perMessageDeflate: options(deflate) });
}

function options(deflate) {
  const wanted = JSON.parse(deflate);
  return (
    wanted && {
      serverNoContextTakeover: wanted.server_no_context_takeover,
      clientNoContextTakeover: wanted.client_no_context_takeover,
      serverMaxWindowBits: wanted.server_max_window_bits,
      clientMaxWindowBits: wanted.client_max_window_bits,
      threshold: 0,
    }
  );
}

async function opened(socket) {
  await once(socket, "open");
}

/** Keeps the messages that arrive from now on, in order: {kind, payload}. */
function queue(socket) {
  const arrived = [];
  let wake = () => {};
  let failure = null;
  socket.on("message", (payload, binary) => {
    arrived.push({ kind: binary ? "binary" : "text", payload });
    wake();
  });
  socket.on("error", (error) => (failure = error));
  socket.on("close", (code) => {
    failure ??= new Error(`closed with ${code}`);
    wake();
  });
  return {
    async next() {
      while (arrived.length === 0) {
        if (failure) throw failure;
        await new Promise((resolve) => (wake = resolve));
      }
      return arrived.shift();
    },
  };
}

function send(socket, { kind, payload }) {
  socket.send(payload, { binary: kind === "binary" });
}

function messagesIn(folder) {
  return readdirSync(folder)
    .sort()
    .map((name) => ({ name, kind: name.split(".")[1], payload: readFileSync(join(folder, name)) }));
}
