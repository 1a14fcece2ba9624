/** Limits among real guests: what they hold back, and what they never do. */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import type { ControlClient } from "../../src/control/client.ts";
import { LIMIT } from "../support/patience.ts";
import { attachedGuest } from "./harness/attached.ts";
import { udhcpc } from "./harness/clients.ts";
import { ControlPath } from "./harness/control.ts";
import type { Guest } from "./harness/guest.ts";
import { until } from "./harness/program.ts";
import { DhcpServer } from "./harness/servers.ts";
import { GATEWAY, INTERNET, Lab, labNeeds, SIDE_BY_SIDE } from "./harness/topology.ts";

const ADDRESS = "10.77.0.21";
const NEEDS = { ...labNeeds(), ...LIMIT };
const DHCP_NEEDS = { ...labNeeds("dnsmasq", "udhcpc"), ...LIMIT };

interface Held {
  readonly delayed: number;
  readonly dropped: number;
}

interface Status {
  readonly limits: { readonly limits: readonly string[]; readonly egress: Held; readonly ingress: Held };
  readonly lane: { readonly egress: { readonly frames: number }; readonly ingress: { readonly frames: number } };
  readonly counters: { readonly egress: { readonly drops: Record<string, number> } };
}

async function statusOf(client: ControlClient): Promise<Status> {
  return (await client.ask("softnet.status")) as unknown as Status;
}

/** UDP packets of 1,000 bytes, so many, as fast as the guest can send; it ends by itself. */
const FLOOD = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[2])):
    try: s.sendto(bytes(1000), (sys.argv[1], 9))
    except BlockingIOError: pass
`;

async function flood(guest: Guest, packets: number): Promise<void> {
  const { code, stderr } = await guest.namespace.run("/usr/bin/python3", ["-c", FLOOD, INTERNET, String(packets)]);
  assert.equal(code, 0, stderr);
}

async function open(t: TestContext, ...args: string[]) {
  const lab = Lab.open(t);
  const control = new ControlPath(lab);
  const given = ["--vm-ip-address", ADDRESS, "--gateway", GATEWAY, ...control.options, ...args];
  const guest = await lab.guest({ address: `${ADDRESS}/24`, args: given });
  const client = await control.client();
  t.after(() => client.close());
  return { lab, guest, client };
}

suite("limits", SIDE_BY_SIDE, () => {
  test(
    "L15 a flood is held back with its reason; a download and an upload behind limits come whole",
    NEEDS,
    async (t) => {
      const { lab, guest, client } = await open(t, "--limit", "out 4M/s, in 4M/s");
      await lab.services();
      assert.equal(await guest.download(2 << 20), 2 << 20);
      const { limits } = await statusOf(client);
      assert.deepEqual(limits.limits, ["out 4M/s burst 400K", "in 4M/s burst 400K"]);
      assert.ok(limits.ingress.delayed > 0, "nothing waited");
      await flood(guest, 20_000);
      assert.ok((await statusOf(client)).limits.egress.dropped > 0);
      assert.equal(await guest.download(2 << 20), 2 << 20);
      // Counters take it over within a tick.
      await until("the drops are counted with their reason", async () => {
        const { counters, limits } = await statusOf(client);
        return counters.egress.drops["limit.rate"] === limits.egress.dropped;
      });
    },
  );

  test("a limit is changed while softnet runs, and a wrong one changes nothing", NEEDS, async (t) => {
    const { guest, client } = await open(t);
    await flood(guest, 3000);
    assert.equal((await statusOf(client)).limits.egress.dropped, 0);
    const answer = await client.ask("softnet.limits.set", { limits: ["out 100K/s", "flows 5/s burst 5"] });
    assert.deepEqual(answer.limits, ["out 100K/s burst 131072", "flows 5/s burst 5"]);
    await flood(guest, 3000);
    const { dropped } = (await statusOf(client)).limits.egress;
    assert.ok(dropped > 0);
    await assert.rejects(client.ask("softnet.limits.set", { limits: ["out 1/s"] }), /the rate is out of range/);
    assert.deepEqual((await client.ask("softnet.limits.get")).limits, answer.limits);
    await client.ask("softnet.limits.set", { limits: [] });
    await flood(guest, 3000);
    assert.equal((await statusOf(client)).limits.egress.dropped, dropped);
    assert.ok(await guest.ping(INTERNET));
  });

  test("L15 a VM that sends far more than its limit gets a lease and renews it meanwhile", DHCP_NEEDS, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    const guest = await lab.guest({ args: ["--limit", "out 10K/s"] });
    const client = udhcpc(guest);
    const { address } = await client.event(/bound/);
    guest.setAddress(`${address}/24`);
    const sending = flood(guest, 60_000);
    client.program.signal("SIGUSR1"); // renew now
    assert.equal((await client.event(/renew/)).address, address);
    await client.program.stop("SIGTERM");
    await sending;
    const summary = await guest.stop();
    assert.ok(summary.drops["limit.rate"]! > 0, "the limit was never used up");
  });

  test(
    "an attached VM's limited direction comes through softnet, the other one passes in the lane",
    NEEDS,
    async (t) => {
      const lab = Lab.open(t);
      const control = new ControlPath(lab);
      const guest = await attachedGuest(lab, ADDRESS, "veth", [...control.options, "--limit", "out 10M/s"]);
      const client = await control.client();
      t.after(() => client.close());
      await lab.services();
      assert.equal(await guest.download(4 << 20), 4 << 20);
      const { lane } = await statusOf(client);
      assert.equal(lane.egress.frames, 0);
      assert.ok(lane.ingress.frames > 0);
      await client.ask("softnet.limits.set", { limits: [] });
      assert.equal(await guest.download(4 << 20), 4 << 20);
      assert.ok((await statusOf(client)).lane.egress.frames > 0);
    },
  );
});
