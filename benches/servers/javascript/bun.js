// Broadcast and echo on bun: `bun bun.js PORT broadcast|echo|compressed`. The last one
// is broadcast with permessage-deflate.
//
// bun's server is uWebSockets, and this file does the same as ../uwebsockets/server.cpp: it
// collects the messages of one turn of the loop and sends them in `setImmediate`, one message
// by `server.publish`, several by a corked `send` to each socket. In echo mode, bun corks a
// socket while its handler runs.
//
// In compressed mode, bun uses its shared compressor, which has no context takeover and needs
// no memory for a connection. It compresses each message for each client. The level cannot
// be set.
//
// A client with a backlog of more than 1 MiB is disconnected (`closeOnBackpressureLimit`). The
// idle timeout and the automatic pings have their defaults.

const [port, mode] = process.argv.slice(2);
if (!["broadcast", "echo", "compressed"].includes(mode)) {
  console.error("usage: bun bun.js PORT broadcast|echo|compressed");
  process.exit(2);
}
const TOPIC = "broadcast";
const IS_COMPRESSED = mode === "compressed";
const BACKLOG_BYTES_MAX = 1024 * 1024;

const members = new Set();
let turn = [];

const broadcast = {
  open(socket) {
    socket.subscribe(TOPIC);
    members.add(socket);
  },
  message(_socket, message) {
    if (turn.push(message) === 1) setImmediate(fanOut);
  },
  close(socket) {
    members.delete(socket);
  },
};

const echo = {
  message(socket, message) {
    socket.send(message);
  },
};

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  fetch(request, server) {
    if (!server.upgrade(request)) return new Response("WebSocket only", { status: 426 });
  },
  websocket: {
    ...(mode === "echo" ? echo : broadcast),
    perMessageDeflate: IS_COMPRESSED && { compress: "shared", decompress: "shared" },
    maxPayloadLength: 1024 * 1024,
    backpressureLimit: BACKLOG_BYTES_MAX,
    closeOnBackpressureLimit: true,
  },
});

function fanOut() {
  const messages = turn;
  turn = [];
  if (messages.length === 1) {
    server.publish(TOPIC, messages[0], IS_COMPRESSED);
    return;
  }
  for (const socket of members) {
    socket.cork(() => {
      for (const message of messages) socket.send(message, IS_COMPRESSED);
    });
  }
}

console.log(`ready 127.0.0.1:${server.port}`);
