// The web server of the chat: the page, the authorisation of private channels, and the call that publishes a message.
//
// A real application knows its users by a session and keeps messages in a database. This one believes the name that the page sends.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import Pusher from "pusher";

const PORT = Number(process.env.PORT ?? 3000);
const pusher = new Pusher({
  appId: process.env.PUSHER_APP_ID ?? "1",
  key: process.env.PUSHER_APP_KEY ?? "app-key",
  secret: process.env.PUSHER_APP_SECRET ?? "app-secret",
  host: process.env.PUSHER_HOST ?? "127.0.0.1",
  port: process.env.PUSHER_PORT ?? "8080",
  useTLS: false,
});

/** The channels of the chat: one for everybody, and one that needs the authorisation of this server. */
const CHANNELS = ["chat", "private-chat"];
const FILES = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/page.js": ["page.js", "text/javascript; charset=utf-8"],
  "/pusher.js": ["node_modules/pusher-js/dist/web/pusher.js", "text/javascript; charset=utf-8"],
};

const server = createServer(async (request, response) => {
  try {
    const { pathname } = new URL(request.url, "http://localhost");
    if (request.method === "GET" && pathname in FILES) return await sendFile(response, ...FILES[pathname]);
    if (request.method === "GET" && pathname === "/settings") return sendJson(response, settings());
    if (request.method === "POST" && pathname === "/pusher/auth") return await authorise(request, response);
    if (request.method === "POST" && pathname === "/messages") return await publish(request, response);
    sendJson(response, { error: "there is nothing here" }, 404);
  } catch (error) {
    sendJson(response, { error: String(error.message ?? error) }, 500);
  }
});

/** Where the page finds the service. */
function settings() {
  const { key } = pusher.config.token;
  return { key, wsHost: process.env.PUSHER_HOST ?? "127.0.0.1", wsPort: Number(process.env.PUSHER_PORT ?? 8080) };
}

/** pusher-js asks for the signature of a private channel. */
async function authorise(request, response) {
  const form = new URLSearchParams(await bodyOf(request));
  const [socketId, channel] = [form.get("socket_id"), form.get("channel_name")];
  if (!CHANNELS.includes(channel)) return sendJson(response, { error: "no such channel" }, 403);
  sendJson(response, pusher.authorizeChannel(socketId, channel));
}

/** A message for everybody in a channel but its sender, whose page shows it already. */
async function publish(request, response) {
  const { channel, name, text, socketId } = JSON.parse(await bodyOf(request));
  const isText = (value, length) => typeof value === "string" && value.trim() !== "" && value.length <= length;
  if (!CHANNELS.includes(channel) || !isText(name, 40) || !isText(text, 1000)) {
    return sendJson(response, { error: "a message has a channel, a name and a text" }, 400);
  }
  await pusher.trigger(channel, "message", { name, text }, { socket_id: socketId });
  sendJson(response, {});
}

async function bodyOf(request) {
  let body = "";
  for await (const part of request) {
    body += part;
    if (body.length > 10_000) throw new Error("the body is too long");
  }
  return body;
}

async function sendFile(response, file, type) {
  response.writeHead(200, { "Content-Type": type });
  response.end(await readFile(new URL(file, import.meta.url)));
}

function sendJson(response, value, status = 200) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(value));
}

server.listen(PORT, "127.0.0.1", () => console.log(`the chat is at http://127.0.0.1:${server.address().port}/`));
