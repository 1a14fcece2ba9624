/** The stand-in for Darwin's socket calls: its numbers, its batches, a far end that is full, a far end that is gone. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { closeSync, lstatSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import koffi from "koffi";
import { temporaryFolder } from "../support/folder.ts";
import { type Apple, apple } from "./apple.ts";
import { needsTwin } from "./build.ts";

const [SOL_SOCKET, SO_SNDBUF, SO_NREAD] = [0xffff, 0x1001, 0x1020];
const [EAGAIN, EMSGSIZE, EINVAL, ECONNRESET, ENOBUFS, ENOTCONN] = [35, 40, 22, 54, 55, 57];
const DONTWAIT = 0x80;

/** Headers for a batch of datagrams, each with memory of its own. */
function headers(count: number, length: number) {
  const memory = koffi.alloc("uint8_t", count * length);
  const iovecs = koffi.alloc("uint64_t", 2 * count);
  const array = koffi.alloc("uint8_t", 56 * count);
  const reset = (): void => {
    for (let i = 0; i < count; i++) {
      koffi.encode(iovecs + BigInt(16 * i), "void *", memory + BigInt(i * length));
      koffi.encode(iovecs + BigInt(16 * i + 8), "size_t", length);
      koffi.encode(array + BigInt(56 * i + 16), "void *", iovecs + BigInt(16 * i));
      koffi.encode(array + BigInt(56 * i + 24), "int", 1);
      koffi.encode(array + BigInt(56 * i + 48), "size_t", 0);
    }
  };
  reset();
  const received = (i: number): number => Number(koffi.decode(array + BigInt(56 * i + 48), "size_t"));
  const bytes = (i: number): Uint8Array => new Uint8Array(koffi.view(memory + BigInt(i * length), length));
  return { array, reset, received, bytes };
}

function darwin({ system, control }: Apple) {
  const fds = new Int32Array(2);
  const call = {
    socketpair: system.func("int socketpair(int family, int type, int protocol, int *fds)"),
    sendBatch: system.func("long sendmsg_x(int fd, void *headers, uint32_t count, int flags)"),
    receiveBatch: system.func("long recvmsg_x(int fd, void *headers, uint32_t count, int flags)"),
    send: system.func("long send(int fd, const void *bytes, size_t length, int flags)"),
    receive: system.func("long recv(int fd, void *bytes, size_t length, int flags)"),
    getpeername: system.func("int getpeername(int fd, void *address, void *length)"),
    poll: system.func("int poll(void *watched, uint32_t count, int milliseconds)"),
    fcntl: system.func("int fcntl(int fd, int command, ...)"),
    ioctl: system.func("int ioctl(int fd, unsigned long request, ...)"),
    setsockopt: system.func("int setsockopt(int fd, int level, int name, void *value, uint32_t length)"),
    getsockopt: system.func("int getsockopt(int fd, int level, int name, void *value, void *length)"),
    close: koffi.load(null).func("int close(int fd)"),
    error: system.func("int *__error()"),
  };
  equal(call.socketpair(1, 2, 0, fds), 0);
  const [ours, theirs] = fds as unknown as [number, number];
  const peer = (): number => {
    const length = new Uint32Array([16]);
    return call.getpeername(ours, new Uint8Array(16), length) === 0 ? 0 : koffi.errno();
  };
  /** What a fresh poll says of our end. */
  const ready = (): number => {
    const watched = new Uint8Array(8);
    new DataView(watched.buffer).setInt32(0, ours, true);
    new DataView(watched.buffer).setInt16(4, 1, true);
    equal(call.poll(watched, 1, 0) >= 0, true);
    return new DataView(watched.buffer).getInt16(6, true);
  };
  /** The call's result, or its errno as a negative number. */
  const result = (value: number | bigint): number => (Number(value) < 0 ? -koffi.errno() : Number(value));
  const close = (): void => [ours, theirs].forEach((fd) => void call.close(fd));
  return { call, ours, theirs, peer, ready, result, close, control };
}

test("a batch goes out and comes in, longer datagrams cut without a word", needsTwin(), () => {
  const { call, ours, theirs, result, close } = darwin(apple());
  const out = headers(3, 100);
  for (const i of [0, 1, 2]) out.bytes(i).fill(i + 1);
  equal(result(call.sendBatch(ours, out.array, 3, DONTWAIT)), 3);
  const into = headers(4, 60);
  equal(result(call.receiveBatch(theirs, into.array, 4, DONTWAIT)), 3);
  deepEqual([0, 1, 2].map(into.received), [60, 60, 60]);
  deepEqual(into.bytes(2), new Uint8Array(60).fill(3));
  into.reset();
  equal(result(call.receiveBatch(theirs, into.array, 4, DONTWAIT)), -EAGAIN);
  close();
});

test("batch calls refuse no header, 1025 headers and other flags", needsTwin(), () => {
  const { call, ours, result, close } = darwin(apple());
  const out = headers(1, 100);
  deepEqual(
    [
      result(call.sendBatch(ours, out.array, 0, DONTWAIT)),
      result(call.sendBatch(ours, out.array, 1025, DONTWAIT)),
      result(call.sendBatch(ours, out.array, 1, 2)),
    ],
    [-EINVAL, -EINVAL, -EINVAL],
  );
  close();
});

test("a datagram is bounded by SO_SNDBUF, 2048 at first", needsTwin(), () => {
  const { call, ours, result, close } = darwin(apple());
  equal(result(call.send(ours, new Uint8Array(2049), 2049, DONTWAIT)), -EMSGSIZE);
  equal(call.setsockopt(ours, SOL_SOCKET, SO_SNDBUF, new Uint32Array([4096]), 4), 0);
  equal(result(call.send(ours, new Uint8Array(2049), 2049, DONTWAIT)), 2049);
  const value = new Uint32Array(1);
  equal(call.getsockopt(ours, SOL_SOCKET, SO_SNDBUF, value, new Uint32Array([4])), 0);
  equal(value[0], 4096);
  equal(call.setsockopt(ours, 1, 7, value, 4), -1); // Linux' numbers mean nothing
  close();
});

test("a send never waits: a far end that is full gives ENOBUFS, and room later takes the rest", needsTwin(), () => {
  const twin = apple();
  twin.control.inject("peer room", 65_536);
  const { call, ours, theirs, result, close } = darwin(twin);
  const out = headers(64, 1000);
  let sent = 0;
  let last = 0;
  for (let i = 0; i < 100 && last !== -ENOBUFS; i++) {
    last = result(call.sendBatch(ours, out.array, 64, 0)); // not even asked not to wait
    sent += Math.max(0, last);
  }
  equal(last, -ENOBUFS);
  ok(sent > 8);
  const into = headers(8, 1001);
  equal(result(call.receiveBatch(theirs, into.array, 8, DONTWAIT)), 8);
  ok(result(call.sendBatch(ours, out.array, 1, DONTWAIT)) === 1);
  twin.control.inject("peer room", 4 << 20);
  close();
});

test("sends and receives fail or move little when a test says so", needsTwin(), () => {
  const { call, ours, theirs, result, close, control } = darwin(apple());
  const out = headers(4, 100);
  const send = (): number => result(call.sendBatch(ours, out.array, 4, DONTWAIT));
  control.inject("send full", 2);
  deepEqual([send(), send(), send()], [-ENOBUFS, -ENOBUFS, 4]);
  control.inject("send cap", 1);
  equal(send(), 1);
  control.inject("send cap", 0);
  control.inject("send errno", EMSGSIZE);
  deepEqual([send(), send()], [-EMSGSIZE, 4]);
  const into = headers(16, 101);
  const receive = (): number => {
    into.reset();
    return result(call.receiveBatch(theirs, into.array, 16, DONTWAIT));
  };
  control.inject("receive cap", 2);
  equal(receive(), 2);
  control.inject("receive cap", 0);
  control.inject("receive errno", ENOTCONN);
  deepEqual([receive(), receive(), receive()], [-ENOTCONN, 7, -EAGAIN]);
  close();
});

test("a far end that is gone shows itself to getpeername and a fresh poll, and resets once", needsTwin(), () => {
  const { call, ours, theirs, peer, ready, result } = darwin(apple());
  deepEqual([peer(), ready()], [0, 0]);
  call.send(theirs, new Uint8Array(10), 10, DONTWAIT);
  call.close(theirs);
  equal(peer(), ENOTCONN);
  equal(ready(), 1);
  const bytes = new Uint8Array(100);
  const receive = (): number => result(call.receive(ours, bytes, 100, DONTWAIT));
  deepEqual([receive(), receive(), receive()], [10, -ECONNRESET, -EAGAIN]); // what was under way still arrives
  equal(result(call.send(ours, bytes, 10, DONTWAIT)), -ENOTCONN);
  equal(ready(), 0);
  call.close(ours);
});

test("a send to a far end that is gone takes the reset", needsTwin(), () => {
  const { call, ours, theirs, result } = darwin(apple());
  call.close(theirs);
  const send = (): number => result(call.send(ours, new Uint8Array(10), 10, DONTWAIT));
  deepEqual([send(), send()], [-ECONNRESET, -ENOTCONN]);
  equal(result(call.receive(ours, new Uint8Array(10), 10, DONTWAIT)), -EAGAIN);
  call.close(ours);
});

/** Darwin's struct sockaddr_un. */
function unixAddress(path: string): Buffer {
  return Buffer.concat([Uint8Array.of(path.length + 3, 1), Buffer.from(`${path}\0`)]);
}

/** Functions for unix sockets with a path, and a new folder for them. */
function paths(t: TestContext, { system }: Apple) {
  const socket = system.func("int socket(int family, int type, int protocol)");
  const bind = system.func("int bind(int fd, void *address, uint32_t length)");
  const connect = system.func("int connect(int fd, void *address, uint32_t length)");
  const made: number[] = [];
  t.after(() => {
    for (const fd of made) closeSync(fd);
  });
  return {
    folder: temporaryFolder(t),
    /** A socket that goes with the test. */
    socket: (type: number): number => {
      const fd = socket(1, type, 0);
      made.push(fd);
      return fd;
    },
    bind: (fd: number, path: string): number => bind(fd, unixAddress(path), path.length + 3),
    connect: (fd: number, path: string): number => connect(fd, unixAddress(path), path.length + 3),
    listen: system.func("int listen(int fd, int backlog)"),
    accept: system.func("int accept(int fd, void *address, void *length)"),
    name: (fd: number): Buffer => {
      const address = Buffer.alloc(106);
      const length = new Uint32Array([address.length]);
      equal(system.func("int getsockname(int fd, void *address, void *length)")(fd, address, length), 0);
      return address.subarray(0, length[0]);
    },
  };
}

test("a path is bound, connected to and told in Darwin's sockaddr_un", needsTwin(), (t) => {
  const twin = apple();
  const { call, result, close } = darwin(twin);
  const { folder, socket, bind, connect, listen, accept, name } = paths(t, twin);
  const place = join(folder, "s");
  const [server, client] = [socket(1), socket(1)];
  equal(result(connect(client, place)), -2); // ENOENT
  equal(bind(server, place), 0);
  ok(lstatSync(place).isSocket());
  deepEqual(name(server), unixAddress(place));
  deepEqual(name(client), Buffer.from([16, 1, ...new Uint8Array(14)]));
  equal(result(bind(socket(1), place)), -48); // EADDRINUSE
  equal(result(connect(client, place)), -61); // ECONNREFUSED: it does not listen yet
  equal(listen(server, 1), 0);
  equal(call.fcntl(server, 4, "int", 4), 0); // O_NONBLOCK
  equal(result(accept(server, null, null)), -EAGAIN);
  equal(result(connect(socket(2), place)), -41); // EPROTOTYPE
  equal(connect(client, place), 0);
  const accepted = accept(server, null, null);
  ok(accepted >= 0);
  equal(call.fcntl(accepted, 3, "int", 0), 6); // O_RDWR, and O_NONBLOCK of the listener
  equal(call.fcntl(accepted, 1, "int", 0), 0); // not close-on-exec
  call.close(accepted);
  writeFileSync(join(folder, "file"), "");
  equal(result(connect(socket(1), join(folder, "file"))), -38); // ENOTSOCK
  close();
});

test("a stream whose both directions are closed has no peer name, and what was sent is still read", needsTwin(), () => {
  const twin = apple();
  const { call, result, close } = darwin(twin);
  const fds = new Int32Array(2);
  equal(call.socketpair(1, 1, 0, fds), 0);
  const [ours, theirs] = fds as unknown as [number, number];
  const peer = (): number => result(call.getpeername(ours, new Uint8Array(16), new Uint32Array([16])));
  const shutdown = koffi.load(null).func("int shutdown(int fd, int how)");
  equal(peer(), 0);
  call.send(theirs, new Uint8Array(3), 3, DONTWAIT);
  call.send(ours, new Uint8Array(3), 3, DONTWAIT);
  equal(shutdown(theirs, 1), 0);
  equal(peer(), 0); // one direction is still open
  call.close(theirs); // with bytes unread
  equal(peer(), -EINVAL);
  const receive = (): number => result(call.receive(ours, new Uint8Array(10), 10, DONTWAIT));
  deepEqual([receive(), receive()], [3, 0]);
  equal(result(call.send(ours, new Uint8Array(1), 1, DONTWAIT)), -32); // EPIPE
  call.close(ours);
  close();
});

test("fcntl, ioctl and socket options speak Darwin's numbers", needsTwin(), () => {
  const { call, ours, theirs, result, close } = darwin(apple());
  equal(call.fcntl(ours, 3, "int", 0), 2); // F_GETFL: O_RDWR
  equal(call.fcntl(ours, 4, "int", 4), 0);
  equal(call.fcntl(ours, 3, "int", 0), 6);
  equal(result(call.receive(ours, new Uint8Array(4), 4, 0)), -EAGAIN); // O_NONBLOCK holds
  equal(koffi.decode(call.error(), "int"), EAGAIN);
  call.send(theirs, new Uint8Array(77), 77, 0);
  const size = new Uint32Array(1);
  equal(call.ioctl(ours, 0x4004667f, "void *", size), 0); // FIONREAD
  equal(size[0], 77);
  equal(call.getsockopt(ours, SOL_SOCKET, SO_NREAD, size, new Uint32Array([4])), 0);
  equal(size[0], 77);
  const copy = call.fcntl(ours, 67, "int", 10); // F_DUPFD_CLOEXEC
  ok(copy >= 10);
  equal(call.fcntl(copy, 1, "int", 0), 1);
  call.close(copy);
  close();
});

test("clocks tick 24 million times a second, and sysctl answers what softnet may ask", needsTwin(), () => {
  const { system } = apple();
  const continuous = system.func("uint64_t mach_continuous_time()");
  const clock = system.func("int clock_gettime(int clock, void *time)");
  const info = new Uint32Array(2);
  equal(system.func("int mach_timebase_info(void *info)")(info), 0);
  deepEqual([...info], [125, 3]);
  const time = new BigInt64Array(2);
  const before = BigInt(continuous());
  equal(clock(6, time), 0); // CLOCK_MONOTONIC
  const nanoseconds = time[0]! * 1_000_000_000n + time[1]!;
  const after = BigInt(continuous());
  ok((before * 125n) / 3n <= nanoseconds + 1000n && nanoseconds <= (after * 125n) / 3n + 1000n);
  const sysctl = system.func("int sysctlbyname(const char *name, void *old, void *length, void *new, size_t size)");
  const length = new BigUint64Array([64n]);
  const text = new Uint8Array(64);
  equal(sysctl("kern.bootsessionuuid", text, length, null, 0), 0);
  equal(/^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\0/.test(new TextDecoder().decode(text)), true);
  equal(sysctl("kern.no.such", null, length, null, 0), -1);
  equal(koffi.errno(), 2);
});

test("syslog is kept for the test with its facility and priority", needsTwin(), () => {
  const { system, control } = apple();
  const name = koffi.alloc("char", 8); // openlog keeps the pointer
  koffi.encode(name, "char", "softnet\0", 8);
  system.func("void openlog(void *name, int option, int facility)")(name, 1, 3 << 3);
  const syslog = system.func("void syslog(int priority, const char *format, ...)");
  syslog(4, "%s", "str", "lease time: 100%s");
  equal(control.syslogText(), "softnet[3.4] lease time: 100%s\n");
});

test("accounts come in Darwin's struct passwd", needsTwin(), () => {
  const { system } = apple();
  const passwd = system.func("void *getpwnam(const char *name)")("root");
  equal(koffi.decode(koffi.decode(passwd, "void *"), "char", 5), "root");
  const directory = koffi.decode(passwd + 48n, "const char *");
  deepEqual([koffi.decode(passwd + 16n, "uint32_t"), directory], [0, "/root"]);
  equal(system.func("void *getpwnam(const char *name)")("no-such-user"), null);
});
