/** Who may attach softnet, what of root's rights it keeps, and what the helper does for a softnet that an attacker has. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import test from "node:test";
import { LIMIT } from "../support/patience.ts";
import { needsReadable } from "../support/tools.ts";
import { Accounts, ALICE, BOB, threadsOf } from "./harness/accounts.ts";
import { attachedGuest, makeCard, masterOf } from "./harness/attached.ts";
import { until } from "./harness/program.ts";
import { Softnet, softnetArguments } from "./harness/softnet.ts";
import { BRIDGE, GATEWAY, Lab, labNeeds } from "./harness/topology.ts";

const MAC = "7e:1a:00:00:00:01";
const ADDRESS = "10.77.0.21";
const NEEDS = { ...labNeeds(), ...needsReadable(), ...LIMIT };

/** Starts softnet with the SUID bit as alice at a veth on the bridge. */
async function suid(
  lab: Lab,
  conf: string | undefined,
  more: readonly string[] = [],
): Promise<{ softnet: Softnet; port: string }> {
  const accounts = new Accounts(lab, conf === undefined ? {} : { conf });
  const namespace = lab.namespace("guest");
  const port = await makeCard(lab, "veth", { namespace, link: "vm0", mac: MAC, bridged: true });
  namespace.ipBatch([`address add ${ADDRESS}/24 dev vm0`, "link set vm0 up"]);
  const args = ["attach", port, "--vm-mac-address", MAC, "--vm-ip-address", ADDRESS, "--gateway", GATEWAY, ...more];
  return { softnet: new Softnet(accounts.start(softnetArguments(args, [accounts.suid]))), port };
}

for (const [what, conf, more, text] of [
  [
    "without a line",
    undefined,
    [],
    /attach a-vm0: .*"allow-attach a-vm0 user softnet-alice" into \/etc\/softnet\.conf/,
  ],
  ["with a line for another user", `allow-attach a-vm0 user ${BOB.name}\n`, [], /attach a-vm0: /],
  ["with a line for another interface", "allow-attach vnet0\n", [], /attach a-vm0: /],
  ["with a line for the bridge only", `allow-bridge ${BRIDGE}\n`, [], /attach a-vm0: /],
  ["to put it on another bridge", "allow-attach a-vm0\n", ["--bridge", BRIDGE], /--bridge br0: .*allow-bridge/],
] as const) {
  test(`SUID: attach ${what} is refused in one line, and the interface is as it was`, NEEDS, async (t) => {
    const lab = Lab.open(t);
    const { softnet, port } = await suid(lab, conf, more);
    assert.equal((await softnet.program.ended()).code, 1, softnet.program.text());
    assert.equal(softnet.program.stderr.length, 1, softnet.program.text());
    assert.match(softnet.program.stderr[0]!, text);
    assert.equal(masterOf(lab.host, port), BRIDGE);
  });
}

test("SUID with a line: attached, as the caller, with no rights and no eBPF descriptor left", NEEDS, async (t) => {
  const lab = Lab.open(t);
  const { softnet, port } = await suid(lab, `allow-attach a-vm0 user ${ALICE.name}\n`);
  await softnet.ready();
  const { pid } = softnet.program;
  const threads = threadsOf(pid);
  assert.ok(threads.length > 1);
  for (const { uid, capabilities } of threads) {
    assert.deepEqual(uid, Array(4).fill(ALICE.uid));
    assert.deepEqual(capabilities, Array(3).fill("0".repeat(16)));
  }
  const open = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return "";
    }
  });
  assert.deepEqual(
    open.filter((name) => name.includes("bpf")),
    [],
  );
  assert.equal(masterOf(lab.host, port), undefined);
  await softnet.stop();
});

test("the record that root's detach believes is root's alone", NEEDS, async (t) => {
  const lab = Lab.open(t);
  const guest = await attachedGuest(lab, ADDRESS);
  const { pid } = guest.softnet!.program;
  const own = readdirSync(`/proc/${pid}/fd`).map((fd) => readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"));
  assert.ok(own.length > 3);
  const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  const records = open.filter((name) => name.startsWith("/run/softnet/attached/"));
  assert.ok(
    records.every((name) => name.endsWith(".lock")),
    records.join(" "),
  );
  await until("it runs", () => guest.ping(GATEWAY));
});
