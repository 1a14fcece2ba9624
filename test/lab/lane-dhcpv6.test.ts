/** A lease of DHCPv6 and a transfer in the express lane: what passes there ends with the lease, and lives while it is renewed. */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import type { ControlClient } from "../../src/control/client.ts";
import { LONG_LIMIT } from "../support/patience.ts";
import { ControlPath } from "./harness/control.ts";
import type { Guest } from "./harness/guest.ts";
import { dhclient6, dhcp6, INTERNET6, ORDINARY6, online, openLab6, PREFIX, radvd } from "./harness/ipv6.ts";
import { goesOn, laneOf, passesBothWays, talkAt, talkTo } from "./harness/lane.ts";
import { type Program, sleep, until } from "./harness/program.ts";
import { assertInnocent } from "./harness/softnet.ts";
import { BRIDGE, type Lab, labNeeds, SIDE_BY_SIDE } from "./harness/topology.ts";
import type { Seen, Watch } from "./harness/watch.ts";

const LIFETIMES = { renew: 5, rebind: 20, preferred: 25, valid: 30 };
const LEASE = LIFETIMES.valid * 1000;
/** Milliseconds that a frame may take from the judge to where it is watched, on a busy machine. */
const UNDER_WAY = 200;
/** Milliseconds before the lease's end. The lane would stay open for 500 more at the least (docs/lane.md). */
const LATEST = 100;
/** The port of DHCPv6 clients (RFC 8415 7.2). */
const CLIENT_PORT = 546;
/** Both directions are judged, each connection by its flow (docs/policy.md). */
const STATEFUL = ["--block", "in ::/0"];
const NEEDS = { ...labNeeds("radvd", "kea-dhcp6", "dhclient"), ...LONG_LIMIT };

interface Scene {
  readonly lab: Lab;
  readonly guest: Guest;
  readonly client: ControlClient;
  /** The guest's DHCPv6 client. */
  readonly dhclient: Program;
  /** What it got. */
  readonly address: string;
  /** The guest's transfer, both ways, from that address. */
  readonly talker: Program;
  /** On the guest's side of softnet, and behind it. */
  readonly card: Watch;
  readonly bridge: Watch;
}

async function open(t: TestContext, ...args: readonly string[]): Promise<Scene> {
  const lab = openLab6(t);
  await radvd(lab, true);
  await dhcp6(lab, "kea-dhcp6", LIFETIMES);
  await talkAt(lab, INTERNET6);
  const control = new ControlPath(lab);
  const guest = await lab.guest({ card: "veth", bare: false, args: ["--ipv6", ...control.options, ...args] });
  const client = await control.client();
  t.after(() => client.close());
  const card = await lab.watch(guest.namespace, guest.link);
  const bridge = await lab.watch(lab.host, BRIDGE);
  const dhclient = await dhclient6(guest);
  await dhclient.line(/^EVENT BOUND6 /);
  const address = await online(guest.namespace, guest.link);
  assert.ok(address.startsWith(`${PREFIX}1`));
  const talker = await talkTo(guest, INTERNET6, "exchange");
  await passesBothWays(client);
  return { lab, guest, client, dhclient, address, talker, card, bridge };
}

interface Status {
  readonly ipv6: readonly { readonly address: string; readonly origin: string }[];
  readonly counters: Readonly<Record<"egress" | "ingress", { readonly drops: Readonly<Record<string, number>> }>>;
}

const statusOf = async (client: ControlClient): Promise<Status> =>
  (await client.ask("softnet.status")) as unknown as Status;

async function isLeased({ client, address }: Scene): Promise<boolean> {
  return (await statusOf(client)).ipv6.some((one) => one.address === address && one.origin === "dhcpv6");
}

/** When the latest lease ends, milliseconds since 1970: softnet has read the REPLY shortly before it was at the card. */
function endOf({ card }: Scene): number {
  const reply = card.frames.findLast(({ sent, ip6 }) => !sent && ip6?.udp?.destination === CLIENT_PORT);
  return reply!.time + LEASE;
}

/** The client goes without a word, and the guest keeps its address, whose lease ends. Returns when. */
async function abandon(scene: Scene): Promise<number> {
  const { guest, dhclient, address } = scene;
  await dhclient.line(/^EVENT RENEW6 /);
  await dhclient.stop("SIGKILL");
  guest.namespace.ip(
    ...["-6", "address", "replace", `${address}/128`, "dev", guest.link],
    ...["valid_lft", "forever", "preferred_lft", "forever"],
  );
  return endOf(scene);
}

/** The last of these frames was before the end, or under way then. */
function assertLast(frames: readonly Seen[], end: number): void {
  const last = frames.at(-1)!.time - end;
  assert.ok(last > -LEASE / 2, "passed nearly until the end");
  assert.ok(last < UNDER_WAY, `${last} ms after the lease's end`);
}

/** After the lease's end nothing has passed from the address nor to it, though both ends have gone on to send. */
async function assertEnded(scene: Scene, end: number): Promise<void> {
  const { client, guest, bridge, card, address } = scene;
  const before = await laneOf(client);
  await until("both ends have sent in vain", async () => {
    const { egress, ingress } = (await statusOf(client)).counters;
    const [out = 0, back = 0] = [egress.drops["ipv6.source"], ingress.drops["ipv6.unbound"]];
    return out > 2 && back > 2;
  });
  await sleep(2_000); // what is on its way to the watching programs, too
  assert.deepEqual(await laneOf(client), before);
  assert.ok(card.some(({ sent, ip6, time }) => sent && ip6?.source === address && time > end + UNDER_WAY));
  assertLast(
    bridge.frames.filter(({ sent, ip6 }) => !sent && ip6?.source === address),
    end,
  );
  const received = card.frames.filter(
    ({ sent, ip6 }) => !sent && ip6?.destination === address && ip6.icmp === undefined,
  );
  assertLast(received, end);
  assert.ok(guest.softnet!.records.some((record) => record.message === "binding lost" && record.address === address));
}

suite("the express lane and leases of DHCPv6", SIDE_BY_SIDE, () => {
  test("while the client renews, a transfer passes there beyond its first lease's end", NEEDS, async (t) => {
    const scene = await open(t);
    const { guest, client, dhclient, talker } = scene;
    await sleep(endOf(scene) + 1_000 - Date.now());
    assert.ok(dhclient.count(/^EVENT RENEW6 /) > 0);
    await goesOn(talker);
    await passesBothWays(client);
    assert.ok(await isLeased(scene));
    assert.equal(talker.exit, undefined);
    assertInnocent(await guest.stop(), ...ORDINARY6);
  });

  for (const [policy, args] of [
    ["stateless", []],
    ["stateful", STATEFUL],
  ] as const) {
    test(
      `a lease ends, ${policy} policy: nothing of its address passes there from that moment on`,
      NEEDS,
      async (t) => {
        const scene = await open(t, ...args);
        const { guest, client, talker } = scene;
        const end = await abandon(scene);
        await passesBothWays(client);
        await until("the lease's end", async () => !(await isLeased(scene)));
        await assertEnded(scene, end);
        await (await dhclient6(guest)).line(/^EVENT (BOUND|RENEW|REBIND)6 /);
        assert.ok(await isLeased(scene), "another address");
        await goesOn(talker);
        await passesBothWays(client);
      },
    );
  }

  test("a lease ends while softnet hangs: nothing of its address passes from that moment on", NEEDS, async (t) => {
    const scene = await open(t, ...STATEFUL);
    const end = await abandon(scene);
    await sleep(end - LATEST - Date.now());
    const { program } = scene.guest.softnet!;
    program.signal("SIGSTOP");
    await sleep(3_000);
    program.signal("SIGCONT");
    await until("softnet has seen the end", async () => !(await isLeased(scene)));
    await assertEnded(scene, end);
  });
});
