// Chromium as a peer of an echo server:
//
//     chromium.mjs URL
//
// The page is the server's own response to an HTTP request for the same path, a refusal, so that the page has the server's origin.

import { launch } from "../browser/yamabiko.mjs";

const url = process.argv[2];
const browser = await launch();
try {
  const page = await browser.newPage();
  await page.goto(url.replace("ws:", "http:"));
  const result = await page.evaluate(echo, url);
  if (result !== "1000 clean") throw new Error(result);
} finally {
  await browser.close();
}

/** Runs in the page. */
function echo(url) {
  const sent = ["", "やまびこ", "x".repeat(1_000_000), new Uint8Array(1_000_000).fill(7)];
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  let received = 0;
  const isSame = (data, expected) => {
    if (typeof data === "string") return data === expected;
    const bytes = new Uint8Array(data);
    return bytes.length === expected.length && bytes.every((byte) => byte === 7);
  };
  return new Promise((resolve) => {
    socket.onopen = () => sent.forEach((message) => socket.send(message));
    socket.onmessage = ({ data }) => {
      if (!isSame(data, sent[received++])) resolve(`message ${received} came back changed`);
      if (received === sent.length) socket.close(1000);
    };
    socket.onclose = ({ code, wasClean }) => resolve(`${code} ${wasClean ? "clean" : "not clean"}`);
  });
}
