// Laravel Echo, unmodified, against the program: with its broadcasters "pusher" and "reverb".

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Echo from "laravel-echo";
import Client from "pusher-js";
import { APP, Server, within } from "./server.mjs";

let server;
before(async () => { server = await Server.start(); });
after(() => server.stop());

function echo(id, broadcaster = "pusher") {
  const echo = new Echo({
    broadcaster, Pusher: Client, key: APP.key, cluster: "any", wsHost: "127.0.0.1", wsPort: server.port,
    forceTLS: false, enabledTransports: ["ws"], disableStats: true,
    authorizer: ({ name }) => ({
      authorize(socketId, done) {
        const member = name.startsWith("presence-") ? { user_id: id, user_info: { id, name: `Name of ${id}` } } : undefined;
        done(null, server.library.authorizeChannel(socketId, name, member));
      },
    }),
  });
  server.clients.push({ disconnect: () => echo.disconnect() });
  return echo;
}

/** The first call of the function that `register` gets. */
function called(register) {
  return within(new Promise(register), register.toString());
}

/** Subscribed: Echo has a callback for that. */
async function ready(channel) {
  await called((resolve) => channel.subscribed(resolve));
  return channel;
}

for (const broadcaster of ["pusher", "reverb"]) {
  test(`${broadcaster}: channel and private channel get events of the application`, async () => {
    const ann = echo("ann", broadcaster);
    const channel = await ready(ann.channel("orders"));
    const shipped = called((resolve) => channel.listen("OrderShipped", resolve));
    await server.library.trigger("orders", "App\\Events\\OrderShipped", { id: 7 });
    assert.deepEqual(await shipped, { id: 7 });
    const own = await ready(ann.private("orders.7"));
    const paid = called((resolve) => own.listen(".paid", resolve));
    await server.library.trigger("private-orders.7", "paid", { total: 3 });
    assert.deepEqual(await paid, { total: 3 });
  });

  test(`${broadcaster}: join has here, joining, leaving, and a whisper that somebody types`, async () => {
    const room = `room.${broadcaster}`;
    const ann = echo("ann", broadcaster);
    const presence = ann.join(room);
    const here = await called((resolve) => presence.here(resolve));
    assert.deepEqual(here, [{ id: "ann", name: "Name of ann" }]);
    const joining = called((resolve) => presence.joining(resolve));
    const bob = echo("bob", broadcaster);
    const other = bob.join(room);
    assert.equal((await called((resolve) => other.here(resolve))).length, 2);
    assert.deepEqual(await joining, { id: "bob", name: "Name of bob" });
    const typing = called((resolve) => presence.listenForWhisper("typing", resolve));
    other.whisper("typing", { name: "bob" });
    assert.deepEqual(await typing, { name: "bob" });
    const leaving = called((resolve) => presence.leaving(resolve));
    bob.leave(room);
    assert.equal((await leaving).id, "bob");
  });
}

test("an authorisation that the server refuses comes to error()", async () => {
  const refused = new Echo({
    broadcaster: "pusher", Pusher: Client, key: APP.key, cluster: "any", wsHost: "127.0.0.1", wsPort: server.port,
    forceTLS: false, enabledTransports: ["ws"], disableStats: true,
    authorizer: () => ({ authorize: (_, done) => done(null, { auth: "app-key:wrong" }) }),
  });
  server.clients.push({ disconnect: () => refused.disconnect() });
  const error = await called((resolve) => refused.private("x").error(resolve));
  assert.equal(error.status, 401);
});
