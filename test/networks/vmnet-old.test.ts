/** macOS before 12: port forwarding by the older pair of calls, and no packet limits. One stand-in a process: a file of its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openVmnet } from "../../src/networks/vmnet/vmnet.ts";
import { parseIPv4 } from "../../src/wire/address.ts";
import { until } from "../support/running.ts";
import { assertNothingHeld, needsTwin, twin } from "../support/twin.ts";

test("exposed ports by the older pair of calls", needsTwin(), async () => {
  const { native, control } = twin(11);
  assert.equal(native.vmnet.networks, undefined);
  assert.deepEqual([native.vmnet.keys.readMaxPackets, native.vmnet.keys.writeMaxPackets], [0, 0]);
  const warnings: string[] = [];
  const network = await openVmnet(native, {
    type: "nat",
    isolated: true,
    expose: "2222:22",
    warn: (message) => warnings.push(message),
  });
  network.followAddress!(parseIPv4("192.168.64.7")!);
  await until("the rule", () => control.count("rules") === 1);
  const rules = (): unknown => control.describe("rules");
  const to = (internalAddress: string) => [{ protocol: 6, externalPort: 2222, internalAddress, internalPort: 22 }];
  assert.deepEqual(rules(), to("192.168.64.7"));
  network.followAddress!(parseIPv4("192.168.64.200")!);
  await until("it moved", () => JSON.stringify(rules()) === JSON.stringify(to("192.168.64.200")));
  network.followAddress!(0);
  await until("no rule", () => control.count("rules") === 0);
  await network.close();
  assert.deepEqual(warnings, []);
  await assertNothingHeld();
});
