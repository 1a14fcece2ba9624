import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { allocateSlab } from "../../src/ports/slab.ts";
import { openVmTap, type TapPort } from "../../src/ports/tap.ts";
import { createTap, openTap } from "../../src/ports/tap-device.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { UserError } from "../../src/user-error.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { sleep, until } from "../support/patience.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsTun } from "../support/tools.ts";

const skip = { ...needsTun(), ...needs("ip") };
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
