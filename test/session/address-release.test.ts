/** What a session does with the VM's DHCPv6 addresses at its end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Network } from "../../src/networks/network.ts";
import { Batch, strideFor } from "../../src/relay/batch.ts";
import { releaseAddresses } from "../../src/session/address-release.ts";
import { Log } from "../../src/telemetry/log.ts";
import { LEASED, leased } from "../guard/ipv6/dhcpv6-support.ts";
import { Bench6 } from "../guard/ipv6/support.ts";
import { VM } from "../guard/support.ts";
import { FakePort } from "../relay/fakes.ts";

function ending(bench: Bench6, { movedAway = false, longest = 1514, port = new FakePort("network") } = {}) {
  const lines: Record<string, unknown>[] = [];
  const log = new Log({ level: "debug", format: "json", write: (line) => lines.push(JSON.parse(line)) > 0 });
  const batch = new Batch(new Uint8Array(2 * strideFor(longest)), 0, 2, strideFor(longest));
  const network = { label: "bridge br0", port } as unknown as Network;
  const { guard } = bench;
  releaseAddresses({ registration: undefined, guard, network, batch, vmMac: VM, movedAway, log });
  return { sent: port.taken.length, log: lines.map(({ message, address, why }) => [message, address, why]) };
}

test("an address that a DHCPv6 server gave is given back, those of SLAAC are nobody's", () => {
  const { sent, log } = ending(leased());
  assert.equal(sent, 1);
  assert.deepEqual(log, [["address given back", LEASED, undefined]]);
  assert.deepEqual(ending(new Bench6().start()), { sent: 0, log: [] });
});

test("one whose lease is over, or that the VM gave back, is not", () => {
  const bench = leased();
  bench.wait(3600 * 1_000_000);
  assert.deepEqual(ending(bench), { sent: 0, log: [] });
});

test("of a VM that has moved to another host, with an MTU that is too small, and by a port that fails nothing is", () => {
  const moved = "the address is not given back: the VM was heard from elsewhere on the network, so it has moved";
  assert.deepEqual(ending(leased(), { movedAway: true }), { sent: 0, log: [[moved, LEASED, undefined]] });
  const failed = "the address could not be given back";
  assert.deepEqual(ending(leased(), { longest: 100 }), {
    sent: 0,
    log: [[failed, LEASED, "the message is longer than the MTU"]],
  });
  const port = new FakePort("network");
  port.send = () => {
    throw new Error("closed");
  };
  assert.deepEqual(ending(leased(), { port }), { sent: 0, log: [[failed, LEASED, "closed"]] });
});
