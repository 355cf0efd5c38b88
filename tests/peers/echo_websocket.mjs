// An echo server on the package `websocket` (WebSocket-Node).
import http from "node:http";
import websocket from "websocket";

const server = http.createServer((request, response) => {
  response.writeHead(404);
  response.end();
});
const sockets = new websocket.server({
  httpServer: server,
  autoAcceptConnections: true,
  maxReceivedFrameSize: 1 << 25,
  maxReceivedMessageSize: 1 << 25,
});
sockets.on("connect", (connection) => {
  connection.on("error", () => {});
  connection.on("message", (message) => {
    if (message.type === "utf8") {
      connection.sendUTF(message.utf8Data);
    } else {
      connection.sendBytes(message.binaryData);
    }
  });
});
server.listen(0, "127.0.0.1", () => console.log(`ws://127.0.0.1:${server.address().port}/`));
