// pusher-js and the library for Node, unmodified, against the program.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Server, WebhookReceiver, eventually, next, nextWithMetadata, subscribed, withReload, within } from "./server.mjs";

let server;
let webhooks;
before(async () => {
  webhooks = await WebhookReceiver.start();
  server = await Server.start(0, webhooks.url);
  webhooks.library = server.library;
});
after(async () => {
  await server.stop();
  webhooks.stop();
});

describe("channels", () => {
  test("an event of the library reaches every subscriber of the channel", async () => {
    const channels = await Promise.all([1, 2, 3].map(() => subscribed(server.connect(), "news")));
    const events = channels.map((channel) => next(channel, "headline"));
    const response = await server.library.trigger("news", "headline", { text: "山 \"echo\"" });
    assert.equal(response.status, 200);
    for (const data of await Promise.all(events)) assert.deepEqual(data, { text: "山 \"echo\"" });
  });

  test("a client behind a path in front of the server's own is served", async () => {
    const client = server.connect({ id: "ann" }, undefined, { wsPath: "/behind/a/proxy" });
    const channel = await subscribed(client, "prefixed");
    const event = next(channel, "e");
    await server.library.trigger("prefixed", "e", 1);
    assert.equal(await event, 1);
  });

  test("a private channel is subscribed to by the application's signature", async () => {
    const channel = await subscribed(server.connect(), "private-room");
    const event = next(channel, "e");
    await server.library.trigger("private-room", "e", "plain text");
    assert.equal(await event, "plain text");
  });

  test("a wrong signature is reported to the channel's listeners", async () => {
    const client = server.connect();
    client.config.channelAuthorizer = (_, done) => done(null, { auth: "app-key:0000" });
    await next(client.connection, "connected");
    const error = await next(client.subscribe("private-room"), "pusher:subscription_error");
    assert.equal(error.type, "AuthError");
    assert.equal(error.status, 401);
    assert.equal(client.connection.state, "connected");
  });

  test("an encrypted channel is decrypted by its clients alone", async () => {
    const channel = await subscribed(server.connect(), "private-encrypted-room");
    const event = next(channel, "secret");
    await server.library.trigger("private-encrypted-room", "secret", { text: "hidden" });
    assert.deepEqual(await event, { text: "hidden" });
  });

  test("a cache channel gives its last event to a new subscriber, or a miss", async () => {
    const first = server.connect().subscribe("cache-room");
    await next(first, "pusher:cache_miss");
    await server.library.trigger("cache-room", "price", 1);
    await server.library.trigger("cache-room", "price", 2);
    const second = server.connect().subscribe("cache-room");
    assert.equal(await next(second, "price"), 2);
  });

  test("the sender's own connection is left out by its socket id", async () => {
    const [sender, other] = [server.connect(), server.connect()];
    const own = await subscribed(sender, "others");
    const events = [];
    own.bind_global((name) => events.push(name));
    const received = next(await subscribed(other, "others"), "first");
    await server.library.trigger("others", "first", {}, { socket_id: sender.connection.socket_id });
    await received;
    const last = next(own, "last");
    await server.library.trigger("others", "last", {});
    await last;
    assert.deepEqual(events.filter((name) => !name.startsWith("pusher")), ["last"]);
  });

  test("subscribers are told how many they are", async () => {
    const [one, two] = [server.connect(), server.connect()];
    const channel = one.subscribe("counted");
    await subscribed(two, "counted");
    await eventually("two subscribers", () => channel.subscriptionCount === 2);
    two.unsubscribe("counted");
    await eventually("one subscriber", () => channel.subscriptionCount === 1);
  });
});

describe("presence", () => {
  test("members see each other come and go, each user once", async () => {
    const ann = await subscribed(server.connect({ id: "ann" }), "presence-room");
    assert.equal(ann.members.count, 1);
    assert.deepEqual(ann.members.me, { id: "ann", info: { name: "ann" } });
    const added = next(ann, "pusher:member_added");
    const bob = server.connect({ id: "bob" });
    const room = await subscribed(bob, "presence-room");
    assert.equal(room.members.count, 2);
    assert.equal((await added).id, "bob");
    const removed = next(ann, "pusher:member_removed");
    bob.disconnect();
    assert.equal((await removed).id, "bob");
    assert.equal(ann.members.count, 1);
  });

  test("an event of a client names the member who sent it", async () => {
    const ann = await subscribed(server.connect({ id: "ann" }), "presence-talk");
    const bob = await subscribed(server.connect({ id: "bob" }), "presence-talk");
    const event = nextWithMetadata(ann, "client-typing");
    bob.trigger("client-typing", { on: true });
    assert.deepEqual(await event, [{ on: true }, { user_id: "bob" }]);
  });

  test("more than ten events of a client in a second are refused with 4301", async () => {
    const client = server.connect();
    const channel = await subscribed(client, "private-flood");
    const error = next(client.connection, "error");
    for (let number = 0; number < 30; number += 1) channel.trigger("client-x", { number });
    assert.equal((await error).data.code, 4301);
    assert.equal(client.connection.state, "connected");
  });
});

describe("users", () => {
  test("a message to a user reaches the connections that have signed in as the user", async () => {
    const client = server.connect({ id: "user 1", user_info: { name: "One" } });
    client.signin();
    await within(client.user.signinDonePromise, "signed in");
    const event = next(client.user, "hello");
    await eventually("the user's channel is there", async () => {
      const response = await server.library.get({ path: "/channels" });
      return "#server-to-user-user 1" in (await response.json()).channels;
    });
    await server.library.sendToUser("user 1", "hello", { a: 1 });
    assert.deepEqual(await event, { a: 1 });
  });

  test("a terminated user is disconnected and does not come back", async () => {
    const client = server.connect({ id: "bad" });
    client.signin();
    await within(client.user.signinDonePromise, "signed in");
    const disconnected = next(client.connection, "disconnected");
    await server.library.terminateUserConnections("bad");
    await disconnected;
  });

  test("a watchlist tells who comes and goes", async () => {
    const watcher = server.connect({ id: "watcher", watchlist: ["watched"] });
    const list = watcher.user.watchlist;
    const online = next(list, "online");
    watcher.signin();
    await within(watcher.user.signinDonePromise, "signed in");
    const watched = server.connect({ id: "watched" });
    watched.signin();
    assert.deepEqual((await online).user_ids, ["watched"]);
    const offline = next(list, "offline");
    watched.disconnect();
    assert.deepEqual((await offline).user_ids, ["watched"]);
  });
});

describe("the library for Node", () => {
  test("publishes a batch and asks about channels", async () => {
    const channel = await subscribed(server.connect({ id: "ann" }), "presence-asked");
    const event = next(channel, "b");
    const info = "user_count";
    const response = await server.library.triggerBatch([
      { channel: "presence-asked", name: "a", data: { n: 1 } },
      { channel: "presence-asked", name: "b", data: { n: 2 }, info },
    ]);
    assert.deepEqual(await response.json(), { batch: [{}, { user_count: 1 }] });
    assert.deepEqual(await event, { n: 2 });
    const params = { info: "user_count", filter_by_prefix: "presence-ask" };
    const channels = await server.library.get({ path: "/channels", params });
    assert.deepEqual(await channels.json(), { channels: { "presence-asked": { user_count: 1 } } });
    const users = await server.library.get({ path: "/channels/presence-asked/users" });
    assert.deepEqual(await users.json(), { users: [{ id: "ann" }] });
  });

  test("rejects what the server refuses, with its status", async () => {
    const tooLong = server.library.trigger("news", "e", "x".repeat(10_241));
    await assert.rejects(tooLong, (error) => error.status === 413);
  });
});

describe("webhooks", () => {
  test("the library for Node accepts what the server sends, and a reload of a page leaves no trace in it", () => withReload(async (channel, reload) => {
    const first = server.connect({ id: "ann" });
    (await subscribed(first, channel)).trigger("client-hello", { text: "hi" });
    await eventually("the events are there", () => webhooks.names(channel).length === 3);
    assert.deepEqual(webhooks.names(channel), ["channel_occupied", "member_added", "client_event"]);
    const event = webhooks.events.find(({ channel: name, event }) => name === channel && event === "client-hello");
    assert.deepEqual([event.data, event.user_id], ['{"text":"hi"}', "ann"]);
    const second = server.connect({ id: "ann" });
    await reload(async () => {
      first.disconnect();
      await subscribed(second, channel);
    });
    second.disconnect();
    await eventually("the ends are there", () => webhooks.names(channel).length === 5);
    assert.deepEqual(webhooks.names(channel).slice(3).sort(), ["channel_vacated", "member_removed"]);
    assert.equal(webhooks.refused, 0);
  }));
});

describe("order", () => {
  test("10,000 events reach 50 clients in order and without a loss", { timeout: 300_000 }, async () => {
    const clients = await Promise.all(Array.from({ length: 50 }, () => subscribed(server.connect(), "ordered")));
    const counts = clients.map((channel) => {
      const state = { expected: 0, wrong: 0 };
      channel.bind("n", (number) => {
        if (number !== state.expected) state.wrong += 1;
        state.expected += 1;
      });
      return state;
    });
    for (let number = 0; number < 10_000; number += 10) {
      const batch = Array.from({ length: 10 }, (_, offset) => ({ channel: "ordered", name: "n", data: number + offset }));
      await server.library.triggerBatch(batch);
    }
    await eventually("all events have come", () => counts.every(({ expected }) => expected === 10_000));
    assert.deepEqual(counts.map(({ wrong }) => wrong), counts.map(() => 0));
  });
});
