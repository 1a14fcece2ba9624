/** Attacks by IPv6 made with scapy, from VMs against a neighbour, and from a neighbour against a VM. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import {
  type Attack6,
  isKeptOff,
  oneMore,
  play6,
  type Scene6,
  scapy6,
  takesOneMore,
} from "../lab/harness/attackers6.ts";
import { neighbourMac, ping } from "../lab/harness/guest.ts";
import {
  addresses6,
  globals,
  INTERNET6,
  online,
  openLab6,
  PREFIX,
  pingRouter,
  ROUTER,
  radvd,
} from "../lab/harness/ipv6.ts";
import { type Program, sleep, until } from "../lab/harness/program.ts";
import { assertDropped } from "../lab/harness/softnet.ts";
import { BRIDGE_MAC, labNeeds, SIDE_BY_SIDE, tool } from "../lab/harness/topology.ts";
import type { Seen } from "../lab/harness/watch.ts";
import { LIMIT } from "../support/patience.ts";

const ROGUE = "2001:db8:77::f00d";
const SENT = /^sent /;
const ANSWERED = /^answered/;

const routes = ({ lab }: Scene6): string => lab.neighbour.ip("-6", "route", "show", "default");
const isAdvertisement = ({ icmp }: NonNullable<Seen["ip6"]>, { source }: Seen, { attacker }: Scene6): boolean =>
  icmp === 134 && source === attacker.mac;
const isRoutedByAttacker = (scene: Scene6): boolean => scene.own.some((own) => routes(scene).includes(`via ${own} `));

/** Router advertisements of the attacker's own, however they are wrapped. */
function theft(name: string, command: string, reasons: readonly string[], more: Partial<Attack6> = {}): Attack6 {
  return {
    name,
    tools: [],
    command: (scene) => scapy6(command, scene),
    done: SENT,
    arrives: isAdvertisement,
    harms: isRoutedByAttacker,
    reasons,
    ...more,
  };
}

function claim(name: string, target: (scene: Scene6) => string, harms: (scene: Scene6) => boolean): Attack6 {
  return {
    name,
    tools: [],
    command: (scene) => scapy6("na", scene, target(scene)),
    done: SENT,
    arrives: (frame, { source }, scene) => frame.target === target(scene) && source === scene.attacker.mac,
    harms,
    reasons: ["nd.target"],
  };
}

const clients = new WeakMap<Scene6, Program>();

const ATTACKS: readonly Attack6[] = [
  theft("a router advertisement makes the VM the router (S1)", "ra", ["icmpv6.router"]),
  theft("the same behind a hop-by-hop header (S2)", "ra-hop-by-hop", ["icmpv6.router"], { further: true }),
  theft("the same behind destination options (S2)", "ra-destination", ["icmpv6.router"], { further: true }),
  {
    // Linux drops fragmented neighbour discovery since RFC 6980: here it must arrive, not work.
    name: "the same in fragments, its header in the second (S2)",
    tools: [],
    command: (scene) => scapy6("ra-fragment", scene),
    done: SENT,
    arrives: ({ extensions }, { source }, { attacker }) => extensions.includes(44) && source === attacker.mac,
    reasons: ["ipv6.fragment"],
  },
  theft("a router lifetime of 0 in the router's name takes the route away (S1)", "ra-end", ["icmpv6.router"], {
    command: (scene) => scapy6("ra-end", scene, ROUTER),
    harms: (scene) => !routes(scene).includes(`via ${ROUTER} `),
  }),
  claim(
    "a neighbour advertisement takes the router's address (S3)",
    () => ROUTER,
    ({ lab, attacker }) => neighbourMac(lab.neighbour, ROUTER) === attacker.mac,
  ),
  claim(
    "a neighbour advertisement takes the neighbour's address at the router (S3)",
    ({ victim }) => victim.address,
    ({ lab, attacker, victim }) => neighbourMac(lab.host, victim.address) === attacker.mac,
  ),
  {
    name: "an answer to duplicate address detection keeps the neighbour off an address (S6)",
    tools: [],
    command: (scene) => scapy6("dad", scene),
    done: ANSWERED,
    provoke: takesOneMore,
    arrives: ({ target }, { source }, scene) => target === oneMore(scene) && source === scene.attacker.mac,
    harms: isKeptOff,
    reasons: ["nd.target"],
  },
  {
    name: "a redirect in the router's name draws a connection away (S1)",
    tools: [],
    command: (scene) => scapy6("redirect", scene, ROUTER, scene.victim.address, scene.victim.mac, INTERNET6),
    done: SENT,
    arrives: ({ icmp }) => icmp === 137,
    harms: ({ lab, own }) =>
      own.some((one) => lab.neighbour.ip("-6", "route", "get", INTERNET6).includes(`via ${one} `)),
    reasons: ["icmpv6.router"],
  },
  {
    name: "a rogue DHCPv6 server gives out an address (S7)",
    tools: ["dhclient"],
    command: (scene) => scapy6("dhcp-server", scene, ROGUE),
    done: ANSWERED,
    provoke(scene) {
      const file = (name: string) => join(scene.lab.directory, `${name}-${scene.round}`);
      writeFileSync(file("conf"), "timeout 60;\n");
      const files = ["-cf", file("conf"), "-lf", file("leases"), "-pf", file("pid"), "-sf", tool("dhcp6.sh")];
      clients.set(scene, scene.lab.start(scene.lab.neighbour, "dhclient", ["-6", "-d", "-v", ...files, "nb0"]));
    },
    arrives: ({ udp }) => udp?.source === 547,
    harms: (scene) => clients.get(scene)!.count(/^EVENT BOUND6 /) > 0,
    reasons: ["dhcpv6.ports"],
  },
  {
    name: "packets in the router's name (S5)",
    tools: [],
    further: true,
    command: (scene) => scapy6("echo", scene, ROUTER, scene.victim.linkLocal, scene.victim.mac),
    done: SENT,
    arrives: ({ source, icmp }, seen, { attacker }) =>
      icmp === 128 && source === ROUTER && seen.source === attacker.mac,
    reasons: ["ipv6.source"],
  },
  {
    name: "a flood of new addresses (S11)",
    tools: [],
    further: true,
    command: (scene) => scapy6("many", scene, "400", PREFIX),
    done: SENT,
    arrives: ({ target }, { source }, { attacker }) => target?.includes(":bad:") === true && source === attacker.mac,
    least: 350,
    most: 32 + 30, // the bucket, and 1/s as long as a busy machine may need
    reasons: ["nd.address-rate", "nd.address-full", "nd.rate"],
  },
];

suite("IPv6 attacks", SIDE_BY_SIDE, () => {
  const all = process.env.SOFTNET_TEST_ALL === "1";
  for (const attack of ATTACKS.filter(({ further }) => all || !further)) {
    const needed = labNeeds("radvd", "scapy", ...attack.tools);
    test(`${attack.name}: bare yes, behind softnet no`, { ...needed, ...LIMIT }, (t) => play6(t, attack));
  }

  test("from outside: another router, the router's and the VM's own address claimed, and DAD answered (S1, S3, S6)", {
    ...labNeeds("radvd", "scapy"),
    ...LIMIT,
  }, async (t) => {
    const lab = openLab6(t);
    await radvd(lab);
    const attacker = await lab.guest({ bare: true });
    const victim = await lab.guest({ bare: false, args: ["--ipv6"] });
    const address = await online(victim.namespace, victim.link);
    await online(attacker.namespace, attacker.link);
    assert.ok(await pingRouter(victim.namespace, victim.link));
    const card = await lab.watch(victim.namespace, victim.link);
    const made = (...args: string[]) => {
      const [name, ...more] = args as [string, ...string[]];
      return attacker.start("/usr/bin/python3", [tool("attack6.py"), name, attacker.link, ...more]);
    };
    const attacks = [made("ra"), made("ra-end", ROUTER), made("na", ROUTER), made("na", address)];
    const answering = made("dad");
    await answering.line(/^ready$/);
    for (const attack of attacks) await attack.line(SENT);
    victim.namespace.ip("address", "add", `${PREFIX}da:1/64`, "dev", victim.link);
    await answering.line(ANSWERED);
    await sleep(2_000);

    assert.equal(
      card.count(({ source, ip6 }) => source === attacker.mac && ip6?.icmp === 134),
      0,
    );
    const stolen = [ROUTER, address];
    assert.equal(
      card.count(({ source, ip6 }) => source === attacker.mac && stolen.includes(ip6?.target ?? "")),
      0,
    );
    assert.equal(neighbourMac(victim.namespace, ROUTER), BRIDGE_MAC);
    const route = victim.namespace.ip("-6", "route", "show", "default");
    assert.equal(route.match(/via \S+/g)?.join(), `via ${ROUTER}`);
    // Who answers cannot be told from an owner: the new address falls, the one that it has stays.
    await until("an answer counts", () => addresses6(victim.namespace, victim.link).some(({ dadfailed }) => dadfailed));
    assert.deepEqual(globals(victim.namespace, victim.link), [address]);
    assert.ok(await ping(victim.namespace, INTERNET6));
    const summary = await victim.stop();
    assertDropped(summary, "nd.router");
    assertDropped(summary, "nd.conflict");
  });
});
