// An echo server on `faye-websocket`, with `permessage-deflate`'s absence: its extension is a package of its own.
import http from "node:http";
import WebSocket from "faye-websocket";

const server = http.createServer();
server.on("upgrade", (request, socket, body) => {
  if (!WebSocket.isWebSocket(request)) {
    socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    return;
  }
  const connection = new WebSocket(request, socket, body);
  connection.on("message", (event) => connection.send(event.data));
});
server.listen(0, "127.0.0.1", () => console.log(`ws://127.0.0.1:${server.address().port}/`));
