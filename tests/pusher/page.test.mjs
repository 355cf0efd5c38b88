// The programs on docs/pusher.md, with no change but host and port: a page by pusher-js, one by Laravel Echo, and a web server in Node.

import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { HOST, IS_TLS, Server, next, within } from "./server.mjs";

const PAGE = new URL("../../docs/pusher.md", import.meta.url);

let server;
let programs;
before(async () => {
  server = await Server.start();
  const page = await readFile(PAGE, "utf8");
  programs = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);
});
after(() => server.stop());

/** What the only program that imports all of these, and nothing else, makes: its constant of this name. */
async function made(name, ...imports) {
  const imported = (code) => [...code.matchAll(/^import .* from "(.*)";$/gm)].map(([, from]) => from);
  const found = programs.filter((code) => imported(code).join() === imports.join());
  assert.equal(found.length, 1, `programs that import ${imports}`);
  const code = found[0].replaceAll("ws.example.org", HOST).replaceAll("6001", server.port)
    .replace(/(forceTLS|useTLS): false/, `$1: ${IS_TLS}`);
  // Beside this file, where the packages are.
  const file = new URL(`page-${process.pid}-${imports.join("-")}.mjs`, import.meta.url);
  await writeFile(file, `${code}\nexport { ${name} };\n`);
  try {
    return (await import(file))[name];
  } finally {
    await rm(file);
  }
}

test("the programs of the page for pusher-js, Laravel Echo and Node work together", async () => {
  const client = await made("pusher", "pusher-js");
  const echo = await made("echo", "laravel-echo", "pusher-js");
  server.clients.push(client, { disconnect: () => echo.disconnect() });
  const library = await made("pusher", "pusher");
  const channel = client.subscribe("orders");
  const shipped = echo.channel("orders");
  await Promise.all([
    channel.subscribed || next(channel, "pusher:subscription_succeeded"),
    within(new Promise((resolve) => shipped.subscribed(resolve)), "Echo has subscribed"),
  ]);
  const events = [
    next(channel, "App\\Events\\Shipped"),
    within(new Promise((resolve) => shipped.listen("Shipped", resolve)), "Echo has the event"),
  ];
  const response = await library.trigger("orders", "App\\Events\\Shipped", { id: 7 });
  assert.equal(response.status, 200);
  assert.deepEqual(await Promise.all(events), [{ id: 7 }, { id: 7 }]);
});
