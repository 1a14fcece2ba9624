/** The express lane's IPv6 among real guests: what passes there, what ends it, and that without --ipv6 nothing does. */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import type { ControlClient } from "../../src/control/client.ts";
import { LIMIT } from "../support/patience.ts";
import { CARDS, type Card } from "./harness/attached.ts";
import { ControlPath, setPolicy } from "./harness/control.ts";
import type { Guest } from "./harness/guest.ts";
import { INTERNET6, ORDINARY6, online, openLab6, PREFIX, radvd, serve6 } from "./harness/ipv6.ts";
import { type Counts, goesOn, laneOf, passesBothWays, talkAt, talkTo } from "./harness/lane.ts";
import { attachedNatGuest } from "./harness/nat.ts";
import { addressIn, prefixOf, scene } from "./harness/nat6.ts";
import { type Program, sleep, until } from "./harness/program.ts";
import { assertInnocent } from "./harness/softnet.ts";
import { INTERNET, type Lab, labNeeds, SIDE_BY_SIDE, tool } from "./harness/topology.ts";

const SIZE = 8 << 20;
const MAC = "7e:1a:00:00:00:a7";
/** Bytes of a frame that is not cut. */
const LONGEST = 1514;

interface Scene {
  readonly lab: Lab;
  readonly guest: Guest;
  readonly client: ControlClient;
  /** The guest's global address. */
  readonly address: string;
}

const open = (t: TestContext, ...args: readonly string[]): Promise<Scene> => openAt(t, "veth", ...args);

async function openAt(t: TestContext, card: Card, ...args: readonly string[]): Promise<Scene> {
  const lab = openLab6(t);
  await radvd(lab);
  await serve6(lab);
  const control = new ControlPath(lab);
  const guest = await lab.guest({ card, bare: false, args: ["--ipv6", ...control.options, ...args] });
  const client = await control.client();
  t.after(() => client.close());
  return { lab, guest, client, address: await online(guest.namespace, guest.link) };
}

/** The same behind nat. */
async function openNat(t: TestContext): Promise<Scene> {
  const { lab } = await scene(t);
  await serve6(lab);
  const control = new ControlPath(lab);
  const args = ["--dns", INTERNET, "--ipv6", ...control.options];
  const guest = await attachedNatGuest(lab, "veth", { link: "nat0", mac: MAC, args });
  const client = await control.client();
  t.after(() => client.close());
  return { lab, guest, client, address: await addressIn(guest, prefixOf(guest)) };
}

async function hearing({ lab, guest }: Scene): Promise<Program> {
  await talkAt(lab, INTERNET6);
  return talkTo(guest, INTERNET6);
}

/** Most of SIZE has passed, in large frames or in none; acknowledgements of what went the other way make up little. */
function assertMost({ frames, bytes }: Counts, large: boolean): void {
  assert.ok(bytes > 0.8 * SIZE, `${bytes} of ${SIZE} bytes`);
  assert.equal(bytes / frames > LONGEST, large, `${bytes} bytes in ${frames} frames`);
}

const PLACES: Readonly<Record<string, (t: TestContext) => Promise<Scene>>> = {
  ...Object.fromEntries(CARDS.map((card) => [card, (t: TestContext) => openAt(t, card)])),
  nat: openNat,
};

/** Waits until a count stays the same for a time, milliseconds: a watching program may be late on a busy machine. */
async function staysAt(what: string, count: () => number, time: number): Promise<void> {
  await until(what, async () => {
    const before = count();
    await sleep(time);
    return count() === before || undefined;
  });
}

suite("the express lane with IPv6", SIDE_BY_SIDE, () => {
  for (const [place, openPlace] of Object.entries(PLACES)) {
    test(`${place}: most of a transfer each way passes there, in large frames where its sender makes them`, {
      ...labNeeds("radvd", "nft"),
      ...LIMIT,
    }, async (t) => {
      const { guest, client } = await openPlace(t);
      assert.equal(await guest.download(SIZE, `[${INTERNET6}]`), SIZE);
      const upload = [tool("upload.ts"), `http://[${INTERNET6}]/`, `${SIZE}`];
      const { stdout, stderr } = await guest.namespace.run(process.execPath, upload);
      assert.equal(stdout.trim(), `${SIZE}`, stderr);
      const { state, egress, ingress } = await laneOf(client);
      assert.equal(state, "on");
      assertMost(ingress, true);
      // This card's driver is not told of offloads.
      assertMost(egress, place !== "tap");
      assertInnocent(await guest.stop(), ...ORDINARY6);
    });
  }

  test("most of a download passes there where nobody makes large frames of it", {
    ...labNeeds("radvd"),
    ...LIMIT,
  }, async (t) => {
    const { lab, guest, client } = await open(t);
    lab.internet.ip("link", "set", "up0", "gso_max_segs", "1");
    assert.equal(await guest.download(SIZE, `[${INTERNET6}]`), SIZE);
    const { ingress } = await laneOf(client);
    assertMost(ingress, false);
    assertInnocent(await guest.stop(), ...ORDINARY6);
  });

  test("a policy that changes ends what passes there in the same instant, and what it allows comes back", {
    ...labNeeds("radvd"),
    ...LIMIT,
  }, async (t) => {
    const scene = await open(t, "--reject");
    const { lab, guest, client, address } = scene;
    const hearer = await hearing(scene);
    await passesBothWays(client);
    const behind = await lab.watch(lab.internet, "up0");
    const arrived = (): number => behind.count(({ sent, ip6 }) => !sent && ip6?.source === address);
    await until("the VM's frames are seen", async () => arrived() > 0 || undefined);
    await setPolicy(client, [], [`${INTERNET6}/128`]);
    await hearer.line(/^reset$/);
    await staysAt("frames of the VM's end", arrived, 1_000);
    await setPolicy(client, [], []);
    await goesOn(await talkTo(guest, INTERNET6));
    await passesBothWays(client);
  });

  test("softnet hangs (SIGSTOP): nothing passes there after a second, and it goes on afterwards", {
    ...labNeeds("radvd"),
    ...LIMIT,
  }, async (t) => {
    const scene = await open(t);
    const { lab, guest, client, address } = scene;
    const hearer = await hearing(scene);
    await passesBothWays(client);
    const card = await lab.watch(guest.namespace, guest.link);
    const heard = (): number => card.count(({ sent, ip6 }) => !sent && ip6?.destination === address);
    await until("frames to the VM are seen", async () => heard() > 0 || undefined);
    guest.softnet!.program.signal("SIGSTOP");
    await sleep(3_000);
    const before = heard();
    await sleep(2_000);
    assert.equal(heard(), before);
    guest.softnet!.program.signal("SIGCONT");
    await goesOn(hearer);
    await passesBothWays(client);
  });

  test("S11 an address that the VM uses in the lane alone keeps its place when it makes itself seventeen more", {
    ...labNeeds("radvd"),
    ...LIMIT,
  }, async (t) => {
    const scene = await open(t);
    const { guest, client, address } = scene;
    const hearer = await hearing(scene);
    await passesBothWays(client);
    const added = Array.from({ length: 17 }, (_, index) => `${PREFIX}${(0x7000 + index).toString(16)}`);
    guest.namespace.ipBatch(added.map((one) => `address add ${one}/64 dev ${guest.link}`));
    const bound = async (): Promise<readonly string[]> => {
      const { ipv6 } = (await client.ask("softnet.status")) as { ipv6: readonly { readonly address: string }[] };
      return ipv6.map((one) => one.address).filter((one) => !one.startsWith("fe80:"));
    };
    await until("all places are taken", async () => (await bound()).length === 16 || undefined);
    assert.ok((await bound()).includes(address), "two others made room");
    await goesOn(hearer);
    await passesBothWays(client);
    assertInnocent(await guest.stop(), ...ORDINARY6);
  });
});
