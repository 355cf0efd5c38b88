// Runs the echo server of this folder in node, with the handshake of RFC 6455 §1.3 and a
// masked text, a ping and a Close behind it, and compares all bytes that the server sends.
//
//     node run.mjs PROGRAM.wasm

import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WASI } from "node:wasi";

const REQUEST =
  "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n" +
  "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
  "Sec-WebSocket-Version: 13\r\n\r\n";
const RESPONSE =
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
// "Hello" (§5.7), a ping with "hi" and a Close with 1000, masked.
const FRAMES = "818537fa213d7f9f4d5158" + "8982000000006869" + "88820000000003e8";
const REPLIES = "810548656c6c6f" + "8a026869" + "880203e8";

const bytes = (text, hex) => Buffer.concat([Buffer.from(text), Buffer.from(hex, "hex")]);

async function run(program, input) {
  const folder = mkdtempSync(join(tmpdir(), "yamabiko-wasm-"));
  try {
    const [from, to] = [join(folder, "input"), join(folder, "output")];
    writeFileSync(from, input);
    const [stdin, stdout] = [openSync(from, "r"), openSync(to, "w")];
    const wasi = new WASI({ version: "preview1", returnOnExit: true, stdin, stdout });
    const module = await WebAssembly.compile(readFileSync(program));
    const imports = { wasi_snapshot_preview1: wasi.wasiImport };
    const status = wasi.start(await WebAssembly.instantiate(module, imports));
    [stdin, stdout].forEach(closeSync);
    return { status, output: readFileSync(to) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const { status, output } = await run(process.argv[2], bytes(REQUEST, FRAMES));
assert.equal(status ?? 0, 0, "the program has failed");
assert.equal(output.toString("latin1"), bytes(RESPONSE, REPLIES).toString("latin1"));
console.log("the echo server answers in WebAssembly as it should");
