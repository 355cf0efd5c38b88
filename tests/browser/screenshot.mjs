// Makes a screenshot of a conversation: node screenshot.mjs FILE [light|dark] [WIDTHxHEIGHT] [gate]

import { Server, enter, launch, messageWith, send } from "./yamabiko.mjs";

const [file, colorScheme = "light", size = "1200x800", what = "room"] = process.argv.slice(2);
const [width, height] = size.split("x").map(Number);
const ROOM = "ridge-walkers";

const CONVERSATION = [
  ["Aiko", "Morning from the north hut. The fog lifted at five, and the whole ridge is out."],
  ["Bo", "Lucky you! Down here it is still porridge."],
  ["Chie", "Which way round are you going?"],
  ["Aiko", "Over the saddle, then the long arête."],
  ["Aiko", "Should be at the echo rock by ten, if the snow holds."],
  ["Diego", "Then shout when you stand there. I will be across the valley with the good ears on."],
  ["Chie", "He means the dog."],
  ["Bo", "I will call first from the valley. You answer."],
  ["Aiko", "One call, and every mountain answers. Deal."],
];

const server = await Server.start();
const browser = await launch();
try {
  const tab = async (options = {}) => (await browser.newContext(options)).newPage();
  const shown = await tab({ viewport: { width, height }, colorScheme });
  if (what === "gate") {
    await shown.goto(`${server.url}#${ROOM}`);
  } else {
    await converse(shown, tab);
  }
  await shown.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))));
  await shown.screenshot({ path: file });
} finally {
  await browser.close();
  await server.stop();
}

async function converse(shown, tab) {
  const pages = { Aiko: shown };
  await enter(shown, server.url, "Aiko", ROOM);
  for (const name of ["Bo", "Chie", "Diego"]) {
    pages[name] = await tab();
    await enter(pages[name], server.url, name, ROOM);
  }
  for (const [name, text] of CONVERSATION) {
    await send(pages[name], text);
    await messageWith(shown, text).waitFor();
  }
}
