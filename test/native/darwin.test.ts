/**
 * Darwin's numbers as Apple's sources have them, written down a second time. What the C compiler makes of the same
 * structures is test/twin's matter.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import koffi from "koffi";
import { BLOCK, BLOCK_DESCRIPTOR, Blocks } from "../../src/native/darwin/blocks.ts";
import { continuousClock } from "../../src/native/darwin/clock.ts";
import * as errno from "../../src/native/darwin/errno.ts";
import * as libc from "../../src/native/darwin/libc.ts";
import { APPLE } from "../../src/native/darwin/libraries.ts";
import { systemName } from "../../src/native/darwin/release.ts";
import * as vmnet from "../../src/native/darwin/vmnet.ts";
import { describeStatus } from "../../src/native/darwin/vmnet-status.ts";
import * as linux from "../../src/native/linux/libc.ts";
import { needsTwin, twin } from "../support/twin.ts";

test("struct layouts of 64-bit Darwin", () => {
  assert.deepEqual(libc.IOVEC, { size: 16, base: 0, length: 8 });
  assert.deepEqual(libc.MSGHDR_X, {
    size: 56,
    name: 0,
    nameLength: 8,
    iov: 16,
    iovlen: 24,
    control: 32,
    controlLength: 40,
    flags: 44,
    length: 48,
  });
  assert.deepEqual(libc.POLLFD, { size: 8, events: 4, found: 6 });
  assert.equal(libc.SOCKADDR.family, 1); // behind the length
  assert.deepEqual(libc.SOCKADDR_UN, { path: 2, pathSize: 104 });
  assert.deepEqual(vmnet.VMPKTDESC, { size: 24, packetSize: 0, iov: 8, iovcnt: 16, flags: 20 });
  assert.deepEqual(BLOCK, { size: 32, isa: 0, flags: 8, invoke: 16, descriptor: 24 });
  assert.deepEqual(BLOCK_DESCRIPTOR, { size: 16, literalSize: 8 });
});

test("what accounts.ts reads lies where Linux has it", () => {
  for (const field of ["name", "uid", "gid"] as const) assert.equal(libc.PASSWD[field], linux.PASSWD[field]);
  for (const field of ["name", "gid"] as const) assert.equal(libc.GROUP[field], linux.GROUP[field]);
  assert.ok(libc.PASSWD.size >= linux.PASSWD.size && libc.GROUP.size >= linux.GROUP.size);
  assert.equal(libc.F_SETFD, linux.F_SETFD);
});

test("constants of Darwin's sockets, and its error numbers, which are not Linux'", () => {
  const { AF_UNIX, AF_INET, AF_INET6, SOCK_STREAM, SOCK_DGRAM, MSG_DONTWAIT, SOL_SOCKET } = libc;
  assert.deepEqual(
    { AF_UNIX, AF_INET, AF_INET6, SOCK_STREAM, SOCK_DGRAM, MSG_DONTWAIT, SOL_SOCKET },
    { AF_UNIX: 1, AF_INET: 2, AF_INET6: 30, SOCK_STREAM: 1, SOCK_DGRAM: 2, MSG_DONTWAIT: 0x80, SOL_SOCKET: 0xffff },
  );
  const { SO_SNDBUF, SO_RCVBUF, SO_TYPE, SO_NOSIGPIPE } = libc;
  assert.equal(libc.F_DUPFD_CLOEXEC, 67);
  assert.deepEqual([SO_SNDBUF, SO_RCVBUF, SO_TYPE, SO_NOSIGPIPE], [0x1001, 0x1002, 0x1008, 0x1022]);
  const numbers = { EBADF: 9, EAGAIN: 35, ENOTSOCK: 38, EDESTADDRREQ: 39, EMSGSIZE: 40, ENOBUFS: 55, ENOTCONN: 57 };
  const paths = { ENOTDIR: 20, EROFS: 30, EADDRINUSE: 48, ECONNABORTED: 53, ECONNREFUSED: 61 };
  for (const [name, number] of Object.entries({ ...numbers, ...paths })) {
    assert.equal((errno as unknown as Record<string, number>)[name], number, name);
    assert.ok(errno.describeError(number).startsWith(`${name}, `), name);
  }
  assert.equal(errno.describeError(4711), "error 4711");
});

test("vmnet's numbers and names", () => {
  const { VMNET_SUCCESS, VMNET_BUFFER_EXHAUSTED, VMNET_SHARING_SERVICE_BUSY, VMNET_NOT_AUTHORIZED } = vmnet;
  assert.deepEqual(
    [VMNET_SUCCESS, VMNET_BUFFER_EXHAUSTED, VMNET_SHARING_SERVICE_BUSY, VMNET_NOT_AUTHORIZED],
    [1000, 1007, 1009, 1010],
  );
  assert.deepEqual(
    [vmnet.VMNET_HOST_MODE, vmnet.VMNET_SHARED_MODE, vmnet.VMNET_INTERFACE_PACKETS_AVAILABLE],
    [1000, 1001, 1],
  );
  for (let status = 1000; status <= 1010; status++) assert.match(describeStatus(status), /^VMNET_[A-Z_]+/);
  assert.equal(describeStatus(1011), "vmnet status 1011");
});

test("a release's name for people", () => {
  assert.equal(systemName("22.6.0"), "macOS 13.6");
  assert.equal(systemName("24.6.0"), "macOS 15.6");
  assert.equal(systemName("25.0.0"), "macOS 26.0");
  assert.equal(systemName("nonsense"), "Darwin nonsense");
});

test("the executable's libraries are Apple's own, by absolute paths that only the system writes", () => {
  for (const path of Object.values(APPLE)) assert.match(path, /^(\/usr\/lib\/|\/System\/Library\/Frameworks\/)/);
});

test("the clock counts microseconds, whatever a tick is, and never goes back", () => {
  let ticks: number | bigint = 0;
  const of = (numerator: number, denominator: number) =>
    continuousClock({
      mach_timebase_info: (ratio: Uint32Array) => {
        ratio.set([numerator, denominator]);
        return 0;
      },
      mach_continuous_time: () => ticks,
    } as unknown as libc.DarwinLibc);
  const silicon = of(125, 3);
  ticks = 24_000_000; // a second
  assert.equal(silicon(), 1_000_000);
  ticks = 24_000_000 * 86_400 * 365;
  assert.equal(silicon(), 86_400 * 365 * 1e6);
  const intel = of(1, 1);
  ticks = 2n ** 53n + 3_000n; // after 104 days koffi answers a bigint
  assert.equal(intel(), Math.floor(Number(ticks) / 1000));
  let last = 0;
  for (let step = 0; step < 1000; step++) {
    ticks = 2 ** 52 + step * 7;
    assert.ok(intel() >= last);
    last = intel();
  }
  assert.throws(() => of(0, 0), /no ratio/);
});

test("the stand-in's clock is the time since boot", needsTwin(), () => {
  const clock = continuousClock(libc.loadDarwinLibc(twin().libraries.system));
  const before = Number(process.hrtime.bigint() / 1000n);
  const first = clock();
  const second = clock();
  assert.ok(Number.isInteger(first) && second >= first);
  assert.ok(first + 1_000_000 > before); // not less than the time that the machine was awake
});

test("a block is a global one, and its handler is found by its address", needsTwin(), () => {
  const blocks = new Blocks(twin().libraries.system);
  const seen: unknown[] = [];
  const one = blocks.lasting("value and object", (value, object) => seen.push(["one", value, object]));
  const other = blocks.lasting("value and object", (value, object) => seen.push(["other", value, object]));
  const view = new DataView(koffi.view(BigInt(one), BLOCK.size));
  assert.equal(view.getInt32(BLOCK.flags, true), 1 << 28);
  const system = koffi.load(twin().libraries.system);
  assert.equal(view.getBigUint64(BLOCK.isa, true), system.symbol("_NSConcreteGlobalBlock"));
  const call = (block: number, value: number, object: number): void => {
    const invoke = new DataView(koffi.view(BigInt(block), BLOCK.size)).getBigUint64(BLOCK.invoke, true);
    koffi.call(invoke, koffi.proto("void (uintptr_t, uint32_t, uintptr_t)"), block, value, object);
  };
  call(one, 1000, 0x7000);
  call(other, 1001, 0);
  call(one, 4_294_967_295, 1);
  blocks.end(one);
  call(one, 1, 1);
  assert.deepEqual(seen, [
    ["one", 1000, 0x7000],
    ["other", 1001, 0],
    ["one", 4_294_967_295, 1],
  ]);
});

test("a block that ran once is used again for the next handler, and not before", needsTwin(), () => {
  const blocks = new Blocks(twin().libraries.system);
  const invoke = (block: number): void => {
    const address = new DataView(koffi.view(BigInt(block), BLOCK.size)).getBigUint64(BLOCK.invoke, true);
    koffi.call(address, koffi.proto("void (uintptr_t, uint32_t)"), block, 1000);
  };
  let ran = 0;
  const first = blocks.once("value", () => ran++);
  const second = blocks.once("value", () => ran++);
  assert.notEqual(first, second);
  invoke(first);
  invoke(first);
  assert.equal(ran, 1);
  assert.equal(
    blocks.once("value", () => ran++),
    first,
  );
  blocks.takeBack("value", second);
  invoke(second);
  assert.equal(ran, 1, "what was refused does not run");
  assert.equal(
    blocks.once("value", () => ran++),
    second,
  );
});
