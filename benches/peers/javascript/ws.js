// Broadcast and echo on ws: `node ws.js PORT broadcast|echo`.
//
// What comes in one turn of the loop is gathered and handed out in `setImmediate`:
// each client's socket is corked, given every message, and uncorked, which is one
// `writev`. No compression (the default), and no UTF-8 checks left out.
//
// A client that is 1 MiB behind (`bufferedAmount`) is disconnected.

"use strict";

const { WebSocketServer, WebSocket } = require("ws");

const [port, mode] = process.argv.slice(2);
if (mode !== "broadcast" && mode !== "echo") {
  console.error("usage: node ws.js PORT broadcast|echo");
  process.exit(2);
}
const BACKLOG_BYTES_MAX = 1024 * 1024;

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(port),
  backlog: 4096,
  clientTracking: false,
});

const members = new Map();
let turn = [];

server.on("connection", (client, request) => {
  const socket = request.socket;
  socket.setNoDelay(true);
  client.on("error", () => client.terminate());
  if (mode === "broadcast") {
    members.set(client, socket);
    client.on("message", receive);
    client.on("close", () => members.delete(client));
  } else {
    echo(client, socket);
  }
});

function receive(data, isBinary) {
  if (turn.push({ data, binary: isBinary }) === 1) setImmediate(fanOut);
}

function fanOut() {
  const messages = turn;
  turn = [];
  for (const [client, socket] of members) {
    if (client.readyState !== WebSocket.OPEN) continue;
    if (client.bufferedAmount > BACKLOG_BYTES_MAX) {
      client.terminate();
      continue;
    }
    socket.cork();
    for (const message of messages) client.send(message.data, message);
    socket.uncork();
  }
}

// The messages that one read brings are emitted one after the other; corked until
// all of them have been answered.
function echo(client, socket) {
  let isCorked = false;
  const uncork = () => {
    isCorked = false;
    socket.uncork();
  };
  client.on("message", (data, isBinary) => {
    if (!isCorked) {
      isCorked = true;
      socket.cork();
      setImmediate(uncork);
    }
    client.send(data, { binary: isBinary });
  });
}

server.on("listening", () => console.log(`ready 127.0.0.1:${server.address().port}`));
