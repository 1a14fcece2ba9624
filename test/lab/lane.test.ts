/** The express lane among real guests: what passes there, what ends it, and what it never passes. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import type { ControlClient } from "../../src/control/client.ts";
import { LIMIT } from "../support/patience.ts";
import { attachedGuest, CARDS, type Card } from "./harness/attached.ts";
import { lease } from "./harness/clients.ts";
import { ControlPath, setPolicy } from "./harness/control.ts";
import type { Guest } from "./harness/guest.ts";
import { type Counts, goesOn, type LaneStatus, laneOf, talkAt, talkTo } from "./harness/lane.ts";
import { attachedNatGuest } from "./harness/nat.ts";
import { sleep, until } from "./harness/program.ts";
import { assertInnocent } from "./harness/softnet.ts";
import { BRIDGE, INTERNET, Lab, labNeeds, SIDE_BY_SIDE, tool } from "./harness/topology.ts";

const ADDRESS = "10.77.0.21";
const OTHER = "10.77.0.22";
const PYTHON = "/usr/bin/python3";
const SIZE = 8 << 20;
const PORT = "7000";
/** Connections that are opened and closed, one after the other. */
const CONNECTIONS = Number(process.env.SOFTNET_CONNECTIONS ?? 10_000);

interface Scene {
  readonly lab: Lab;
  readonly guest: Guest & { readonly port: string };
  readonly client: ControlClient;
}

async function open(t: TestContext, card: Card = "veth", ...args: readonly string[]): Promise<Scene> {
  const lab = Lab.open(t);
  const control = new ControlPath(lab);
  const guest = await attachedGuest(lab, ADDRESS, card, [...control.options, ...args]);
  const client = await control.client();
  t.after(() => client.close());
  return { lab, guest, client };
}

/** Frames that passed in the lane, both ways. */
async function passed(client: ControlClient): Promise<number> {
  const { egress, ingress } = await laneOf(client);
  return egress.frames + ingress.frames;
}

/** Frames from the VM that found no room in its softnet's queue, and new flows that found none in its table. */
async function dropsOf(client: ControlClient): Promise<[queue: number, full: number]> {
  const { counters } = (await client.ask("softnet.status")) as {
    counters: { egress: { drops: Record<string, number> } };
  };
  const { drops } = counters.egress;
  return [drops["host.queue"] ?? 0, drops["flow.full"] ?? 0];
}

/** Waits until more frames have passed in the lane. */
async function passesMore(client: ControlClient): Promise<void> {
  const before = await passed(client);
  await until("more passes in the lane", async () => (await passed(client)) > before || undefined);
}

suite("the express lane", SIDE_BY_SIDE, () => {
  for (const card of CARDS) {
    test(`${card}: most of a download passes there, and is counted`, { ...labNeeds("nft"), ...LIMIT }, async (t) => {
      const { lab, guest, client } = await open(t, card);
      const { stdout: tables } = await lab.host.run("nft", ["list", "tables"]);
      assert.doesNotMatch(tables, /softnet/, "the host need not follow connections for a VM on a bridge");
      await lab.services();
      assert.equal(await guest.download(SIZE), SIZE);
      const status = await client.ask("softnet.status");
      const { state, egress, ingress } = status.lane as LaneStatus;
      const all = status.counters as { egress: Counts; ingress: Counts };
      assert.equal(state, "on");
      assert.ok(ingress.bytes > 0.8 * SIZE, `${ingress.bytes} of ${SIZE} bytes`);
      assert.ok(egress.frames > 0);
      assert.ok(all.ingress.bytes > SIZE && all.ingress.bytes >= ingress.bytes);
      const summary = await guest.stop();
      assertInnocent(summary);
      const { "ingress-frames": frames } = guest.softnet!.records.findLast(({ message }) => message === "summary")!;
      assert.ok(Number(frames) >= all.ingress.frames, "the summary counts what passed in the lane");
    });
  }

  test("behind nat, too", { ...labNeeds("nft", "udhcpc"), ...LIMIT }, async (t) => {
    const lab = Lab.open(t);
    await lab.services();
    const control = new ControlPath(lab);
    const args = ["--dns", INTERNET, ...control.options];
    const guest = await attachedNatGuest(lab, "veth", { link: "n1", mac: "7e:1a:00:00:01:91", args });
    const client = await control.client();
    t.after(() => client.close());
    await lease(guest);
    assert.equal(await guest.download(SIZE), SIZE);
    assert.ok((await laneOf(client)).ingress.bytes > 0.8 * SIZE);
  });

  test("a policy that changes ends what passes there in the same instant, and what it allows comes back", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const { lab, guest, client } = await open(t, "veth", "--reject");
    await talkAt(lab, INTERNET);
    const hearer = await talkTo(guest, INTERNET);
    await passesMore(client);
    const behind = await lab.watch(lab.internet, "up0");
    const arrived = (): number => behind.count(({ sent, ip }) => !sent && ip?.source === ADDRESS);
    await until("the VM's frames are seen", async () => arrived() > 0 || undefined);
    await setPolicy(client, [], [`${INTERNET}/32`]);
    await hearer.line(/^reset$/);
    await sleep(500); // what was under way to the watching program
    const last = arrived();
    await sleep(1_000);
    assert.equal(arrived(), last, "frames of the VM's afterwards");
    const before = await passed(client);
    await setPolicy(client, [], []);
    await goesOn(await talkTo(guest, INTERNET));
    await passesMore(client);
    assert.ok((await passed(client)) > before);
  });

  test("turned off and on while a connection goes on", { ...labNeeds(), ...LIMIT }, async (t) => {
    const { lab, guest, client } = await open(t);
    await talkAt(lab, INTERNET);
    const hearer = await talkTo(guest, INTERNET);
    await passesMore(client);
    assert.equal((await client.ask("softnet.lane.set", { state: "off" })).state, "off");
    const off = await passed(client);
    await goesOn(hearer);
    await sleep(500);
    assert.equal(await passed(client), off);
    assert.equal((await client.ask("softnet.lane.set", { state: "on" })).state, "on");
    await passesMore(client);
    assertInnocent(await guest.stop());
  });

  test("softnet hangs (SIGSTOP): nothing passes there after a second, and it goes on afterwards", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const { lab, guest, client } = await open(t);
    await talkAt(lab, INTERNET);
    const hearer = await talkTo(guest, INTERNET);
    await passesMore(client);
    const card = await lab.watch(guest.namespace, guest.link);
    guest.softnet!.program.signal("SIGSTOP");
    await sleep(3_000);
    const before = card.count(({ sent }) => !sent);
    await sleep(2_000);
    assert.equal(
      card.count(({ sent }) => !sent),
      before,
    );
    guest.softnet!.program.signal("SIGCONT");
    await goesOn(hearer);
    await passesMore(client);
  });

  test("softnet is killed under load: from then on nothing of the VM's arrives anywhere", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const { lab, guest, client } = await open(t, "tap-offloads");
    await talkAt(lab, INTERNET);
    await talkTo(guest, INTERNET);
    await passesMore(client);
    guest.softnet!.program.kill();
    await guest.softnet!.program.ended();
    const everywhere = [await lab.watch(lab.host, BRIDGE), await lab.watch(lab.internet, "up0")];
    const card = await lab.watch(guest.namespace, guest.link);
    await sleep(1_500);
    for (const seen of everywhere)
      assert.equal(
        seen.count(({ source, ip }) => source === guest.mac || ip?.source === ADDRESS),
        0,
      );
    // The stand-in for a hypervisor has a card of its own there, which says something in IPv6.
    const arrived = card.frames.filter(({ sent, ip, arp }) => !sent && (ip !== undefined || arp !== undefined));
    assert.deepEqual(arrived, []);
  });

  for (const [option, why] of [
    [["--no-express-lane"], /^--no-express-lane$/],
    [["--capture", "CAPTURE"], /^--capture records every frame/],
  ] as const) {
    test(`${option[0]}: there is none, status says why, and nothing else changes`, {
      ...labNeeds(),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await lab.services();
      const control = new ControlPath(lab);
      const args = option.map((word) => (word === "CAPTURE" ? join(lab.directory, "all.pcapng") : word));
      const guest = await attachedGuest(lab, ADDRESS, "veth", [...control.options, ...args]);
      const client = await control.client();
      t.after(() => client.close());
      assert.equal(await guest.download(1 << 20), 1 << 20);
      const lane = await laneOf(client);
      assert.equal(lane.state, "none");
      assert.match(lane.why ?? "", why);
      await assert.rejects(client.ask("softnet.lane.set", { state: "on" }), /there is no express lane/);
      assertInnocent(await guest.stop());
    });
  }

  test("L14 a flood of new flows fills the VM's own queue and table, with reasons, and leaves a neighbour's lane alone", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const { lab, guest: neighbour, client } = await open(t);
    const control = new ControlPath(lab);
    const flooder = await attachedGuest(lab, OTHER, "veth", [...control.options, "--block", "in 0.0.0.0/0"]);
    const ofFlooder = await control.client();
    t.after(() => ofFlooder.close());
    await lab.services();
    await talkAt(lab, INTERNET);
    const hearer = await talkTo(neighbour, INTERNET);
    await passesMore(client);
    const flood = flooder.start(PYTHON, [tool("new_flows.py"), INTERNET]);
    await flood.line(/^begun$/);
    /** Waits until more of the flood's frames were dropped, for both reasons. */
    const floods = async (): Promise<void> => {
      const [queue, full] = await dropsOf(ofFlooder);
      await until("the flood fills queue and table", async () => {
        const [more, fuller] = await dropsOf(ofFlooder);
        return (more > queue && fuller > full) || undefined;
      });
    };
    await floods();
    const before = await laneOf(client);
    assert.equal(await neighbour.download(SIZE), SIZE, "a new connection of the neighbour's");
    const after = await laneOf(client);
    assert.ok(after.ingress.bytes - before.ingress.bytes > 0.8 * SIZE);
    await goesOn(hearer);
    await passesMore(client);
    await floods(); // it has not ended meanwhile
    const { flows } = (await ofFlooder.ask("softnet.status")) as { flows: { inUse: number } };
    assert.ok(flows.inUse <= 32_768, `${flows.inUse} flows`);
    await flood.stop("SIGKILL");
    await flooder.stop();
    assertInnocent(await neighbour.stop());
  });

  for (const [policy, args] of [
    ["no rules", []],
    ["flows decide", ["--block", "in 0.0.0.0/0"]],
  ] as const) {
    test(`${CONNECTIONS} connections are opened and closed, and each one ends: ${policy}`, {
      ...labNeeds("gcc"),
      ...LIMIT,
    }, async (t) => {
      const { lab, guest, client } = await open(t, "veth", ...args);
      const program = join(lab.directory, "connections");
      execFileSync("gcc", ["-O2", "-o", program, tool("connections.c")]);
      for (const namespace of [guest.namespace, lab.internet]) {
        namespace.sysctl({ "net/ipv4/ip_local_port_range": "1024 65535", "net/ipv4/tcp_max_syn_backlog": "8192" });
      }
      await lab.start(lab.internet, program, ["serve", INTERNET, PORT]).line(/^ready$/);
      const { stdout, stderr } = await guest.namespace.run(
        program,
        ["open", INTERNET, PORT, String(CONNECTIONS), "16"],
        600_000,
      );
      const [rate, failed, hung] = stdout.split(" ").map(Number);
      t.diagnostic(`${rate} a second`);
      assert.deepEqual([failed, hung], [0, 0], stderr);
      assert.ok(
        (await passed(client)) > CONNECTIONS,
        "a part of each passes in the lane, also where closed ones fill the table",
      );
      assertInnocent(await guest.stop());
    });
  }
});
