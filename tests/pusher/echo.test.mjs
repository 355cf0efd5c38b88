// Laravel Echo, unmodified, against the program: with its broadcasters "pusher" and "reverb".

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Echo from "laravel-echo";
import Client from "pusher-js";
import { APP, Server, eventually, within } from "./server.mjs";

let server;
before(async () => { server = await Server.start(); });
after(() => server.stop());

function echo(id, broadcaster = "pusher", settings = {}) {
  const echo = new Echo({
    ...server.settings, ...settings, broadcaster, Pusher: Client, key: APP.key,
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

  test(`${broadcaster}: an event to others does not come to the page that caused it`, async () => {
    const [ann, bob] = [echo("ann", broadcaster), echo("bob", broadcaster)];
    const channel = `others.${broadcaster}`;
    const own = await ready(ann.channel(channel));
    const events = [];
    own.listen(".first", () => events.push("first"));
    const last = called((resolve) => own.listen(".last", resolve));
    const received = called((resolve) => ready(bob.channel(channel)).then((other) => other.listen(".first", resolve)));
    await eventually("bob is there", async () => {
      const response = await server.library.get({ path: `/channels/${channel}`, params: { info: "subscription_count" } });
      return (await response.json()).subscription_count === 2;
    });
    // What Laravel does with the header X-Socket-Id.
    await server.library.trigger(channel, "first", {}, { socket_id: ann.socketId() });
    await received;
    await server.library.trigger(channel, "last", {});
    await last;
    assert.deepEqual(events, []);
  });

  test(`${broadcaster}: an encrypted channel and a path in front of the server's own work`, async () => {
    const ann = echo("ann", broadcaster, { wsPath: "/behind/a/proxy" });
    const channel = await ready(ann.encryptedPrivate(`secrets.${broadcaster}`));
    const event = called((resolve) => channel.listen(".e", resolve));
    await server.library.trigger(`private-encrypted-secrets.${broadcaster}`, "e", { hidden: true });
    assert.deepEqual(await event, { hidden: true });
  });
}

test("leave() ends the subscriptions of all kinds of a name", async () => {
  const ann = echo("ann");
  await Promise.all([ready(ann.channel("all")), ready(ann.private("all")), ready(ann.join("all"))]);
  const channels = async () => {
    const response = await server.library.get({ path: "/channels" });
    return Object.keys((await response.json()).channels).filter((name) => name.endsWith("all")).sort();
  };
  assert.deepEqual(await channels(), ["all", "presence-all", "private-all"]);
  ann.leave("all");
  await eventually("all are left", async () => (await channels()).length === 0);
});

test("a member who comes back with a new page while the old one ends is there once", async () => {
  const [ann, first] = [echo("ann"), echo("bob")];
  const room = ann.join("reloaded");
  const members = new Set();
  room.here((here) => here.forEach(({ id }) => members.add(id)));
  room.joining(({ id }) => members.add(id)).leaving(({ id }) => members.delete(id));
  await called((resolve) => first.join("reloaded").here(resolve));
  await eventually("both are there", () => members.size === 2);
  first.disconnect();
  const second = echo("bob");
  const here = await called((resolve) => second.join("reloaded").here(resolve));
  assert.deepEqual(here.map(({ id }) => id).sort(), ["ann", "bob"]);
  await eventually("both are there again", () => members.size === 2);
  const response = await server.library.get({ path: "/channels/presence-reloaded/users" });
  assert.deepEqual((await response.json()).users, [{ id: "ann" }, { id: "bob" }]);
});

test("an authorisation that the server refuses comes to error()", async () => {
  const refused = new Echo({
    ...server.settings, broadcaster: "pusher", Pusher: Client, key: APP.key,
    authorizer: () => ({ authorize: (_, done) => done(null, { auth: "app-key:wrong" }) }),
  });
  server.clients.push({ disconnect: () => refused.disconnect() });
  const error = await called((resolve) => refused.private("x").error(resolve));
  assert.equal(error.status, 401);
});
