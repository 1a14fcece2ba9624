/** A session lets the kernel leave work to do only where both ports take it, and only where nobody said otherwise. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createGuard } from "../../src/guard/guard.ts";
import { LARGEST_FRAME } from "../../src/relay/port.ts";
import { LeftLeases } from "../../src/session/left-leases.ts";
import { SessionRelay } from "../../src/session/session-relay.ts";
import { Log } from "../../src/telemetry/log.ts";
import { parseMac } from "../../src/wire/address.ts";
import { VM } from "../guard/support.ts";
import { FakePort } from "../relay/fakes.ts";

/** A port that takes offloads, of a system that lets it or does not. */
class OffloadPort extends FakePort {
  readonly takesOffloads = true;
  readonly #lets: boolean;
  asked = 0;

  constructor(lets = true) {
    super("tap");
    this.#lets = lets;
  }

  enableOffloads(): boolean {
    this.asked++;
    return this.#lets;
  }
}

/** The slots' sizes, by direction. */
function slots(t: TestContext, vm: FakePort, port: FakePort, offloads?: boolean): [number, number] {
  const given = { vmMacAddress: VM, releaseOnExit: false, captureSize: 0, captureFiles: 1 };
  const relay = new SessionRelay({
    vm,
    network: { label: "a network", port, isolated: true, mtu: 1500, close: () => {} },
    guard: createGuard({ macAddress: VM }),
    leftLeases: new LeftLeases(parseMac(VM)!),
    lane: undefined,
    recording: undefined,
    learned: undefined,
    keptPairs: undefined,
    limits: undefined,
    control: undefined,
    given: { ...given, ...(offloads !== undefined && { offloads }) },
    clock: () => 0,
    log: new Log({ level: "error", format: "text", write: () => true }),
  });
  t.after(() => relay.free());
  return [relay.egressBatch.slotSize, relay.ingressBatch.slotSize];
}

test("two TAPs exchange large frames", (t) => {
  const [vm, network] = [new OffloadPort(), new OffloadPort()];
  const [egress, ingress] = slots(t, vm, network);
  assert.ok(egress > LARGEST_FRAME && ingress > LARGEST_FRAME);
  assert.deepEqual([vm.asked, network.asked], [1, 1]);
});

test("a TAP and a socket do not, nor two TAPs with --no-offloads", (t) => {
  for (const [vm, network, offloads] of [
    [new OffloadPort(), new FakePort("socket"), undefined],
    [new FakePort("socket"), new OffloadPort(), true],
    [new OffloadPort(), new OffloadPort(), false],
  ] as const) {
    const [egress, ingress] = slots(t, vm, network, offloads);
    assert.ok(egress < 2000 && ingress < 2000);
    for (const port of [vm, network]) assert.ok(!(port instanceof OffloadPort) || port.asked === 0);
  }
});

test("where the system lets one of them only, that direction alone has large frames", (t) => {
  const [egress, ingress] = slots(t, new OffloadPort(false), new OffloadPort());
  assert.ok(egress < 2000 && ingress > LARGEST_FRAME);
});
