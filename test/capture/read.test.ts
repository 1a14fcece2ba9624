/** Opening files: format detection, unreadable files, closing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync, writeFileSync } from "node:fs";
import { join as path } from "node:path";
import { test } from "node:test";
import { captureOf, openCapture } from "../../src/capture/index.ts";
import { temporaryFolder } from "../support/folder.ts";
import { arpFrame, description, enhanced, hex, join, pcap, section } from "./build.ts";

const file = pcap(
  true,
  false,
  [1, 2, 3].map((seconds) => ({ seconds, fraction: 0, bytes: arpFrame() })),
);

test("opens a file by its first bytes, whatever its name", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(path(folder, "a.pcapng"), file);
  writeFileSync(path(folder, "b.pcap"), join(section(false), description(false, 1, 0)));
  assert.equal(openCapture(path(folder, "a.pcapng")).format, "pcap");
  assert.equal(openCapture(path(folder, "b.pcap")).format, "pcapng");
});

test("reads files larger than its window, and frames across the window's end", (t) => {
  const name = path(temporaryFolder(t), "large.pcap");
  const records = Array.from({ length: 2000 }, (_, index) => ({
    seconds: index,
    fraction: 0,
    bytes: new Uint8Array(1000 + (index % 515)).fill(index),
  }));
  writeFileSync(name, pcap(false, false, records));
  let count = 0;
  for (const frame of openCapture(name)) {
    assert.equal(frame.number, ++count);
    assert.equal(frame.bytes.length, 1000 + ((count - 1) % 515));
    assert.ok(frame.bytes.every((byte) => byte === ((count - 1) & 255)));
  }
  assert.equal(count, 2000);
});

test("a file that cannot be read: one line that names it and says what to do", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(path(folder, "empty"), "");
  writeFileSync(path(folder, "text"), "hello, world\n");
  writeFileSync(path(folder, "short"), "hi");
  writeFileSync(path(folder, "packed"), hex("1f8b080000000000"));
  writeFileSync(path(folder, "zstd"), hex("28b52ffd00000000"));
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["absent", "CAPTURE_UNREADABLE", /: there is no such file; check the path$/],
    ["text/file", "CAPTURE_UNREADABLE", /: a part of the path is not a directory; /],
    [".", "CAPTURE_UNREADABLE", /: is a directory; name a capture file$/],
    ["empty", "CAPTURE_FORMAT", /: the file is empty; /],
    ["text", "CAPTURE_FORMAT", /: is neither pcap nor pcapng; /],
    ["short", "CAPTURE_FORMAT", /: is neither pcap nor pcapng; /],
    ["packed", "CAPTURE_FORMAT", /: is compressed with gzip; .*gunzip/],
    ["zstd", "CAPTURE_FORMAT", /: is compressed with zstd; .*unzstd/],
  ];
  for (const [name, code, message] of cases) {
    const whole = path(folder, name);
    assert.throws(() => openCapture(whole), { name: "CaptureError", code, message, path: whole });
  }
});

test("a file without read permission", (t) => {
  const name = path(temporaryFolder(t), "secret");
  writeFileSync(name, file);
  chmodSync(name, 0);
  // Root may read everything, so a test that runs as root becomes somebody else for a moment (65534: nobody).
  const root = process.getuid?.() === 0;
  if (root) process.seteuid?.(65534);
  try {
    assert.throws(() => openCapture(name), { code: "CAPTURE_UNREADABLE", message: /permission denied/ });
  } finally {
    if (root) process.seteuid?.(0);
  }
});

test("a file name with control characters cannot break the line", () => {
  assert.throws(() => openCapture("a\n\u001b[31mb"), { message: "a??[31mb: there is no such file; check the path" });
});

test("descriptors are closed: at the end, on an error, when a loop is left, on close", (t) => {
  const folder = temporaryFolder(t);
  const name = path(folder, "capture");
  writeFileSync(name, file);
  writeFileSync(path(folder, "cut"), file.subarray(0, file.length - 1));
  writeFileSync(path(folder, "wifi"), pcap(true, false, [], 105));
  const open = () => readdirSync("/dev/fd").length;
  const before = open();
  assert.equal([...openCapture(name)].length, 3);
  assert.throws(() => [...openCapture(path(folder, "cut"))], { code: "CAPTURE_TRUNCATED" });
  assert.throws(() => openCapture(path(folder, "wifi")), { code: "CAPTURE_LINK_TYPE" });
  for (const frame of openCapture(name)) if (frame.number === 1) break;
  const reader = openCapture(name);
  reader.close();
  reader.close();
  assert.equal(reader.next(), undefined);
  assert.equal(open(), before);
});

test("reads from a pipe", (t) => {
  const name = path(temporaryFolder(t), "capture");
  writeFileSync(name, file);
  const module = new URL("../../src/capture/index.ts", import.meta.url).href;
  const program = `import { openCapture } from ${JSON.stringify(module)};
    console.log([...openCapture("/dev/stdin")].length);`;
  const script = 'cat "$2" | "$0" --input-type=module -e "$1"';
  const { stdout } = spawnSync("/bin/sh", ["-c", script, process.execPath, program, name], { encoding: "utf8" });
  assert.equal(stdout, "3\n");
});

test("the names of interfaces are there before the first frame", () => {
  const capture = captureOf(join(section(true), description(true, 1, 0), enhanced(true, { bytes: arpFrame() })));
  assert.deepEqual(capture.interfaceNames, [""]);
});
