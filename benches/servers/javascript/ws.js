// Broadcast and echo on ws: `node ws.js PORT broadcast|echo|compressed`. The last one is
// broadcast with permessage-deflate.
//
// The messages of one turn of the loop are collected and sent in `setImmediate`: each
// client's socket is corked, gets every message, and is uncorked, which is one `writev`.
// UTF-8 is checked.
//
// Compressed: ws compresses each message for each client, in Node's thread pool, ten
// at a time, as its documentation recommends. Each is written when it is ready, so that
// there is nothing to collect. Level 1, no context takeover, and memLevel and chunkSize
// as in its documentation; with the default threshold of 1024 bytes, shorter
// messages would not be compressed. Messages that wait for compression do not count as the
// client's backlog: the server is late, not the client.
//
// A client that is 1 MiB behind (`bufferedAmount`) is disconnected.

"use strict";

const { WebSocketServer, WebSocket } = require("ws");

const [port, mode] = process.argv.slice(2);
if (!["broadcast", "echo", "compressed"].includes(mode)) {
  console.error("usage: node ws.js PORT broadcast|echo|compressed");
  process.exit(2);
}
const IS_COMPRESSED = mode === "compressed";
const BACKLOG_BYTES_MAX = 1024 * 1024;

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(port),
  backlog: 4096,
  clientTracking: false,
  perMessageDeflate: IS_COMPRESSED && {
    zlibDeflateOptions: { level: 1, memLevel: 7, chunkSize: 1024 },
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
    concurrencyLimit: 10,
    threshold: 64,
  },
});

const members = new Map();
let turn = [];

server.on("connection", (client, request) => {
  const socket = request.socket;
  socket.setNoDelay(true);
  client.on("error", () => client.terminate());
  if (mode !== "echo") {
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
    const behind = IS_COMPRESSED ? socket.writableLength : client.bufferedAmount;
    if (behind > BACKLOG_BYTES_MAX) {
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
