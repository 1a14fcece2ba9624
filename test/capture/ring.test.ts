/** Several capture files that are written in turn, and files that are moved away under a running capture. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { CaptureWriter, type CaptureWriterOptions, openCapture } from "../../src/capture/index.ts";
import { temporaryFolder } from "../support/folder.ts";
import { needs, run } from "../support/tools.ts";

const SIZE = 10_000;

function setUp(t: TestContext, more: Partial<CaptureWriterOptions> = {}) {
  const path = join(temporaryFolder(t), "capture.pcapng");
  const stops: CaptureWriter[] = [];
  const writer = new CaptureWriter({
    path,
    application: "softnet",
    maximumSize: SIZE,
    maximumFrame: 1515,
    interfaces: [{ name: "vm", description: "" }],
    onStop: (one) => stops.push(one),
    ...more,
  });
  t.after(() => writer.close());
  let number = 0;
  /** Writes frames whose times are their numbers. */
  const write = (count: number): void => {
    for (let index = 0; index < count; index++) writer.write(0, ++number, new Uint8Array(1000), 0, 1000, undefined);
    writer.flush();
  };
  return { path, writer, stops, write, last: () => number };
}

const times = (path: string): number[] => [...openCapture(path)].map(({ time }) => time);

test("the last frames are always there, in whole files of the given size, and nothing more on the disk", (t) => {
  const { path, writer, stops, write, last } = setUp(t, { files: 3 });
  for (let round = 0; round < 40; round++) {
    write(1 + (round % 5));
    const files = [path, `${path}.1`, `${path}.2`];
    const all = files.flatMap(times).toSorted((one, other) => one - other);
    const kept = Math.min(last(), 18);
    assert.deepEqual(
      all.slice(-kept),
      Array.from({ length: kept }, (_, index) => last() - kept + 1 + index),
    );
    for (const file of files) assert.ok(statSync(file).size <= SIZE);
  }
  assert.ok(!existsSync(`${path}.3`));
  assert.deepEqual(stops, []);
  assert.equal(writer.full, false);
});

test("Wireshark's mergecap puts the files together", needs("mergecap", "tshark"), (t) => {
  const { path, writer, write, last } = setUp(t, { files: 3 });
  write(50);
  writer.close();
  const merged = `${path}.merged`;
  run("mergecap", "-w", merged, path, `${path}.1`, `${path}.2`);
  const seen = run("tshark", "-r", merged, "-T", "fields", "-e", "frame.time_epoch").trim().split("\n").map(Number);
  assert.ok(seen.length >= 18);
  assert.deepEqual(
    seen,
    seen.toSorted((one, other) => one - other),
  );
  assert.equal(Math.round(seen.at(-1)! * 1e6), last());
});

test("a frame that fits into no file is left out, and the others go on", (t) => {
  const { path, writer, write } = setUp(t, { files: 2, maximumFrame: 20_000 });
  assert.equal(writer.write(0, 1, new Uint8Array(15_000), 0, 15_000, undefined), false);
  write(3);
  assert.deepEqual(times(path), [1, 2, 3]);
});

for (const files of [1, 3]) {
  test(`a file that was moved away (${files} in turn) is replaced; what was written stays where it is`, (t) => {
    const { path, writer, write } = setUp(t, { files });
    write(3);
    renameSync(path, `${path}.old`);
    write(1);
    assert.equal(writer.reopen(), undefined);
    write(2);
    assert.deepEqual(times(`${path}.old`), [1, 2, 3, 4]);
    assert.deepEqual(times(path), [5, 6]);
    const before = readFileSync(path);
    assert.equal(writer.reopen(), undefined, "nothing was moved: nothing is emptied");
    assert.deepEqual(readFileSync(path), before);
  });
}

test("a full capture goes on in a new file once the old one was moved away", (t) => {
  const { path, writer, stops, write } = setUp(t);
  write(100);
  assert.equal(stops.length, 1);
  writer.reopen();
  assert.equal(writer.full, true, "still the same file");
  renameSync(path, `${path}.old`);
  writer.reopen();
  write(2);
  assert.deepEqual(times(path), [101, 102]);
});

test("a file that cannot be opened anew is written on where it is now", (t) => {
  const { path, writer, write } = setUp(t);
  write(1);
  renameSync(path, `${path}.old`);
  mkdirSync(path);
  assert.match(writer.reopen()?.message ?? "", /is a directory/);
  write(1);
  assert.deepEqual(times(`${path}.old`), [1, 2]);
  rmdirSync(path);
  assert.equal(writer.reopen(), undefined);
  write(1);
  assert.deepEqual(times(path), [3]);
});
