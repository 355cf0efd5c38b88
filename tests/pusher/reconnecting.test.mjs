// pusher-js comes back by itself when the server has ended, killed or stopped, and has its channels again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Server, eventually, next, subscribed } from "./server.mjs";

for (const [how, signal] of [["killed", "SIGKILL"], ["stopped", "SIGTERM"]]) {
  test(`the client of a server that was ${how} subscribes again to the next one`, { timeout: 180_000 }, async () => {
    const first = await Server.start();
    let second;
    try {
      const client = first.connect({ id: "ann" });
      const channel = await subscribed(client, "presence-room");
      const earlier = client.connection.socket_id;
      await first.end(signal);
      second = await Server.start(first.port);
      const { connection } = client;
      await eventually("the client is back", () => ![undefined, earlier].includes(connection.socket_id) && channel.subscribed);
      const event = next(channel, "again");
      await second.library.trigger("presence-room", "again", 1);
      assert.equal(await event, 1);
    } finally {
      await first.stop();
      await second?.stop();
    }
  });
}

test("the client of an unknown key does not try for ever", async () => {
  const server = await Server.start();
  try {
    const client = server.connect({ id: "ann" }, "unknown");
    const errors = [];
    client.connection.bind("error", (error) => errors.push(error));
    await eventually("it has given up", () => client.connection.state === "disconnected");
    assert.ok(JSON.stringify(errors).includes("4001"), JSON.stringify(errors));
  } finally {
    await server.stop();
  }
});
