import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { TUNSETVNETHDRSZ } from "../../src/native/linux/libc.ts";
import { allocateLargeSlab, allocateSlab } from "../../src/ports/slab.ts";
import { openVmTap, TapPort } from "../../src/ports/tap.ts";
import { createTap, enableOffloads, openTap } from "../../src/ports/tap-device.ts";
import { type Batch, PREFIX } from "../../src/relay/batch.ts";
import { LARGEST_FRAME } from "../../src/relay/port.ts";
import { UserError } from "../../src/user-error.ts";
import { put16 } from "../../src/wire/bytes.ts";
import { addToSum, foldSum } from "../../src/wire/checksum.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { emitIPv4, pseudoHeaderSum } from "../../src/wire/ipv4.ts";
import { pseudoHeader6Sum } from "../../src/wire/ipv6.ts";
import { COMPLETE, PARTIAL_TCP, PARTIAL_TCP6 } from "../../src/wire/virtio-net.ts";
import { packet6 } from "../guard/ipv6/support.ts";
import { bytes, EVERYONE_MAC, join } from "../guard/support.ts";
import { featuresOf } from "../lab/tools/features.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { sleep, until } from "../support/patience.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsTun } from "../support/tools.ts";

const skip = { ...needsTun(), ...needs("ip") };
/** linux/if_tun.h; only where the kernel is built for it. */
const TUNSETVNETBE = 0x400454de;

const MAC = Uint8Array.of(0x7e, 0x1a, 0, 0, 0, 1);

let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

function setUp(t: TestContext, name: string): { port: TapPort; batch: Batch } {
  const port = openVmTap(libc, "--vm-tap", name, MAC);
  const slab = allocateSlab(1514);
  t.after(() => {
    port.close();
    slab.free();
  });
  return { port, batch: slab.batch };
}

/** Who has `target`? Tell `sender`. */
function arpRequest(sender: string, target: string): Buffer {
  const octets = (address: string): number[] => address.split(".").map(Number);
  const source = [0x02, 0, 0, 0, 0, 9];
  return Buffer.from([
    ...[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ...source, 0x08, 0x06],
    ...[0, 1, 8, 0, 6, 4, 0, 1, ...source, ...octets(sender), 0, 0, 0, 0, 0, 0, ...octets(target)],
  ]);
}

function put(batch: Batch, frame: Buffer): void {
  batch.offset[0] = batch.slotOffset(0);
  batch.length[0] = frame.length;
  batch.bytes.set(frame, batch.offset[0]);
  batch.count = 1;
}

/** Receives until a frame of that EtherType comes. */
async function receiveType(port: TapPort, batch: Batch, type: number): Promise<Buffer> {
  return await until(`a frame of type ${type}`, () => {
    port.receive(batch);
    const frames = Array.from({ length: batch.count }, (_, index) => {
      const at = batch.offset[index];
      return Buffer.from(batch.bytes.subarray(at, at + batch.length[index]));
    });
    return frames.find((frame) => frame.readUInt16BE(12) === type);
  });
}

test("a TAP that is made here has the VM's MAC, and frames pass both ways", skip, async (t) => {
  const { port, batch } = setUp(t, "guest0");
  assert.equal(port.device.created, true);
  assert.match(ip("link", "show", "guest0"), /link\/ether 7e:1a:00:00:00:01/);
  ip("addr", "add", "192.0.2.1/24", "dev", "guest0");
  ip("link", "set", "guest0", "up");
  put(batch, arpRequest("192.0.2.9", "192.0.2.1"));
  assert.equal(port.send(batch, 0), 1);
  const reply = await receiveType(port, batch, 0x0806);
  assert.deepEqual(reply.subarray(6, 12), Buffer.from(MAC));
  assert.equal(port.unsendable, 0);
});

test("while the interface is down, frames are counted as unsendable and the port lives on", skip, (t) => {
  const { port, batch } = setUp(t, "guest1");
  put(batch, arpRequest("192.0.2.9", "192.0.2.1"));
  assert.equal(port.send(batch, 0), 1);
  assert.equal(port.unsendable, 1);
  port.check();
});

test("a TAP that is there already is attached to, keeps its MAC, and stays afterwards", skip, (t) => {
  ip("tuntap", "add", "dev", "guest2", "mode", "tap");
  ip("link", "set", "guest2", "address", "02:00:00:00:00:22");
  const { port } = setUp(t, "guest2");
  assert.equal(port.device.created, false);
  port.close();
  assert.match(ip("link", "show", "guest2"), /02:00:00:00:00:22/);
});

test("a TAP that is made here goes with its descriptor", skip, (t) => {
  const { port } = setUp(t, "guest3");
  port.close();
  port.close();
  assert.equal(libc.if_nametoindex("guest3"), 0);
});

test("deleting the interface closes the port, through an event", skip, async (t) => {
  const { port, batch } = setUp(t, "guest4");
  let woken = 0;
  port.watch({ readable: true, writable: false }, () => {
    woken++;
  });
  ip("link", "delete", "guest4");
  await until("a wake", () => woken > 0);
  await sleep(50);
  const afterDeletion = woken;
  assert.ok(afterDeletion > 0 && afterDeletion < 5, `${afterDeletion} wakes`); // an error must not spin the event loop
  port.check();
  await until("another wake", () => woken > afterDeletion);
  assert.ok(woken < afterDeletion + 5, `${woken} wakes`);
  assert.throws(() => port.receive(batch), { name: "PortClosed", message: /^--vm-tap guest4: / });
  put(batch, arpRequest("192.0.2.9", "192.0.2.1"));
  assert.throws(() => port.send(batch, 0), { name: "PortClosed" });
});

test("free names are found", skip, () => {
  const first = createTap(libc, "--bridge br0");
  const second = createTap(libc, "--bridge br0");
  assert.deepEqual([first.name, second.name], ["softnet0", "softnet1"]);
  libc.close(first.fd);
  libc.close(second.fd);
});

test("names for which a person must beware, and softnet's own, are refused before anything is made", skip, (t) => {
  const refused = (name: string, why: RegExp, told = name): void => {
    assert.throws(
      () => openVmTap(libc, "--vm-tap", name, MAC),
      (error) =>
        error instanceof UserError && error.message.startsWith(`--vm-tap ${told}: `) && why.test(error.message),
    );
    assert.equal(libc.if_nametoindex(name), 0);
  };
  for (const name of [
    "-vm0",
    "-",
    "--help",
    "vm;id",
    "$vm",
    "vm*",
    "vm\u001b[2J",
    "vm\u0007",
    'vm"',
    "ä0",
    "vm@if2",
    "",
    "vm 0",
    "vm0\n",
    "vm\n0",
  ]) {
    refused(name, /does not begin with "-"; [^\n]*$/, JSON.stringify(name));
  }
  for (const name of ["softnet", "softnet0", "softnet17", "softnet-vm"]) refused(name, /softnet's own/);
  refused("sixteen-bytes-xx", /1 to 15 bytes/);
  for (const name of ["vm-0", "vm_0", "vm.0", "0vm", "Softnet0", "my-softnet0", "a2345678901234b"]) {
    assert.equal(setUp(t, name).port.device.name, name);
  }
});

test("a TAP that may only be a new one is not taken over, however short it has been there", skip, (t) => {
  ip("tuntap", "add", "svm0", "mode", "tap");
  t.after(() => ip("link", "delete", "svm0"));
  assert.throws(
    () => openVmTap(libc, "--vm-tap", "svm0", MAC, true),
    (error) =>
      error instanceof UserError && /^--vm-tap svm0: there is an interface of this name by now/.test(error.message),
  );
  openVmTap(libc, "--vm-tap", "svm0", MAC).close();
  openVmTap(libc, "--vm-tap", "svm1", MAC, true).close();
});

test("wrong names and devices are one line that names value and remedy", skip, (t) => {
  const refused = (name: string, why: RegExp): void => {
    assert.throws(
      () => openTap(libc, "--vm-tap", name),
      (error) =>
        error instanceof UserError && error.message.startsWith(`--vm-tap ${name}: `) && why.test(error.message),
    );
  };
  refused("sixteen-bytes-xx", /1 to 15 bytes/);
  refused("", /1 to 15 bytes/);
  refused("tap%d", /percent/);
  refused("a/b", /1 to 15 bytes/);
  refused("..", /1 to 15 bytes/);
  refused("äääääääää", /1 to 15 bytes/);
  refused("lo", /not a TAP/);
  setUp(t, "guest5");
  refused("guest5", /another program/);
  ip("tuntap", "add", "dev", "tun5", "mode", "tun");
  refused("tun5", /not a TAP/);
});

/* Offloads */

/** A bridge that carries frames from one TAP to another. */
function bridged(t: TestContext, name: string): { from: TapPort; to: TapPort; batch: Batch; received: Batch } {
  const ports = ["a", "b"].map((end) => openVmTap(libc, "--vm-tap", `${name}${end}`, MAC));
  const slabs = [allocateLargeSlab(), allocateLargeSlab()];
  ip("link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0");
  ip("link", "set", name, "up");
  for (const end of ["a", "b"]) ip("link", "set", `${name}${end}`, "master", name, "up");
  t.after(() => {
    for (const port of ports) port.close();
    for (const slab of slabs) slab.free();
    ip("link", "delete", name);
  });
  return { from: ports[0]!, to: ports[1]!, batch: slabs[0]!.batch, received: slabs[1]!.batch };
}

/** TCP from 192.0.2.9 to 192.0.2.1, to everybody, with so many bytes in it; its checksum is partial. */
function tcpFrame(payload: number): Buffer {
  const segment = Buffer.alloc(20 + payload, 0x55);
  segment.set([0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
  const packet = emitIPv4({ source: 0xc0000209, destination: 0xc0000201, protocol: 6 }, segment);
  put16(packet, 36, foldSum(pseudoHeaderSum(packet, 0, segment.length)));
  return Buffer.from(emitEthernet(0xffffffffffff, 0x020000000009, 0x0800, packet));
}

async function receiveTcp(port: TapPort, batch: Batch, count: number): Promise<{ frame: Buffer; offload: number }[]> {
  const found: { frame: Buffer; offload: number }[] = [];
  return await until(`${count} TCP frames`, () => {
    port.receive(batch);
    for (let index = 0; index < batch.count; index++) {
      const at = batch.offset[index];
      const frame = Buffer.from(batch.bytes.subarray(at, at + batch.length[index]));
      const [type, first] = [frame.readUInt16BE(12), frame[14]! >>> 4];
      const protocol = type === 0x0800 && first === 4 ? frame[23] : type === 0x86dd && first === 6 ? frame[20] : -1;
      if (protocol === 6) found.push({ frame, offload: batch.offload[index] });
    }
    return found.length >= count ? found : undefined;
  });
}

const rightChecksum = (frame: Buffer): boolean =>
  foldSum(addToSum(pseudoHeaderSum(frame, 14, frame.length - 34), frame, 34, frame.length - 34)) === 0xffff;

test(
  "with offloads a large frame comes whole, with its segment size; a small one with its checksum left to do",
  skip,
  async (t) => {
    const { from, to, batch, received } = bridged(t, "with");
    assert.equal(to.enableOffloads(false), true);
    for (const [frame, offload] of [
      [tcpFrame(60_000), PARTIAL_TCP | 1460],
      [tcpFrame(100), PARTIAL_TCP],
    ] as const) {
      put(batch, frame);
      batch.offload[0] = offload;
      assert.equal(from.send(batch, 0), 1);
      assert.deepEqual(await receiveTcp(to, received, 1), [{ frame, offload }]);
    }
    assert.equal(from.unsendable, 0);
  },
);

/** TCP in IPv6 with the sum of its pseudo-header. */
function tcpFrame6(payload: number): Buffer {
  const segment = join(
    bytes(0xc0, 0, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 255, 255, 0, 0, 0, 0),
    new Uint8Array(payload),
  );
  const frame = packet6(6, segment, { to: EVERYONE_MAC, from: "02:00:00:00:00:09" });
  put16(frame, 70, foldSum(pseudoHeader6Sum(frame, 14, 6, segment.length)));
  return Buffer.from(frame);
}

test(
  "with IPv6 its large TCP comes whole, up to the longest, and a small one with its checksum left to do",
  skip,
  async (t) => {
    const { from, to, batch, received } = bridged(t, "six");
    assert.equal(to.enableOffloads(true), true);
    for (const [frame, offload] of [
      [tcpFrame6(60_000), PARTIAL_TCP6 | 1440],
      [tcpFrame6(65_535 - 74), PARTIAL_TCP6 | 1440],
      [tcpFrame6(100), PARTIAL_TCP6],
      [tcpFrame(60_000), PARTIAL_TCP | 1460],
    ] as const) {
      put(batch, frame);
      batch.offload[0] = offload;
      assert.equal(from.send(batch, 0), 1);
      assert.deepEqual(await receiveTcp(to, received, 1), [{ frame, offload }]);
    }
    assert.equal(from.unsendable, 0);
  },
);

test("the longest frame of IPv6 is sent, and comes out whole or cut, never cut short", skip, async (t) => {
  const { from, to, batch, received } = bridged(t, "most");
  assert.equal(to.enableOffloads(true), true);
  const frame = tcpFrame6(LARGEST_FRAME - 74);
  put(batch, frame);
  batch.offload[0] = PARTIAL_TCP6 | 1440;
  assert.equal(from.send(batch, 0), 1);
  assert.equal(from.unsendable, 0);
  const pieces: number[] = [];
  const left = () => LARGEST_FRAME - 74 - pieces.reduce((sum, length) => sum + length - 74, 0);
  while (left() > 0) pieces.push(...(await receiveTcp(to, received, 1)).map((piece) => piece.frame.length));
  assert.equal(left(), 0);
  t.diagnostic(`${pieces}`);
});

test("without IPv6 the kernel cuts IPv6's large TCP and completes it, whatever else it leaves", skip, async (t) => {
  const { from, to, batch, received } = bridged(t, "four");
  assert.equal(to.enableOffloads(false), true);
  put(batch, tcpFrame6(3000));
  batch.offload[0] = PARTIAL_TCP6 | 1440;
  assert.equal(from.send(batch, 0), 1);
  const pieces = await receiveTcp(to, received, 3);
  assert.deepEqual(
    pieces.map(({ frame, offload }) => [frame.length, offload]),
    [1514, 1514, 194].map((length) => [length, PARTIAL_TCP6]),
  );
});

test("without offloads the kernel cuts and completes before a frame comes", skip, async (t) => {
  const { from, to, batch, received } = bridged(t, "less");
  put(batch, tcpFrame(3000));
  batch.offload[0] = PARTIAL_TCP | 1460;
  assert.equal(from.send(batch, 0), 1);
  const pieces = await receiveTcp(to, received, 3);
  assert.deepEqual(
    pieces.map(({ frame, offload }) => [frame.length, offload, rightChecksum(frame)]),
    [1514, 1514, 134].map((length) => [length, COMPLETE, true]),
  );
});

test("what an earlier program had set on a TAP is gone: header size, byte order and offloads", skip, async (t) => {
  const int = (value: number) => new Uint8Array(Int32Array.of(value).buffer);
  ip("tuntap", "add", "dev", "keepb", "mode", "tap");
  const earlier = openTap(libc, "--vm-tap", "keepb");
  assert.equal(libc.ioctl(earlier.fd, TUNSETVNETHDRSZ, "void *", int(12)), 0);
  libc.ioctl(earlier.fd, TUNSETVNETBE, "void *", int(1)); // where the kernel knows it
  assert.equal(enableOffloads(libc, earlier.fd, false), true);
  libc.close(earlier.fd);
  const { from, to, batch, received } = bridged(t, "keep");
  put(batch, tcpFrame(3000));
  batch.offload[0] = PARTIAL_TCP | 1460;
  from.send(batch, 0);
  const pieces = await receiveTcp(to, received, 3);
  assert.deepEqual(
    pieces.map(({ frame, offload }) => [frame.length, offload]),
    [1514, 1514, 134].map((length) => [length, COMPLETE]),
  );
});

test("a TAP that stays has no offloads once softnet leaves it", skip, (t) => {
  ip("tuntap", "add", "dev", "left0", "mode", "tap");
  t.after(() => ip("link", "delete", "left0"));
  const before = featuresOf("left0");
  const port = openVmTap(libc, "--vm-tap", "left0", MAC);
  port.enableOffloads(false);
  const on = new Set(featuresOf("left0"));
  on.delete("uso"); // which Linux has from 6.2 on
  assert.deepEqual(on, new Set([...before, "tx", "tso"]));
  port.close();
  assert.deepEqual(featuresOf("left0"), before);
});

test("a batch whose slots are too small for large frames is refused", skip, (t) => {
  const { port, batch } = setUp(t, "small0");
  port.enableOffloads(false);
  assert.throws(() => port.receive(batch), /a slot takes [0-9]+ bytes: too few/);
});

test(
  "frames that lie side by side are sent whole, though a header needs more room than is between them",
  skip,
  async (t) => {
    const { from, to, batch, received } = bridged(t, "side");
    const frames = [100, 200, 300].map((payload) => tcpFrame(payload));
    let at = batch.slotOffset(0);
    for (const [index, frame] of frames.entries()) {
      batch.offset[index] = at;
      batch.length[index] = frame.length;
      batch.offload[index] = PARTIAL_TCP;
      batch.bytes.set(frame, at);
      at += frame.length + PREFIX;
    }
    batch.count = frames.length;
    assert.equal(from.send(batch, 0), 3);
    const sent = await receiveTcp(to, received, 3);
    assert.deepEqual(
      sent.map(({ frame }) => [frame.length, rightChecksum(frame)]),
      frames.map(({ length }) => [length, true]),
    );
  },
);

test(
  "with offloads, frames of any sizes come side by side: as many as a batch takes, each whole, none over another",
  skip,
  (t) => {
    const device = openTap(libc, "--vm-tap", "pack0", true);
    const slab = allocateLargeSlab();
    const { batch } = slab;
    const waiting: Buffer[] = [];
    /** As read(2) of a TAP: one frame behind an empty header, cut to what the caller has room for. */
    const read = (_fd: number, address: number, room: number): number => {
      const frame = waiting.shift();
      if (frame === undefined) return -1;
      const at = address - batch.address;
      assert.ok(at >= 0 && at + room <= batch.bytes.length, "the kernel is given the batch's own memory only");
      const packet = Buffer.concat([Buffer.alloc(10), frame]).subarray(0, room);
      batch.bytes.set(packet, at);
      return packet.length;
    };
    const kernel = { ...libc, read, errno: () => 11 } as typeof libc;
    const port = new TapPort(kernel, "--vm-tap pack0", device, 0);
    t.after(() => {
      port.close();
      slab.free();
    });
    assert.ok(port.enableOffloads(false));
    const sizes = [60, 65_549, 1514, 61, 14, 65_549, 1515, 60, 33_000];
    let value = 1;
    for (let round = 0; round < 40; round++) {
      waiting.length = 0;
      const small = round % 2 === 0;
      for (let index = 0; index < 70; index++) {
        const size = small ? sizes[(index % 3) * 2 === 2 ? 3 : 0]! : sizes[(index * 7 + round) % sizes.length]!;
        waiting.push(Buffer.alloc(size, value));
        value = (value % 250) + 1;
      }
      const sent = [...waiting];
      const count = port.receive(batch);
      assert.equal(waiting.length, 70 - count);
      if (small) assert.equal(count, 64);
      else assert.ok(count >= 16, `${count} frames`);
      for (let index = 0; index < count; index++) {
        const [at, length] = [batch.offset[index]!, batch.length[index]!];
        assert.equal(at % 16, 0);
        assert.ok(sent[index]!.equals(batch.bytes.subarray(at, at + length)), `frame ${index} of round ${round}`);
      }
    }
  },
);
