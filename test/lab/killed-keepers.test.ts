/** What a caller can leave behind who tries to kill softnet and all of its keepers at once: they are not his to kill. */
import assert from "node:assert/strict";
import test from "node:test";
import { Accounts, descendants } from "./harness/accounts.ts";
import { asBefore, hostState } from "./harness/nat.ts";
import { Lab, labNeeds } from "./harness/topology.ts";

const NAT = ["--vm-fd", "{vm}", "--vm-mac-address", "7e:1a:00:00:00:01", "--dns", "9.9.9.9"];

test("SUID: a caller who kills softnet and its keepers at once leaves no router behind", {
  ...labNeeds("nft"),
  timeout: 120_000,
}, async (t) => {
  const lab = Lab.open(t);
  lab.host.sysctl({ "net/ipv4/ip_forward": "0" });
  const before = await hostState(lab.host);
  const accounts = new Accounts(lab);
  const cable = accounts.cable(NAT, { program: [accounts.suid] });
  await cable.softnet.ready();
  const pid = await cable.pid("softnet");
  const pids = [...descendants(pid), pid];
  assert.ok(pids.length > 2);
  await accounts.start(["sh", "-c", `kill -KILL ${pids.join(" ")}`]).ended();
  await cable.ended("softnet");
  // If not at once, then the next softnet puts it right.
  const next = accounts.cable(NAT, { program: [accounts.suid] });
  await next.softnet.ready();
  await next.softnet.stop();
  await asBefore(lab.host, before);
});
