/** The control channel's sockets on macOS, against the stand-in for Darwin's libc: streams, listeners, paths, descriptors. */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import koffi from "koffi";
import { type DarwinLibc, loadDarwinLibc, SO_NOSIGPIPE, SOL_SOCKET } from "../../src/native/darwin/libc.ts";
import { SOCK_DGRAM, SOCK_STREAM } from "../../src/native/linux/libc.ts";
import type { ByteStream } from "../../src/ports/byte-stream.ts";
import { checkControlDescriptor, takeControlDescriptor } from "../../src/ports/control-descriptor.ts";
import { DARWIN_LAYOUT, darwinUnix } from "../../src/ports/darwin-unix.ts";
import { SocketListener } from "../../src/ports/socket-listener.ts";
import { SocketStream } from "../../src/ports/socket-stream.ts";
import { unixAddress } from "../../src/ports/unix-path.ts";
import type { UnixSystem } from "../../src/ports/unix-system.ts";
import { UserError } from "../../src/user-error.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/running.ts";
import { type End, pair } from "../support/sockets.ts";
import { needsTwin, twin } from "../support/twin.ts";

const shutdown = koffi.load(null).func("int shutdown(int fd, int how)");
const SHUT_WR = 1;
const F_GETFD = 1;
const FD_CLOEXEC = 1;
const F_GETFL = 3;
const O_NONBLOCK = 4;

let loaded: DarwinLibc | undefined;
function darwin(): DarwinLibc {
  loaded ??= loadDarwinLibc(twin().libraries.system);
  return loaded;
}

function connected(t: TestContext): { stream: SocketStream; end: End; fd: number } {
  const { fd, end } = pair(SOCK_STREAM);
  const stream = new SocketStream(darwinUnix(darwin()), fd);
  t.after(() => {
    stream.close();
    end.close();
  });
  return { stream, end, fd };
}

function listening(t: TestContext, path: string, more: Partial<DarwinLibc> = {}) {
  const streams: ByteStream[] = [];
  const system = darwinUnix({ ...darwin(), ...more });
  const listener = new SocketListener(system, "--control-socket", path, (stream) => streams.push(stream));
  t.after(() => {
    listener.close();
    for (const stream of streams) stream.close();
  });
  return { listener, streams };
}

async function client(t: TestContext, path: string) {
  const socket = createConnection(path);
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** A socket of Darwin's that is bound to a path; the path stays when it is closed. */
function bound(path: string): number {
  const libc = darwin();
  const fd = libc.socket(1, 1, 0);
  const address = unixAddress("test", path, DARWIN_LAYOUT);
  assert.equal(libc.bind(fd, address, address.length), 0);
  return fd;
}

const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString();
const closesOnExec = (fd: number): boolean => darwin().fcntl(fd, F_GETFD, "int", 0) === FD_CLOEXEC;

test("bytes go both ways, and none is no end", needsTwin(), (t) => {
  const { stream, end } = connected(t);
  assert.equal(text(stream.receive()), "");
  end.send(Buffer.from("from there"));
  assert.equal(text(stream.receive()), "from there");
  assert.equal(stream.send(Buffer.from("from here")), 9);
  assert.equal(text(end.receive()), "from here");
  assert.equal(stream.check(), false);
});

test("a side that does not read takes what it has room for, and the rest later", needsTwin(), async (t) => {
  const { stream, end } = connected(t);
  const all = Buffer.alloc(4 << 20, "0123456789abcdef");
  let sent = stream.send(all);
  assert.ok(sent > 0 && sent < all.length, `${sent} bytes were taken`);
  assert.equal(stream.send(all.subarray(sent)), 0);
  const arrived: Buffer[] = [];
  stream.watch(false, true, () => {
    sent += stream.send(all.subarray(sent));
    if (sent === all.length) stream.watch(false, false, () => {});
  });
  await until("all of it", () => {
    for (let piece = end.receive(); piece !== undefined; piece = end.receive()) arrived.push(piece);
    return arrived.reduce((sum, { length }) => sum + length, 0) === all.length;
  });
  assert.ok(Buffer.concat(arrived).equals(all));
});

test("a half-close ends what is received and nothing else; the close behind it is seen at a tick", needsTwin(), (t) => {
  const { stream, end } = connected(t);
  end.send(Buffer.from("last"));
  shutdown(end.fd, SHUT_WR);
  assert.equal(text(stream.receive()), "last");
  assert.equal(stream.receive(), undefined);
  assert.equal(stream.check(), false);
  assert.equal(stream.send(Buffer.from("answer")), 6);
  assert.equal(text(end.receive()), "answer");
  end.close();
  assert.equal(stream.check(), true);
});

test("a side that is gone: what it sent is read first, a send throws and raises no SIGPIPE", needsTwin(), (t) => {
  const { stream, end, fd } = connected(t);
  const value: [number] = [0];
  assert.equal(darwin().getsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, value, [4]), 0);
  assert.equal(value[0], 1);
  stream.send(Buffer.from("never read"));
  end.send(Buffer.from("before the end"));
  end.close();
  assert.equal(text(stream.receive()), "before the end");
  assert.equal(stream.receive(), undefined);
  assert.throws(() => stream.send(Uint8Array.of(1)), /EPIPE, the other side is closed/);
});

test(
  "clients of a path are byte streams, close-on-exec; the path is 0600 at once and goes at the end",
  needsTwin(),
  async (t) => {
    const path = join(temporaryFolder(t), "ctl");
    const umask = process.umask(0);
    t.after(() => process.umask(umask));
    let mode: number | undefined;
    const made: number[] = [];
    const { listener, streams } = listening(t, path, {
      bind: (...args) => {
        const result = darwin().bind(...args);
        mode = lstatSync(path).mode & 0o777;
        made.push(args[0]);
        return result;
      },
      accept: (...args) => {
        const fd = darwin().accept(...args);
        if (fd >= 0) made.push(fd);
        return fd;
      },
    });
    assert.equal(mode, 0o600);
    assert.equal(process.umask(), 0);
    const clients = [await client(t, path), await client(t, path), await client(t, path)];
    await until("three streams", () => streams.length === 3);
    assert.deepEqual(made.map(closesOnExec), [true, true, true, true]);
    const [own] = made;
    assert.ok((darwin().fcntl(own!, F_GETFL, "int", 0) & O_NONBLOCK) !== 0, "accepting never waits");
    for (const [index, stream] of streams.entries()) {
      assert.equal(text(stream.receive()), "");
      assert.equal(stream.send(Uint8Array.of(index)), 1);
      const [byte] = await once(clients[index]!, "data");
      assert.deepEqual(byte, Buffer.from([index]));
    }
    clients[0]!.end("bye");
    await until("its bytes", () => text(streams[0]!.receive()) === "bye");
    await until("its end", () => streams[0]!.receive() === undefined);
    listener.close();
    listener.close();
    assert.ok(!existsSync(path));
    assert.equal(streams[1]!.send(Uint8Array.of(1)), 1); // who is connected stays
  },
);

test("while no descriptor is to be had it rests, and goes on at a tick", needsTwin(), async (t) => {
  let out = true;
  let tried = 0;
  const path = join(temporaryFolder(t), "ctl");
  const { listener, streams } = listening(t, path, {
    accept: (fd, ...rest) => {
      tried++;
      return darwin().accept(out ? -1 : fd, ...rest);
    },
  });
  await client(t, path);
  await until("it was tried", () => tried > 0);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(tried, 1, "it must not spin");
  out = false;
  listener.check();
  await until("a stream", () => streams.length === 1);
});

test("a leftover of one's own that nobody has open is replaced", needsTwin(), async (t) => {
  const path = join(temporaryFolder(t), "ctl");
  closeSync(bound(path));
  const { streams } = listening(t, path);
  await client(t, path);
  await until("a stream", () => streams.length === 1);
});

test("what lives, is another's or is no socket is refused in one line, and stays", needsTwin(), async (t) => {
  const folder = temporaryFolder(t);
  const place = (name: string) => join(folder, name);
  const server = createServer();
  t.after(() => server.close());
  let connections = 0;
  server.on("connection", () => connections++);
  await once(server.listen(place("listens")), "listening");
  const fd = bound(place("bound"));
  t.after(() => closeSync(fd));
  writeFileSync(place("file"), "");
  symlinkSync(place("bound"), place("link"));
  for (const [name, words] of [
    ["listens", /exists already and a program has it open/],
    ["bound", /exists already and a program has it open/],
    ["file", /exists already and is no socket/],
    ["link", /exists already and is no socket/],
    ["none/ctl", /the folder .*none does not exist/],
    ["file/ctl", /file is not a folder/],
    ["x".repeat(104), /a socket's path has 1 to 103 bytes/],
  ] as const) {
    assert.throws(
      () => listening(t, place(name)),
      (error) => error instanceof UserError && words.test(error.message) && !error.message.includes("\n"),
      name,
    );
  }
  for (const name of ["listens", "bound", "file", "link"]) assert.ok(lstatSync(place(name)), name);
  await client(t, place("listens"));
  await until("its own client", () => connections > 0);
  assert.equal(connections, 1, "the listener has heard of nobody else");
});

test("another path that has taken the place is not removed", needsTwin(), (t) => {
  const path = join(temporaryFolder(t), "ctl");
  const { listener } = listening(t, path);
  unlinkSync(path);
  writeFileSync(path, "another's");
  listener.close();
  assert.ok(existsSync(path));
});

test("a path of 103 bytes fits", needsTwin(), (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "x".repeat(103 - folder.length - 1));
  listening(t, path);
  assert.ok(lstatSync(path).isSocket());
});

test("--control-fd: what is no connected unix stream, or has another use, is refused", needsTwin(), (t) => {
  const system = darwinUnix(darwin());
  const libc = darwin();
  const own = (fd: number): number => {
    t.after(() => closeSync(fd));
    return fd;
  };
  const { fd: datagram, end } = pair(SOCK_DGRAM);
  t.after(() => end.close());
  const { fd: stream, end: far } = pair(SOCK_STREAM);
  for (const [fd, words] of [
    [9_999, /^--control-fd 9999: this descriptor is not open; pass a connected unix stream socket/],
    [own(openSync("/dev/null", "r")), /: not a socket; pass/],
    [own(libc.socket(1, 1, 0)), /: the socket is not connected; pass/],
    [own(datagram), /: not a unix stream socket; pass/],
    [2, /^--control-fd 2: that is where the log goes/],
  ] as const) {
    assert.throws(
      () => checkControlDescriptor(system, { controlFd: fd }),
      (error) => error instanceof UserError && words.test(error.message),
      String(words),
    );
  }
  own(stream);
  assert.throws(() => checkControlDescriptor(system, { controlFd: stream, vmFd: stream }), /the VM's descriptor too/);
  checkControlDescriptor(system, {});
  checkControlDescriptor(system, { controlFd: stream, vmFd: 0 });
  far.send(Buffer.from("sent before"));
  far.close(); // as a program does that asks and does not wait
  checkControlDescriptor(system, { controlFd: stream });
});

test("--control-fd is taken over: a close-on-exec copy, the descriptor itself closed", needsTwin(), (t) => {
  const { fd, end } = pair(SOCK_STREAM);
  t.after(() => end.close());
  const copy = takeControlDescriptor(darwinUnix(darwin()), fd);
  t.after(() => closeSync(copy));
  assert.ok(closesOnExec(copy));
  assert.throws(() => fstatSync(fd), { code: "EBADF" });
});

test("of standard output's number /dev/null remains", needsTwin(), (t) => {
  const { fd, end } = pair(SOCK_STREAM);
  t.after(() => end.close());
  // This process' own standard output is the test runner's: the same is done with another number.
  const libc = darwin();
  const replaced: number[] = [];
  const system: UnixSystem = {
    ...darwinUnix(libc),
    duplicate: (given, least) => {
      assert.deepEqual([given, least], [1, 3]);
      return libc.fcntl(fd, 67, "int", least);
    },
    libc: {
      ...libc,
      dup2: (from, to) => {
        assert.equal(readlinkSync(`/proc/self/fd/${from}`), "/dev/null");
        replaced.push(to);
        return to;
      },
    },
  };
  const copy = takeControlDescriptor(system, 1);
  closeSync(fd);
  assert.deepEqual(replaced, [1]);
  const stream = new SocketStream(darwinUnix(libc), copy);
  t.after(() => stream.close());
  stream.send(Buffer.from("here"));
  assert.equal(text(end.receive()), "here");
});
