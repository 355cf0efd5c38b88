// An echo server on `ws`. Prints its URL. Defaults, but compression is on and the limit of fragments is off.
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: true, maxFragments: 0 });
server.on("listening", () => console.log(`ws://127.0.0.1:${server.address().port}/`));
server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
