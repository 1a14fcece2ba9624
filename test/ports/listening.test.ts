/** A port that waits for its one client: the path that it makes, whom it lets in, what it replaces and what not. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { AF_UNIX, type LinuxLibc, LOCK_EX, SOCK_DGRAM, SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { linuxUnix } from "../../src/ports/linux-unix.ts";
import { ListeningPort } from "../../src/ports/listening.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import { unixAddress } from "../../src/ports/unix-path.ts";
import { PortClosed, PortFailed } from "../../src/relay/port.ts";
import { UserError } from "../../src/user-error.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/running.ts";
import { frame, libc } from "../support/sockets.ts";

const path = (t: TestContext): string => join(temporaryFolder(t), "vm.sock");

function portAt(t: TestContext, place: string, library: LinuxLibc = libc, reconnects = false): ListeningPort {
  const port = new ListeningPort(linuxUnix(library), "--vm-socket", place, { reconnects });
  t.after(() => port.close());
  return port;
}

/** A port that listens at a new path. */
function listening(t: TestContext, reconnects = false): ListeningPort {
  const port = portAt(t, path(t), libc, reconnects);
  port.listen();
  return port;
}

async function client(t: TestContext, place: string): Promise<Socket> {
  const socket = createConnection(place);
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

const connected = (port: ListeningPort): Promise<void> =>
  new Promise((resolve) => Object.assign(port, { onConnect: resolve }));

function refuses(port: ListeningPort, words: RegExp): void {
  assert.throws(
    () => port.listen(),
    (error) => error instanceof UserError && error.message.startsWith(port.label) && words.test(error.message),
  );
}

/** A socket that is bound to a path and stays so until it is closed: nobody removes the path. */
function boundTo(t: TestContext, place: string, type: number): () => void {
  const fd = libc.socket(AF_UNIX, type, 0);
  const address = unixAddress("test", place);
  assert.equal(libc.bind(fd, address, address.length), 0);
  let open = true;
  const close = (): void => {
    if (open) libc.close(fd);
    open = false;
  };
  t.after(close);
  return close;
}

test("the path has mode 0600 the moment bind makes it, whatever the umask, which is left as it was", (t) => {
  const before = process.umask();
  t.after(() => process.umask(before));
  for (const umask of [0, 0o022, 0o077]) {
    process.umask(umask);
    const place = path(t);
    let mode: number | undefined;
    const bind: LinuxLibc["bind"] = (...args) => {
      const result = libc.bind(...args);
      mode = lstatSync(place).mode & 0o777;
      return result;
    };
    const port = portAt(t, place, { ...libc, bind });
    port.listen();
    assert.equal(mode, 0o600);
    assert.equal(lstatSync(place).mode & 0o777, 0o600);
    assert.equal(lstatSync(place).uid, process.getuid?.());
    assert.equal(process.umask(), umask);
  }
});

test("until the VM connects nothing is received, and what is sent is counted", (t) => {
  const port = listening(t);
  const slab = allocateSlab(1514);
  t.after(slab.free);
  const { batch } = slab;
  batch.count = 3;
  assert.equal(port.send(batch, 1), 2);
  assert.equal(port.unsendable, 2);
  assert.equal(port.receive(batch), 0);
  assert.equal(batch.count, 0);
  port.check();
});

test("frames go both ways, each behind its length, with the watch that was asked for before", async (t) => {
  const port = listening(t);
  const slabs = [allocateSlab(1514), allocateSlab(1514)] as const;
  t.after(() => {
    for (const { free } of slabs) free();
  });
  const received: Buffer[] = [];
  port.watch({ readable: true, writable: false }, () => {
    const { batch } = slabs[0];
    for (let index = 0, count = port.receive(batch); index < count; index++) {
      const at = batch.offset[index]!;
      received.push(Buffer.from(batch.bytes.subarray(at, at + batch.length[index]!)));
    }
  });
  const vm = await client(t, port.path);
  vm.write(Buffer.concat([Uint8Array.of(0, 0, 0, 60), frame(1, 60)]));
  await until("a frame", () => received.length > 0);
  assert.deepEqual(received, [frame(1, 60)]);
  const { batch } = slabs[1];
  batch.count = 1;
  batch.offset[0] = batch.slotOffset(0);
  batch.length[0] = 70;
  batch.bytes.set(frame(2, 70), batch.offset[0]);
  const arrived = once(vm, "data");
  assert.equal(port.send(batch, 0), 1);
  assert.deepEqual(Buffer.concat(await arrived), Buffer.concat([Uint8Array.of(0, 0, 0, 70), frame(2, 70)]));
  assert.equal(port.unsendable, 0);
  vm.destroy();
  await until("the end", () => {
    try {
      return void port.receive(slabs[0].batch);
    } catch (error) {
      return error instanceof PortClosed;
    }
  });
});

test("with the first client the path goes; a second one finds nothing", async (t) => {
  const port = listening(t);
  const accepted = connected(port);
  await client(t, port.path);
  await accepted;
  assert.ok(!existsSync(port.path));
  await assert.rejects(client(t, port.path), { code: "ENOENT" });
});

test("with reconnects a VM that goes may come again, in the middle of a frame too; a second one waits for its turn", async (t) => {
  const port = listening(t, true);
  const slabs = [allocateSlab(1514), allocateSlab(1514)] as const;
  t.after(() => {
    for (const { free } of slabs) free();
  });
  const received: string[] = [];
  const left: string[] = [];
  port.onLeave = (why) => left.push(why);
  port.watch({ readable: true, writable: false }, () => {
    const { batch } = slabs[0];
    for (let index = 0, count = port.receive(batch); index < count; index++) {
      const at = batch.offset[index]!;
      received.push(Buffer.from(batch.bytes.subarray(at, at + batch.length[index]!)).toString("hex"));
    }
  });
  const framed = (number: number) => Buffer.concat([Uint8Array.of(0, 0, 0, 60), frame(number, 60)]);
  const { batch } = slabs[1];
  const send = () => {
    batch.count = 1;
    batch.offset[0] = batch.slotOffset(0);
    batch.length[0] = 70;
    batch.bytes.set(frame(9, 70), batch.offset[0]);
    return port.send(batch, 0);
  };
  for (const number of [1, 2, 3]) {
    const accepted = connected(port);
    const vm = await client(t, port.path);
    await accepted;
    vm.write(framed(number));
    await until("a frame", () => received.length === number);
    assert.equal(received.at(-1), frame(number, 60).toString("hex"));
    const arrived = once(vm, "data");
    assert.equal(send(), 1);
    assert.deepEqual((await arrived)[0].subarray(4), frame(9, 70));
    if (number === 2) vm.destroy();
    else vm.end(framed(0).subarray(0, 20));
    await until("it is gone", () => left.length === number);
    assert.match(left.at(-1)!, /the other side closed the connection|the other side is gone/);
    // Without a VM what is sent is counted, and nothing is received.
    assert.equal(send(), 1);
    assert.equal(port.unsendable, number);
    assert.equal(port.receive(slabs[0].batch), 0);
    port.check();
    assert.ok(existsSync(port.path));
  }
  const accepted = connected(port);
  const first = await client(t, port.path);
  await accepted;
  const second = await client(t, port.path);
  second.write(framed(5));
  first.write(framed(4));
  await until("the first one's frame", () => received.length === 4);
  assert.equal(received[3], frame(4, 60).toString("hex"));
  first.destroy();
  await until("the second one's frame", () => received.length === 5);
  assert.equal(received[4], frame(5, 60).toString("hex"));
  port.close();
  assert.ok(!existsSync(port.path));
});

test("with reconnects a VM that goes while frames wait for it does not hold them up", async (t) => {
  const port = listening(t, true);
  const slab = allocateSlab(1514);
  t.after(slab.free);
  const { batch } = slab;
  const accepted = connected(port);
  const vm = await client(t, port.path);
  vm.pause();
  await accepted;
  const fill = () => {
    batch.count = batch.capacity;
    for (let index = 0; index < batch.count; index++) {
      batch.offset[index] = batch.slotOffset(index);
      batch.length[index] = 1514;
    }
    return port.send(batch, 0);
  };
  while (fill() === batch.capacity);
  let writable = 0;
  port.watch({ readable: true, writable: true }, (_readable, isWritable) => {
    if (isWritable) writable++;
    port.receive(slab.batch);
  });
  vm.destroy();
  await until("it may be tried again", () => writable > 0);
  await until("they are taken", () => fill() === batch.capacity);
  assert.ok(port.unsendable >= batch.capacity);
});

test("with reconnects a stream that is no frames is an error all the same", async (t) => {
  const port = listening(t, true);
  const slab = allocateSlab(1514);
  t.after(slab.free);
  const accepted = connected(port);
  const vm = await client(t, port.path);
  await accepted;
  vm.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
  await until("the error", () => {
    try {
      return void port.receive(slab.batch);
    } catch (error) {
      return error instanceof PortFailed && /framing error/.test(error.message);
    }
  });
});

test("a second client that connected before the first was taken is reset", async (t) => {
  const port = listening(t);
  const both = [createConnection(port.path), createConnection(port.path)]; // both before the event loop turns
  t.after(() => {
    for (const socket of both) socket.destroy();
  });
  let ended = 0;
  for (const socket of both) {
    socket.on("error", () => {}).on("close", () => ended++);
    socket.resume();
  }
  await connected(port);
  await until("one to be refused", () => ended === 1);
});

test("closing removes the path, and no other that has taken its place", (t) => {
  const port = listening(t);
  port.close();
  assert.ok(!existsSync(port.path));
  port.listen();
  unlinkSync(port.path);
  writeFileSync(port.path, "another's");
  port.close();
  port.close();
  assert.ok(existsSync(port.path));
});

test("a leftover socket that nobody has open is replaced", (t) => {
  const place = path(t);
  boundTo(t, place, SOCK_STREAM)();
  assert.ok(lstatSync(place).isSocket());
  const port = portAt(t, place);
  port.listen();
  port.close();
  assert.ok(!existsSync(place));
});

test("a program that listens there is refused to be replaced, and notices nothing", async (t) => {
  const place = path(t);
  const server = createServer();
  t.after(() => server.close());
  let connections = 0;
  server.on("connection", () => connections++);
  await once(server.listen(place), "listening");
  refuses(portAt(t, place), /exists already and a program has it open/);
  const own = once(server, "connection");
  await client(t, place);
  await own;
  assert.equal(connections, 1);
});

test("another softnet that waits there is refused to be replaced, and goes on waiting", async (t) => {
  const first = listening(t);
  refuses(portAt(t, first.path), /exists already and a program has it open/);
  const accepted = connected(first);
  await client(t, first.path);
  await accepted;
});

test("sockets that are bound and do not listen are refused too", (t) => {
  for (const type of [SOCK_STREAM, SOCK_DGRAM]) {
    const place = path(t);
    boundTo(t, place, type);
    refuses(portAt(t, place), /exists already and a program has it open/);
  }
});

test("what is no socket is refused, and stays", (t) => {
  const folder = temporaryFolder(t);
  const places = ["file", "folder", "dangling", "link"].map((name) => join(folder, name));
  const leftover = path(t);
  boundTo(t, leftover, SOCK_STREAM)();
  writeFileSync(places[0]!, "");
  mkdirSync(places[1]!);
  symlinkSync(join(folder, "nowhere"), places[2]!);
  symlinkSync(leftover, places[3]!);
  for (const place of places) {
    refuses(portAt(t, place), /exists already and is no socket/);
    assert.ok(lstatSync(place));
  }
  assert.ok(existsSync(leftover));
});

test("a leftover of another user's is refused", {
  skip: process.getuid?.() !== 0 && "needs root to give a file away",
}, (t) => {
  const place = path(t);
  boundTo(t, place, SOCK_STREAM)();
  chownSync(place, 65_534, 65_534);
  refuses(portAt(t, place), /exists already and belongs to user 65534/);
});

test("while another program holds a lock on the folder, a leftover is refused, and a free path is not", (t) => {
  const place = path(t);
  boundTo(t, place, SOCK_STREAM)();
  const lock = openSync(join(place, ".."), "r");
  t.after(() => closeSync(lock));
  assert.equal(libc.flock(lock, LOCK_EX), 0);
  refuses(portAt(t, place), /holds a lock on its folder/);
  const free = portAt(t, `${place}.free`);
  free.listen();
});

test("a folder that is missing, no folder, or not ours is told", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "file"), "");
  refuses(portAt(t, join(folder, "none", "vm.sock")), /the folder .*none does not exist; make it/);
  refuses(portAt(t, join(folder, "file", "vm.sock")), /file is not a folder/);
  refuses(portAt(t, "/proc/vm.sock"), /does not exist|no permission to make a socket in \/proc/);
  if (process.getuid?.() === 0) return; // may write everywhere
  chmodSync(folder, 0o500);
  try {
    refuses(portAt(t, join(folder, "vm.sock")), /no permission to make a socket in .*XDG_RUNTIME_DIR/);
  } finally {
    chmodSync(folder, 0o700); // so that it can be removed
  }
});

test("a path has 1 to 107 bytes", (t) => {
  assert.throws(() => portAt(t, ""), /--vm-socket : a socket's path has 1 to 107 bytes; this one has 0/);
  assert.throws(() => portAt(t, `/${"é".repeat(54)}`), /1 to 107 bytes; this one has 109/);
  const folder = temporaryFolder(t);
  const longest = join(folder, "x".repeat(107 - folder.length - 1));
  const port = portAt(t, longest);
  port.listen();
  assert.ok(existsSync(longest));
});

test("programs that softnet starts inherit neither the listening socket nor the connection", async (t) => {
  const sockets = (): number => {
    const { stdout } = spawnSync("ls", ["-l", "/proc/self/fd"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    return stdout.match(/socket:/g)?.length ?? 0;
  };
  const before = sockets();
  const port = listening(t);
  assert.equal(sockets(), before);
  const accepted = connected(port);
  await client(t, port.path);
  await accepted;
  assert.equal(sockets(), before);
});
