/** The listening socket of controllers: who is accepted, and what happens when nobody can be. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, lstatSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { AF_UNIX, type LinuxLibc, SOCK_STREAM } from "../../src/native/linux/libc.ts";
import type { ByteStream } from "../../src/ports/byte-stream.ts";
import { StreamListener } from "../../src/ports/stream-listener.ts";
import { unixAddress } from "../../src/ports/unix-path.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/running.ts";
import { libc } from "../support/sockets.ts";

function listening(t: TestContext, path = join(temporaryFolder(t), "ctl"), more: Partial<LinuxLibc> = {}) {
  const streams: ByteStream[] = [];
  const listener = new StreamListener({ ...libc, ...more }, "--control-socket", path, (stream) => streams.push(stream));
  t.after(() => {
    listener.close();
    for (const stream of streams) stream.close();
  });
  return { listener, streams, path };
}

async function connect(t: TestContext, path: string) {
  const socket = createConnection(path);
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

test("clients are accepted one after the other and are byte streams both ways; the path goes with the listener", async (t) => {
  const { listener, streams, path } = listening(t);
  assert.equal(lstatSync(path).mode & 0o777, 0o600);
  const clients = [await connect(t, path), await connect(t, path), await connect(t, path)];
  await until("three streams", () => streams.length === 3);
  for (const [index, stream] of streams.entries()) {
    assert.equal(stream.receive()?.length, 0);
    assert.equal(stream.send(Uint8Array.of(index)), 1);
    const [byte] = await once(clients[index]!, "data");
    assert.deepEqual(byte, Buffer.from([index]));
  }
  clients[0]!.end("bye");
  const received = await until("its bytes", () => {
    const bytes = streams[0]!.receive();
    return bytes !== undefined && bytes.length > 0 && Buffer.from(bytes).toString();
  });
  assert.equal(received, "bye");
  await until("its end", () => streams[0]!.receive() === undefined);
  listener.close();
  listener.close();
  assert.ok(!existsSync(path));
  assert.equal(streams[1]!.send(Uint8Array.of(1)), 1); // who is connected stays
});

test("a leftover is replaced; a path that is in use is refused in one line", (t) => {
  const path = join(temporaryFolder(t), "ctl");
  const fd = libc.socket(AF_UNIX, SOCK_STREAM, 0);
  const address = unixAddress("test", path);
  assert.equal(libc.bind(fd, address, address.length), 0);
  assert.throws(() => listening(t, path), /^UserError: --control-socket .*: exists already and a program has it open/);
  libc.close(fd);
  listening(t, path);
});

test("while no descriptor is to be had it rests, and goes on at a tick", async (t) => {
  let out = true;
  let tried = 0;
  const { listener, streams, path } = listening(t, undefined, {
    accept4: (...args) => {
      tried++;
      return out ? libc.accept4(-1, args[1], args[2], args[3]) : libc.accept4(...args);
    },
  });
  await connect(t, path);
  await until("it was tried", () => tried > 0);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(tried, 1, "it must not spin");
  listener.check();
  await until("it was tried again", () => tried === 2);
  out = false;
  listener.check();
  await until("a stream", () => streams.length === 1);
});
