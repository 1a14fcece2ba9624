/** The networks `nat` and `host` of macOS against the stand-in for Apple's vmnet: start, stop, port forwarding. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Network } from "../../src/networks/network.ts";
import { VmnetInterface } from "../../src/networks/vmnet/interface.ts";
import { PortForwarding } from "../../src/networks/vmnet/port-forwarding.ts";
import { openVmnet, type VmnetOptions } from "../../src/networks/vmnet/vmnet.ts";
import { VmnetError } from "../../src/networks/vmnet/vmnet-error.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import { UserError } from "../../src/user-error.ts";
import { parseIPv4 } from "../../src/wire/address.ts";
import { until } from "../support/running.ts";
import { frame } from "../support/sockets.ts";
import { assertNothingHeld, inject, needsTwin, twin } from "../support/twin.ts";

async function open(t: TestContext, options: Partial<VmnetOptions> = {}): Promise<Network & { warnings: string[] }> {
  const warnings: string[] = [];
  const warn = (message: string) => warnings.push(message);
  const network = await openVmnet(twin().native, { type: "nat", isolated: true, warn, ...options });
  t.after(async () => {
    await network.close();
    await assertNothingHeld();
  });
  return { ...network, warnings };
}

const described = () => twin().control.describe("start") as Record<string, unknown>;
const address = (text: string): number => parseIPv4(text)!;

test(
  "nat is vmnet's shared mode: gateway, DHCP server, subnet and MTU come from what it was given",
  needsTwin(),
  async (t) => {
    const { label, gateway, dhcpServer, subnet, mtu, isolated, serves } = await open(t);
    assert.deepEqual(
      { label, gateway, dhcpServer, subnet, mtu, isolated, serves },
      {
        label: "vmnet nat 192.168.64.0/24",
        gateway: "192.168.64.1",
        dhcpServer: "192.168.64.1",
        subnet: "192.168.64.0/24",
        mtu: 1500,
        isolated: true,
        serves: undefined,
      },
    );
    assert.deepEqual(described(), { enable_isolation: true, operation_mode: 1001 });
  },
);

test("host is vmnet's host mode, and 0.0.0.0/0 ends the isolation", needsTwin(), async (t) => {
  const { gateway } = await open(t, { type: "host", isolated: false });
  assert.equal(gateway, "192.168.128.1");
  assert.deepEqual(described(), { enable_isolation: false, operation_mode: 1000 });
});

test("exposing ports of a host-only network is refused before anything is started", needsTwin(), async () => {
  const starts = twin().control.count("starts");
  const opening = openVmnet(twin().native, { type: "host", isolated: true, expose: "2222:22", warn: () => {} });
  await assert.rejects(opening, UserError);
  assert.equal(twin().control.count("starts"), starts);
});

for (const [status, name, remedy] of [
  [1001, "VMNET_FAILURE", /run softnet as root/],
  [1002, "VMNET_MEM_FAILURE", /out of memory/],
  [1003, "VMNET_INVALID_ARGUMENT", /leave --subnet and --mtu out/],
  [1004, "VMNET_SETUP_INCOMPLETE", /log show/],
  [1005, "VMNET_INVALID_ACCESS", /run softnet as root/],
  [1009, "VMNET_SHARING_SERVICE_BUSY", /turn Internet Sharing off/],
  [1010, "VMNET_NOT_AUTHORIZED", /run softnet as root/],
  [1234, "vmnet status 1234", /log show/],
] as const) {
  test(`a start refused with ${status} is ${name} with what to do, and nothing is left`, needsTwin(), async (t) => {
    inject(t, "start status", status);
    await assert.rejects(open(t), (error) => {
      assert.ok(error instanceof VmnetError && error instanceof UserError);
      assert.equal(error.status, status);
      assert.match(error.message, /^vmnet nat cannot be started: /);
      assert.ok(error.message.includes(name) && remedy.test(error.message), error.message);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
    await assertNothingHeld();
  });
}

test("a start that vmnet refuses at once leaves nothing", needsTwin(), async (t) => {
  twin().control.inject("start null", 1);
  await assert.rejects(open(t), /vmnet refused at once/);
  await assertNothingHeld();
});

test("a start that takes its time is waited for while the event loop turns", needsTwin(), async (t) => {
  inject(t, "start delay", 100);
  let turns = 0;
  const timer = setInterval(() => turns++, 5);
  await open(t);
  clearInterval(timer);
  assert.ok(turns > 2);
});

test("a start that comes after it was given up is stopped again", needsTwin(), async (t) => {
  inject(t, "start delay", 200);
  const stops = twin().control.count("stops");
  const starting = VmnetInterface.start(twin().native, {
    label: "vmnet",
    on: { mode: 1001 },
    isolated: true,
    startTimeout: 20,
  });
  await assert.rejects(starting, /did not answer within 0\.02 s/);
  await until("the stop", () => twin().control.count("stops") === stops + 1);
  await assertNothingHeld();
});

test("without packet limits, as before macOS 15, the documented 200 are used", needsTwin(), async (t) => {
  inject(t, "omit packet limits", 1);
  const vmnet = await VmnetInterface.start(twin().native, { label: "vmnet", on: { mode: 1001 }, isolated: true });
  t.after(() => vmnet.stop());
  assert.deepEqual([vmnet.parameters.readLimit, vmnet.parameters.writeLimit], [200, 200]);
});

test("limits, MTU and frame size are what vmnet says", needsTwin(), async (t) => {
  const said = { "read limit": 77, "write limit": 33, "max packet size": 9014, mtu: 9000 };
  const usual = { "read limit": 256, "write limit": 256, "max packet size": 1514, mtu: 1500 };
  for (const [what, value] of Object.entries(said)) twin().control.inject(what, value);
  t.after(() => {
    for (const [what, value] of Object.entries(usual)) twin().control.inject(what, value);
  });
  const vmnet = await VmnetInterface.start(twin().native, { label: "vmnet", on: { mode: 1001 }, isolated: true });
  t.after(() => vmnet.stop());
  const { readLimit, writeLimit, maxPacketSize, mtu } = vmnet.parameters;
  assert.deepEqual([readLimit, writeLimit, maxPacketSize, mtu], [77, 33, 9014, 9000]);
});

test("the stop is in order though events storm, one comes late and one after the end", needsTwin(), async (t) => {
  const { batch, free } = allocateSlab(1514);
  const network = await open(t);
  t.after(free);
  network.port.watch({ readable: true, writable: false }, () => void network.port.receive(batch));
  twin().control.deliver(frame(1, 60));
  twin().control.fire(200);
  twin().control.inject("late event", 1);
  twin().control.inject("event after stop", 1);
  const stops = twin().control.count("stops");
  await network.close();
  assert.equal(twin().control.count("stops"), stops + 1);
  await network.close();
  assert.equal(twin().control.count("stops"), stops + 1, "closing twice stops once");
  assert.deepEqual(network.warnings, []);
});

test("nothing is read or written once the port is closed", needsTwin(), async (t) => {
  const { batch, free } = allocateSlab(1514);
  const network = await open(t);
  t.after(free);
  const closing = network.close();
  const reads = twin().control.count("reads");
  assert.equal(network.port.receive(batch), 0);
  batch.count = 1;
  batch.length[0] = 60;
  assert.equal(network.port.send(batch, 0), 0);
  network.port.check();
  await closing;
  assert.equal(twin().control.count("reads"), reads);
});

// --- port forwarding ---

const rules = () => twin().control.describe("rules");
const rule = (external: number, internal: number, to: string) => ({
  protocol: 6,
  externalPort: external,
  internalAddress: to,
  internalPort: internal,
});

test("exposed ports come with the VM's address, move with it, and go when it ends", needsTwin(), async (t) => {
  const network = await open(t, { expose: "2222:22,8080:80" });
  const inForce = (): number => twin().control.count("rules");
  assert.equal(inForce(), 0);
  network.followAddress!(address("192.168.64.7"));
  await until("two rules", () => inForce() === 2);
  assert.deepEqual(rules(), [rule(2222, 22, "192.168.64.7"), rule(8080, 80, "192.168.64.7")]);
  network.followAddress!(address("192.168.64.9"));
  await until("both moved", () => JSON.stringify(rules()).split("192.168.64.9").length === 3);
  assert.equal(inForce(), 2);
  network.followAddress!(0);
  await until("no rule", () => inForce() === 0);
  assert.deepEqual(network.warnings, []);
});

test("an address that changes while vmnet is busy ends with the last one", needsTwin(), async (t) => {
  inject(t, "rule delay", 10);
  const network = await open(t, { expose: "2222:22,8080:80,9090:90" });
  for (let last = 2; last < 40; last++) {
    network.followAddress!(last % 5 === 0 ? 0 : address(`192.168.64.${last}`));
    if (last % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 15));
  }
  await until("the last address alone", () => {
    const now = rules() as { internalAddress: string }[];
    return now.length === 3 && now.every(({ internalAddress }) => internalAddress === "192.168.64.39");
  });
});

test("a renewed lease changes nothing", needsTwin(), async (t) => {
  const network = await open(t, { expose: "2222:22" });
  network.followAddress!(address("192.168.64.7"));
  await until("the rule", () => twin().control.count("rules") === 1);
  const before = rules();
  for (let again = 0; again < 5; again++) network.followAddress!(address("192.168.64.7"));
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.deepEqual(rules(), before);
  assert.deepEqual(network.warnings, []);
});

for (const [how, what] of [
  ["at once", "rule refused"],
  ["by its handler", "rule status"],
] as const) {
  test(`a rule that vmnet refuses ${how} is told once, and made when it can be`, needsTwin(), async (t) => {
    const vmnet = await VmnetInterface.start(twin().native, { label: "vmnet", on: { mode: 1001 }, isolated: true });
    const warnings: string[] = [];
    const forwarding = new PortForwarding(twin().native, vmnet.address, {
      exposures: [{ external: 2222, internal: 22 }],
      warn: (message) => warnings.push(message),
      again: 10,
    });
    t.after(async () => {
      await forwarding.close();
      await vmnet.stop();
      await assertNothingHeld();
    });
    twin().control.inject(what, 1001);
    forwarding.want(address("192.168.64.7"));
    await until("a warning", () => warnings.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /port 2222 cannot be exposed to 192\.168\.64\.7: VMNET_FAILURE.*\(1001\); .*free it/);
    twin().control.inject(what, 0);
    // The timer is no reason for a process to go on; this test is.
    await until("the rule", () => twin().control.count("rules") === 1);
  });
}

test("a handler that comes late is no other rule's", needsTwin(), async (t) => {
  inject(t, "rule delay", 60);
  const vmnet = await VmnetInterface.start(twin().native, { label: "vmnet", on: { mode: 1001 }, isolated: true });
  const warnings: string[] = [];
  const forwarding = new PortForwarding(twin().native, vmnet.address, {
    exposures: [{ external: 2222, internal: 22 }],
    warn: (message) => warnings.push(message),
    ruleTimeout: 10,
    again: 10_000,
  });
  t.after(async () => {
    await forwarding.close();
    await vmnet.stop();
    await assertNothingHeld();
  });
  forwarding.want(address("192.168.64.7"));
  await until("a warning", () => warnings.length > 0);
  assert.match(warnings[0]!, /vmnet does not answer/);
});

test("a network that is closed while vmnet makes a rule waits for it", needsTwin(), async (t) => {
  inject(t, "rule delay", 40);
  const network = await open(t, { expose: "2222:22" });
  network.followAddress!(address("192.168.64.7"));
  await network.close();
  assert.equal(twin().control.count("rules"), 0);
});
