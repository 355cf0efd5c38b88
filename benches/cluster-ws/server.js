// Rooms of several servers by ws and ioredis: `node server.js REDIS_PORT`. The peer of benches/cluster.py.
//
// A client of `/broadcast/ROOM` publishes every message to the channel of the room, and gets every message of that channel: what most
// servers do with Redis. ioredis puts the commands of a turn of the loop into one write (`enableAutoPipelining`). The messages of one turn
// are sent in `setImmediate`: the server corks the socket of each client, writes every message, and uncorks it, which makes one `writev`.
//
// It promises less than yamabiko does: a message that Redis loses on the way to a server is missing there, and nobody is told; there is no log,
// no number, no acknowledgement. A client with a backlog of more than 1 MiB is disconnected.

"use strict";

const http = require("node:http");
const { Redis } = require("ioredis");
const { WebSocketServer, WebSocket } = require("ws");

const [redisPort] = process.argv.slice(2);
const redis = { host: "127.0.0.1", port: Number(redisPort), enableAutoPipelining: true };
const publisher = new Redis(redis);
const subscriber = new Redis(redis);
const BACKLOG_BYTES_MAX = 1024 * 1024;

const rooms = new Map();
let turn = new Map();

const server = http.createServer((request, response) => {
  // `/ready`, as the servers of yamabiko have it.
  response.writeHead(subscriber.status === "ready" && publisher.status === "ready" ? 200 : 503).end();
});
const sockets = new WebSocketServer({ server, clientTracking: false, perMessageDeflate: false });

sockets.on("connection", (client, request) => {
  const room = request.url;
  request.socket.setNoDelay(true);
  join(room, client, request.socket);
  client.on("error", () => client.terminate());
  client.on("message", (data) => publisher.publish(room, data));
  client.on("close", () => leave(room, client));
});

function join(room, client, socket) {
  const members = rooms.get(room);
  if (members) return members.set(client, socket);
  rooms.set(room, new Map([[client, socket]]));
  subscriber.subscribe(room);
}

function leave(room, client) {
  const members = rooms.get(room);
  members.delete(client);
  if (members.size > 0) return;
  rooms.delete(room);
  subscriber.unsubscribe(room);
}

subscriber.on("messageBuffer", (channel, data) => {
  const room = channel.toString();
  const messages = turn.get(room);
  if (messages) return messages.push(data);
  if (turn.size === 0) setImmediate(fanOut);
  turn.set(room, [data]);
});

function fanOut() {
  const messagesOf = turn;
  turn = new Map();
  for (const [room, messages] of messagesOf) {
    for (const [client, socket] of rooms.get(room) ?? []) {
      if (client.readyState !== WebSocket.OPEN) continue;
      if (client.bufferedAmount > BACKLOG_BYTES_MAX) {
        client.terminate();
        continue;
      }
      socket.cork();
      for (const data of messages) client.send(data, { binary: false });
      socket.uncork();
    }
  }
}

server.listen(0, "127.0.0.1", () => console.log(`ready http://127.0.0.1:${server.address().port}/`));
