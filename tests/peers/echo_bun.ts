// An echo server on Bun's own WebSocket server, with compression.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response("", { status: 400 });
  },
  websocket: {
    perMessageDeflate: true,
    maxPayloadLength: 1 << 25,
    backpressureLimit: 1 << 28,
    message(socket, message) {
      socket.send(message, true);
    },
  },
});
console.log(`ws://127.0.0.1:${server.port}/`);
