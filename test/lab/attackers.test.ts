/**
 * Attacks by independent tools and by scapy. Each is made twice: bare, where it must work, for an attack that never bit
 * proves nothing; and with softnet in front of the attacker, where it must not. The victim is bare both times and the
 * attacker's port is not isolated, so that it is the guard which stops the attack, and nothing else.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT, PATIENCE } from "../support/patience.ts";
import type { Tool } from "../support/tools.ts";
import { type DhcpClient, lease, noLease, udhcpc } from "./harness/clients.ts";
import { type Guest, neighbourMac } from "./harness/guest.ts";
import { type Program, sleep } from "./harness/program.ts";
import { DhcpServer } from "./harness/servers.ts";
import { assertDropped } from "./harness/softnet.ts";
import { BRIDGE_MAC, GATEWAY, INTERNET, Lab, labNeeds, NEIGHBOUR, SIDE_BY_SIDE, tool } from "./harness/topology.ts";

const PYTHON = "/usr/bin/python3";
const ATTACKER = "10.77.0.66/24";
const VICTIM = "10.77.0.77";
/** An address that the DHCP servers give out, but not first. */
const OTHER = "10.77.0.140";
/** Rules that let the attacker reach everything, so that only what is forged is dropped. */
const OPEN = ["--allow", "0.0.0.0/0"];
/** Milliseconds in which an effect would have shown, once the tool has done its part: it must not. */
const UNSEEN = 2_000;

interface Scene {
  readonly lab: Lab;
  readonly attacker: Guest;
  readonly victim: Guest;
}

interface Attack {
  readonly name: string;
  readonly tools: readonly Tool[];
  /** Options of the attacker's softnet; default: no isolation, every destination. */
  readonly args?: readonly string[];
  /** True: both take their addresses from a DHCP server that the attack brings; else they are given them. */
  readonly dhcp?: boolean;
  /** Makes the attack; answers whether it worked. Waits for success as long as `patience` says. */
  readonly made: (scene: Scene, patience: number) => Promise<boolean>;
  /** Drop reasons, one of which the guard must have had. */
  readonly reasons: readonly string[];
}

const ATTACKS: readonly Attack[] = [
  {
    name: "arpspoof takes the gateway's place at a neighbour (A1)",
    tools: ["arpspoof"],
    reasons: ["arp.sender-address"],
    async made({ attacker, victim }, patience) {
      assert.ok(await victim.ping(GATEWAY));
      const spoof = attacker.start("arpspoof", ["-i", attacker.link, "-t", VICTIM, GATEWAY]);
      return await happens(spoof, /is-at/, () => victim.neighbourMac(GATEWAY) === attacker.mac, patience);
    },
  },
  {
    name: "arpspoof takes a neighbour's place at the gateway (A1, A7)",
    tools: ["arpspoof"],
    reasons: ["arp.sender-address"],
    async made({ lab, attacker, victim }, patience) {
      assert.ok(await victim.ping(GATEWAY));
      const spoof = attacker.start("arpspoof", ["-i", attacker.link, "-t", GATEWAY, VICTIM]);
      return await happens(spoof, /is-at/, () => neighbourMac(lab.host, VICTIM) === attacker.mac, patience);
    },
  },
  {
    name: "ARP behind a VLAN-0 tag takes the gateway's place (L1)",
    tools: ["scapy"],
    reasons: ["ethernet.type"],
    async made({ attacker, victim }, patience) {
      assert.ok(await victim.ping(GATEWAY));
      const claim = attacker.start(PYTHON, [tool("attack.py"), "arp-vlan0", attacker.link, victim.mac, GATEWAY]);
      return await happens(claim, /^sent /, () => victim.neighbourMac(GATEWAY) === attacker.mac, patience);
    },
  },
  {
    name: "frames with another VM's MAC address draw its traffic away (L6)",
    tools: ["scapy"],
    reasons: ["ethernet.source"],
    async made({ lab, attacker, victim }, patience) {
      assert.ok(await victim.ping(GATEWAY));
      const port = lab.bridgePortOf(victim.mac);
      assert.ok(port !== undefined);
      const spoof = attacker.start(PYTHON, [tool("attack.py"), "mac-spoof", attacker.link, victim.mac]);
      return await happens(spoof, /^sent /, () => lab.bridgePortOf(victim.mac) !== port, patience);
    },
  },
  {
    name: "hping3 --spoof sends from another's address",
    tools: ["hping3"],
    reasons: ["ipv4.source"],
    async made({ lab, attacker }, patience) {
      const internet = await lab.watch(lab.internet, "up0");
      const flags = ["-q", "--udp", "-p", "9", "-c", "20", "-i", "u10000", "-I", attacker.link];
      const spoof = attacker.start("hping3", [...flags, "--spoof", VICTIM, INTERNET]);
      return await happens(
        spoof,
        /packets transmitted/,
        () => internet.some(({ ip }) => ip?.source === VICTIM),
        patience,
      );
    },
  },
  {
    name: "hping3 --rand-source sends from everybody's address",
    tools: ["hping3"],
    reasons: ["ipv4.source"],
    async made({ lab, attacker }, patience) {
      const internet = await lab.watch(lab.internet, "up0");
      const flags = ["-q", "--syn", "-p", "80", "-c", "20", "-i", "u10000", "-I", attacker.link];
      const spoof = attacker.start("hping3", [...flags, "--rand-source", INTERNET]);
      const own = ATTACKER.split("/")[0];
      const foreign = () =>
        internet.some(({ ip }) => ip?.destination === INTERNET && ip.protocol === 6 && ip.source !== own);
      return await happens(spoof, /packets transmitted/, foreign, patience);
    },
  },
  {
    name: "dhcpstarv takes every address (D1)",
    tools: ["dhcpstarv", "dhcpd", "udhcpc"],
    dhcp: true,
    reasons: ["dhcp.hardware-address", "ethernet.source"],
    async made({ lab, attacker, victim }) {
      const server = await DhcpServer.start(lab, "dhcpd", { last: 104 });
      const starve = attacker.start("dhcpstarv", ["-v", "-i", attacker.link]);
      if (attacker.softnet === undefined) await server.program.line(/no free leases/);
      else
        await attacker.softnet.program.line(
          /"message":"first drop","reason":"(dhcp|ethernet)\.(hardware-address|source)"/,
        );
      const starved = await noLease(victim);
      starve.kill();
      return starved;
    },
  },
  {
    name: "ever new client identifiers take every address (D2)",
    tools: ["scapy", "dhcpd", "udhcpc"],
    dhcp: true,
    reasons: ["dhcp.client-identifier"],
    async made({ lab, attacker, victim }) {
      await DhcpServer.start(lab, "dhcpd", { last: 109 });
      const starve = attacker.start(PYTHON, [tool("attack.py"), "starve-identifiers", attacker.link, "15"]);
      await starve.line(/^sent /);
      return await noLease(victim);
    },
  },
  {
    name: "a rogue DHCP server gives out a lease (D10)",
    tools: ["scapy", "udhcpc"],
    dhcp: true,
    reasons: ["dhcp.ports"],
    async made({ attacker, victim }) {
      const rogue = attacker.start(PYTHON, [tool("attack.py"), "rogue-server", attacker.link, "10.77.0.66", VICTIM]);
      await rogue.line(/^ready$/);
      const deceived = !(await noLease(victim));
      assert.match(rogue.text(), /answered/, "the rogue server did not hear the victim");
      return deceived;
    },
  },
  {
    name: "a rogue NAK during REBINDING takes a neighbour's address away (D13)",
    tools: ["scapy", "udhcpc", "dhcpd"],
    dhcp: true,
    reasons: ["dhcp.ports"],
    async made({ lab, attacker, victim }, patience) {
      const client = await orphan(lab, victim);
      const rogue = attacker.start(PYTHON, [tool("attack.py"), "nak", attacker.link, GATEWAY]);
      await rogue.line(/^ready$/);
      client.program.signal("SIGUSR1");
      return await happens(rogue, /answered/, () => client.events.some(({ event }) => event === "nak"), patience);
    },
  },
  {
    name: "a RELEASE in a neighbour's name frees its address for the attacker (D5, D6)",
    tools: ["scapy", "udhcpc", "dhcpd"],
    dhcp: true,
    reasons: ["dhcp.hardware-address"],
    async made({ lab, attacker, victim }) {
      await DhcpServer.start(lab, "dhcpd", { last: 100 });
      const { address } = await lease(victim);
      const release = ["release-as", attacker.link, victim.mac, address, GATEWAY];
      await attacker.start(PYTHON, [tool("attack.py"), ...release]).line(/^sent /);
      return !(await noLease(attacker));
    },
  },
  {
    name: "a REQUEST in a neighbour's name moves its lease: forged lease (D7)",
    tools: ["scapy", "udhcpc", "dhcpd"],
    dhcp: true,
    reasons: ["dhcp.hardware-address"],
    async made({ lab, attacker, victim }, patience) {
      await DhcpServer.start(lab, "dhcpd");
      await lease(victim);
      const card = await lab.watch(victim.namespace, victim.link);
      const request = attacker.start(PYTHON, [tool("attack.py"), "request-as", attacker.link, victim.mac, OTHER]);
      return await happens(request, /^sent /, () => card.some(({ dhcp }) => dhcp?.yiaddr === OTHER), patience);
    },
  },
  {
    name: "a guest reaches a private neighbour",
    tools: [],
    args: [],
    reasons: ["policy.destination"],
    async made({ attacker }) {
      return await attacker.ping(NEIGHBOUR);
    },
  },
];

/** A client whose server died, so that it asks everyone (REBINDING) once it is told to renew. */
async function orphan(lab: Lab, victim: Guest): Promise<DhcpClient> {
  const server = await DhcpServer.start(lab, "dhcpd");
  const client = udhcpc(victim);
  await client.event(/bound/);
  await server.stop();
  return client;
}

/**
 * Looks for the effect from the tool's start until `patience` ms after the tool says that it did its part (`done`).
 * Answers whether the effect showed.
 */
async function happens(program: Program, done: RegExp, effect: () => boolean, patience: number): Promise<boolean> {
  let deadline = Number.POSITIVE_INFINITY;
  const finished = program.line(done).finally(() => {
    deadline = Date.now() + patience;
  });
  let seen = effect();
  while (!seen && Date.now() < deadline) {
    await sleep(50);
    seen = effect();
  }
  if (!seen) await finished;
  else finished.catch(() => {});
  program.kill();
  return seen;
}

async function scene(lab: Lab, attack: Attack, bare: boolean): Promise<Scene> {
  const victim = await lab.guest({ bare: true, ...(attack.dhcp ? {} : { address: `${VICTIM}/24` }) });
  const static_ = attack.dhcp ? [] : ["--vm-ip-address", ATTACKER.split("/")[0]!, "--gateway", GATEWAY];
  const attacker = await lab.guest({
    bare,
    args: [...(attack.args ?? OPEN), ...static_],
    ...(attack.dhcp ? {} : { address: ATTACKER }),
  });
  if (!attack.dhcp) assert.ok(await attacker.ping(GATEWAY), "the attacker has no network");
  return { lab, attacker, victim };
}

suite("attacks", SIDE_BY_SIDE, () => {
  for (const attack of ATTACKS) {
    test(`${attack.name}: bare yes, behind softnet no`, { ...labNeeds(...attack.tools), ...LIMIT }, async (t) => {
      const bare = new Lab();
      try {
        assert.ok(
          await attack.made(await scene(bare, attack, true), PATIENCE),
          "the attack does not work without softnet",
        );
      } finally {
        bare.close();
      }
      const lab = Lab.open(t);
      const protectedScene = await scene(lab, attack, false);
      assert.equal(await attack.made(protectedScene, UNSEEN), false, "the attack works through softnet");
      assertDropped(await protectedScene.attacker.stop(), ...attack.reasons);
    });
  }

  test("a bare attacker cannot move a protected VM's gateway, before or after it is known (A9)", {
    ...labNeeds("scapy"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const attacker = await lab.guest({ bare: true, address: ATTACKER });
    const victim = await lab.guest({
      args: ["--vm-ip-address", VICTIM, "--gateway", GATEWAY],
      address: `${VICTIM}/24`,
    });
    const claim = () =>
      attacker.start(PYTHON, [tool("attack.py"), "arp", attacker.link, victim.mac, GATEWAY]).line(/^sent /);
    await claim();
    assert.ok(await victim.ping(GATEWAY));
    assert.equal(victim.neighbourMac(GATEWAY), BRIDGE_MAC);
    await claim();
    assert.equal(victim.neighbourMac(GATEWAY), BRIDGE_MAC);
    assert.ok(await victim.ping(INTERNET));
    assertDropped(await victim.stop(), "arp.gateway");
  });

  test("a bare attacker cannot claim a protected VM's own address towards it (A1, A5)", {
    ...labNeeds("scapy"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const attacker = await lab.guest({ bare: true, address: ATTACKER });
    const victim = await lab.guest({
      args: ["--vm-ip-address", VICTIM, "--gateway", GATEWAY],
      address: `${VICTIM}/24`,
    });
    await attacker.start(PYTHON, [tool("attack.py"), "arp", attacker.link, victim.mac, VICTIM]).line(/^sent /);
    assert.ok(await victim.ping(INTERNET));
    assertDropped(await victim.stop(), "arp.conflict");
  });

  test("a bare attacker's ACK in REBINDING with another address is refused, and its NAK too (D13, D20)", {
    ...labNeeds("scapy", "udhcpc", "dhcpd"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const attacker = await lab.guest({ bare: true });
    const victim = await lab.guest();
    const client = await orphan(lab, victim);
    const { address } = client.events.find(({ event }) => event === "bound")!;
    const rogues = ["rogue-server", "nak"].map((attack) => {
      const more = attack === "nak" ? [] : [VICTIM];
      return attacker.start(PYTHON, [tool("attack.py"), attack, attacker.link, "10.77.0.66", ...more]);
    });
    for (const rogue of rogues) await rogue.line(/^ready$/);
    client.program.signal("SIGUSR1"); // renew now
    for (const rogue of rogues) await rogue.line(/answered/);
    await victim.softnet?.program.line(/"message":"first drop","reason":"dhcp.assigned-address"/);
    await victim.softnet?.program.line(/"message":"first drop","reason":"dhcp.server"/);
    client.program.kill(); // before it gives its address up, for want of an answer
    assert.deepEqual(victim.addresses(), [address]);
    assert.ok(await victim.ping(INTERNET));
    const summary = await victim.stop();
    assertDropped(summary, "dhcp.assigned-address");
    assertDropped(summary, "dhcp.server");
  });

  test("a lease asked for in a protected VM's name teaches its softnet nothing (D7, D24)", {
    ...labNeeds("scapy", "udhcpc", "dhcpd"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dhcpd");
    const attacker = await lab.guest({ bare: true });
    const victim = await lab.guest();
    await lease(victim);
    const request = ["request-as", attacker.link, victim.mac, OTHER];
    await attacker.start(PYTHON, [tool("attack.py"), ...request]).line(/^sent /);
    assert.ok(await victim.ping(INTERNET));
    assertDropped(await victim.stop(), "dhcp.transaction");
  });
});
