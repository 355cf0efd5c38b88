// Starts and ends the program, and makes clients and libraries for its apps.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import Library from "pusher";
import Client from "pusher-js";

const WAIT_MAX_MS = 60_000;
/** The certificate and the key of a server that speaks TLS alone; run.sh sets it for the tests over wss. */
const CERTIFICATE = process.env.TLS_CERTIFICATE;
export const IS_TLS = Boolean(CERTIFICATE);
export const HOST = IS_TLS ? "localhost" : "127.0.0.1";

/** The app that may do everything. */
export const APP = { id: "1", key: "app-key", secret: "app-secret" };
/** 32 bytes, from which the keys of encrypted channels are made. */
const MASTER_KEY = Buffer.alloc(32, 7).toString("base64");

const APPS = `
[[apps]]
id = "1"
key = "app-key"
secret = "app-secret"
subscription-counts = true
`;

/** A running `yamabiko serve` with the app. */
export class Server {
  /**
   * @param {number} port 0 selects a free one
   * @param {string} webhook a URL that is told what happens
   */
  static async start(port = 0, webhook = "") {
    const binary = process.env.YAMABIKO_BINARY;
    if (!binary) throw new Error("YAMABIKO_BINARY must name the binary; run.sh sets it");
    const server = new Server();
    server.folder = await mkdtemp(join(tmpdir(), "yamabiko-pusher-"));
    const apps = join(server.folder, "apps.toml");
    await writeFile(apps, APPS + (webhook ? `[[apps.webhooks]]\nurl = "${webhook}"\n` : ""));
    const settings = ["--listen", `127.0.0.1:${port}`, "--apps-file", apps];
    if (CERTIFICATE) settings.push("--tls-cert", CERTIFICATE);
    server.process = spawn(binary, ["serve", ...settings], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await within(once(createInterface({ input: server.process.stdout }), "line"), "the server is ready");
    server.port = Number(new URL(line.match(/https?:\S+/)[0]).port);
    server.clients = [];
    server.library = new Library({
      appId: APP.id, key: APP.key, secret: APP.secret, host: HOST, port: String(server.port), useTLS: IS_TLS,
      encryptionMasterKeyBase64: MASTER_KEY,
    });
    return server;
  }

  /** The settings of a page for this server. */
  get settings() {
    return {
      cluster: "any", wsHost: HOST, wsPort: this.port, wssPort: this.port, forceTLS: IS_TLS,
      enabledTransports: ["ws", "wss"], disableStats: true,
    };
  }

  /** A client, as a page makes it. `user`: who it is on presence channels and when it signs in. */
  connect(user = { id: "ann" }, key = APP.key, settings = {}) {
    const { library } = this;
    const client = new Client(key, {
      ...this.settings,
      ...settings,
      channelAuthorization: {
        customHandler({ socketId, channelName }, done) {
          const member = { user_id: user.id, user_info: { name: user.id } };
          const isPresence = channelName.startsWith("presence-");
          done(null, library.authorizeChannel(socketId, channelName, isPresence ? member : undefined));
        },
      },
      userAuthentication: {
        customHandler({ socketId }, done) {
          done(null, library.authenticateUser(socketId, user));
        },
      },
    });
    this.clients.push(client);
    return client;
  }

  /** Ends the program by this signal; its clients go on. */
  async end(signal = "SIGTERM") {
    const ended = once(this.process, "exit");
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill(signal);
    await within(ended, "the server ends");
  }

  async stop() {
    this.clients.forEach((client) => client.disconnect());
    await this.end("SIGKILL");
    await rm(this.folder, { recursive: true });
  }
}

/** A web server that keeps the events of webhooks whose signatures the library for Node accepts. */
export class WebhookReceiver {
  static async start() {
    const receiver = new WebhookReceiver();
    receiver.events = [];
    receiver.refused = 0;
    receiver.listener = createServer(async (request, response) => {
      let rawBody = "";
      for await (const part of request) rawBody += part;
      const webhook = receiver.library?.webhook({ headers: request.headers, rawBody });
      if (webhook?.isValid()) receiver.events.push(...webhook.getEvents());
      else receiver.refused += 1;
      response.end("ok");
    });
    receiver.listener.listen(0, "127.0.0.1");
    await once(receiver.listener, "listening");
    receiver.url = `http://127.0.0.1:${receiver.listener.address().port}/webhooks`;
    return receiver;
  }

  /** The names of the events of a channel, in their order. */
  names(channel) {
    return this.events.filter((event) => event.channel === channel).map(({ name }) => name);
  }

  stop() {
    this.listener.close();
    this.listener.closeAllConnections();
  }
}

/** The data of the first event of this name. */
export async function next(emitter, name) {
  return (await nextWithMetadata(emitter, name))[0];
}

/** The data and the metadata of the first event of this name. */
export function nextWithMetadata(emitter, name) {
  const event = new Promise((resolve) => {
    const handler = (...values) => {
      emitter.unbind(name, handler);
      resolve(values);
    };
    emitter.bind(name, handler);
  });
  return within(event, name);
}

/** The server tells the end of a membership after three seconds, unless the member is back. A reload takes less, by some margin. */
const RELOAD_MAX_MS = 2_500;
const RELOADS_MAX = 10;
class SlowReload extends Error {}

/**
 * Runs a scenario with a reload of a page. It gets the name of a presence channel, and a function for the steps of the reload. If these
 * took too long, because this machine is busy, it begins again with another name.
 */
export async function withReload(scenario) {
  const reload = async (steps) => {
    const begun = performance.now();
    await steps();
    const taken = performance.now() - begun;
    if (taken > RELOAD_MAX_MS) throw new SlowReload(`the reload took ${taken} ms, also at attempt ${RELOADS_MAX}`);
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await scenario(`presence-reloaded-${attempt}`, reload);
    } catch (error) {
      if (!(error instanceof SlowReload) || attempt === RELOADS_MAX) throw error;
    }
  }
}

/** A channel, when its subscription has succeeded. */
export async function subscribed(client, name) {
  const channel = client.subscribe(name);
  if (!channel.subscribed) await next(channel, "pusher:subscription_succeeded");
  return channel;
}

/** Fails if the promise takes longer than any test. */
export async function within(promise, what, milliseconds = WAIT_MAX_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited too long: ${what}`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits until the condition holds. */
export async function eventually(what, condition) {
  const end = Date.now() + WAIT_MAX_MS;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited too long: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
