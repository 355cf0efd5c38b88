// Broadcast and echo on ws: `node ws.js PORT broadcast|echo|compressed`. The last one is
// broadcast with permessage-deflate.
//
// The server collects the messages of one turn of the loop and sends them in `setImmediate`:
// it corks the socket of each client, writes every message, and uncorks the socket, which
// makes one `writev`. ws validates UTF-8.
//
// In compressed mode, ws compresses each message for each client, in Node's thread pool, ten
// at a time, as its documentation recommends. It writes each message as soon as it is
// compressed, so messages are not batched. The settings are level 1, no context takeover, and
// memLevel and chunkSize as in the documentation of ws. The threshold is 64 bytes, because the
// default of 1024 bytes leaves shorter messages uncompressed. Messages that wait for
// compression do not count as the client's backlog, because the server causes that delay.
//
// A client with a backlog of more than 1 MiB (`bufferedAmount`) is disconnected.

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
    const backlogBytes = IS_COMPRESSED ? socket.writableLength : client.bufferedAmount;
    if (backlogBytes > BACKLOG_BYTES_MAX) {
      client.terminate();
      continue;
    }
    socket.cork();
    for (const message of messages) client.send(message.data, message);
    socket.uncork();
  }
}

// ws emits the messages of one read one after another. The socket stays corked until all of
// them have been sent back.
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
