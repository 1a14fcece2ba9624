/** `--vm-socket` on macOS, against the stand-in for Darwin's libc: the same port, on Darwin's calls and addresses. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, lstatSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type DarwinLibc, loadDarwinLibc } from "../../src/native/darwin/libc.ts";
import { darwinUnix } from "../../src/ports/darwin-unix.ts";
import { ListeningPort } from "../../src/ports/listening.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import { PortClosed } from "../../src/relay/port.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/running.ts";
import { frame } from "../support/sockets.ts";
import { needsTwin, put, twin } from "../support/twin.ts";

let loaded: DarwinLibc | undefined;

function listening(t: TestContext, reconnects: boolean): ListeningPort {
  loaded ??= loadDarwinLibc(twin().libraries.system);
  const path = join(temporaryFolder(t), "vm.sock");
  const port = new ListeningPort(darwinUnix(loaded), "--vm-socket", path, { reconnects });
  t.after(() => port.close());
  port.listen();
  return port;
}

async function connect(t: TestContext, port: ListeningPort): Promise<Socket> {
  const connected = new Promise<void>((resolve) => Object.assign(port, { onConnect: resolve }));
  const socket = createConnection(port.path);
  t.after(() => socket.destroy());
  await once(socket, "connect");
  await connected;
  return socket;
}

const framed = (number: number, size: number) =>
  Buffer.concat([Uint8Array.of(0, 0, size >> 8, size & 255), frame(number, size)]);

function slabOf(t: TestContext) {
  const { batch, free } = allocateSlab(1514);
  t.after(free);
  return batch;
}

test(
  "frames of a stream in both directions; a receiver that is slow gets every byte in order",
  needsTwin(),
  async (t) => {
    const port = listening(t, false);
    assert.equal(lstatSync(port.path).mode & 0o777, 0o600);
    const [incoming, outgoing] = [slabOf(t), slabOf(t)];
    const vm = await connect(t, port);
    assert.ok(!existsSync(port.path));
    vm.write(Buffer.concat([framed(1, 60), framed(2, 1514)]));
    const lengths: number[] = [];
    await until("the frames", () => {
      const count = port.receive(incoming);
      for (let index = 0; index < count; index++) lengths.push(incoming.length[index]!);
      return lengths.length === 2;
    });
    assert.deepEqual(lengths, [60, 1514]);

    // More than the socket takes: the rest waits until the VM reads.
    const all = Array.from({ length: 4096 }, (_, index) => frame(index, 1000));
    let text = Buffer.alloc(0);
    vm.pause();
    let sent = 0;
    let full = 0;
    let room = true;
    port.watch({ readable: true, writable: true }, (_readable, writable) => {
      if (writable) room = true;
    });
    vm.on("data", (piece: Buffer) => {
      text = Buffer.concat([text, piece]);
    });
    vm.pause();
    while (sent < all.length) {
      await until("room", () => room);
      const some = all.slice(sent, sent + outgoing.capacity);
      put(outgoing, some);
      const taken = port.send(outgoing, 0);
      sent += taken;
      if (taken === some.length) continue;
      full++;
      room = false;
      vm.resume();
    }
    vm.resume();
    await until("every byte", () => text.length === all.length * 1004);
    assert.ok(full > 0, "the socket was never full");
    assert.ok(text.equals(Buffer.concat(all.map((_, index) => framed(index, 1000)))));

    vm.destroy();
    await until("the end", () => {
      try {
        return void port.receive(incoming);
      } catch (error) {
        return error instanceof PortClosed;
      }
    });
  },
);

test("with reconnects a VM that goes may come again", needsTwin(), async (t) => {
  const port = listening(t, true);
  const batch = slabOf(t);
  const left: string[] = [];
  port.onLeave = (why) => left.push(why);
  let received = 0;
  port.watch({ readable: true, writable: false }, () => {
    received += port.receive(batch);
  });
  for (const round of [1, 2, 3]) {
    const vm = await connect(t, port);
    vm.write(framed(round, 60));
    await until("a frame", () => received === round);
    vm.destroy();
    await until("it is gone", () => left.length === round);
    assert.ok(existsSync(port.path));
  }
  port.close();
  assert.ok(!existsSync(port.path));
});
