import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SOCK_DGRAM } from "../../src/native/linux/libc.ts";
import { Poll } from "../../src/native/poll.ts";
import { PATIENCE } from "../support/patience.ts";
import { libc, pair } from "../support/sockets.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

test("a watch outlives garbage collections, also when nothing else refers to it", async () => {
  const { fd, end } = pair(SOCK_DGRAM);
  let wakes = 0;
  const begin = (): WeakRef<Poll> => {
    const poll = new Poll(fd);
    poll.watch(true, false, () => {
      wakes++;
      end.receive();
      reader();
    });
    return new WeakRef(poll);
  };
  const reader = (): void => void libc.recv(fd, memory, 16, 0x40);
  const { allocate } = await import("../../src/native/memory.ts");
  const memory = allocate(64).address;
  const poll = begin();
  for (let round = 0; round < 5; round++) {
    collectGarbage();
    await sleep(5);
  }
  end.send(Buffer.from("frame"));
  await sleep(50);
  assert.equal(wakes, 1);
  poll.deref()?.close();
  end.close();
  libc.close(fd);
});

test("a watch can change, stop and go on, and is silent once closed", async () => {
  const { fd, end } = pair(SOCK_DGRAM);
  const poll = new Poll(fd);
  const seen: string[] = [];
  const note = (name: string) => (readable: boolean, writable: boolean) => {
    seen.push(`${name} ${readable} ${writable}`);
    poll.watch(false, false, () => {});
  };
  end.send(Buffer.from("frame"));
  poll.watch(true, false, note("a"));
  await sleep(20);
  poll.watch(false, true, note("b"));
  await sleep(20);
  poll.watch(true, true, note("c"));
  await sleep(20);
  poll.watch(true, true, note("d"));
  poll.close();
  poll.watch(true, true, note("e"));
  await sleep(20);
  assert.deepEqual(seen, ["a true false", "b false true", "c true true"]);
  end.close();
  libc.close(fd);
});

test("H1 what a watch throws is an exception nobody caught, and no other watch fails with it", () => {
  const script = `
    import { loadLibc } from ${JSON.stringify(new URL("../../src/native/linux/libc.ts", import.meta.url).href)};
    import { Poll } from ${JSON.stringify(new URL("../../src/native/poll.ts", import.meta.url).href)};
    const libc = loadLibc();
    const pipe = () => {
      const ends = new Int32Array(2);
      libc.socketpair(1, 1, 0, ends);
      return ends;
    };
    const [one, other] = [pipe(), pipe()];
    process.on("uncaughtException", (error) => console.log("uncaught", error.message));
    const faulty = new Poll(one[0]);
    faulty.watch(true, false, () => {
      faulty.close();
      throw new Error("of the watch");
    });
    const sound = new Poll(other[0]);
    sound.watch(true, false, () => {
      console.log("the other one wakes");
      sound.close();
    });
    libc.close(one[1]);
    libc.close(other[1]);
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
    encoding: "utf8",
    timeout: PATIENCE,
    killSignal: "SIGKILL",
  });
  assert.equal(stdout, "the other one wakes\nuncaught of the watch\n", stderr);
});
