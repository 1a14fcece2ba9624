/**
 * Attacks by IPv6 with programs that others wrote for it, thc-ipv6 and the IPv6 toolkit, each ended after some seconds, with and
 * without softnet. By default one of each kind; all with SOFTNET_TEST_ALL=1.
 */
import { suite, test } from "node:test";
import { type Attack6, isKeptOff, oneMore, play6, type Scene6, takesOneMore } from "../lab/harness/attackers6.ts";
import { INTERNET6, PREFIX, ROUTER } from "../lab/harness/ipv6.ts";
import { labNeeds, SIDE_BY_SIDE } from "../lab/harness/topology.ts";
import type { Seen } from "../lab/harness/watch.ts";
import { LIMIT } from "../support/patience.ts";

const thc = (name: string, ...args: readonly string[]): string[] => [`atk6-${name}`, ...args];

const fromAttacker = ({ source }: Seen, { attacker }: Scene6): boolean => source === attacker.mac;
const isAdvertisement: Attack6["arrives"] = ({ icmp }, seen, scene) => icmp === 134 && fromAttacker(seen, scene);
const isFragment: Attack6["arrives"] = ({ extensions }, seen, scene) =>
  extensions.includes(44) && fromAttacker(seen, scene);
const isRoutedByAttacker = ({ lab, own }: Scene6): boolean =>
  own.some((one) => lab.neighbour.ip("-6", "route", "show", "default").includes(`via ${one} `));
/** Of nobody here but a flooding tool: it makes up its senders. */
const isFlood =
  (type: number): Attack6["arrives"] =>
  ({ icmp, source, target }, seen, { own, victim }) =>
    icmp === type &&
    !own.includes(source) &&
    !own.includes(target ?? "") &&
    source !== "::" &&
    seen.source !== victim.mac &&
    !source.startsWith(PREFIX) &&
    source !== ROUTER &&
    !/^7e:1a:/.test(seen.source);

function fakeRouter(evasion: string, reasons: readonly string[], more: Partial<Attack6> = {}): Attack6 {
  return {
    name: `fake_router26 -E ${evasion} (S1, S2)`,
    tools: ["atk6-dos-new-ip6"],
    command: ({ attacker }) =>
      thc("fake_router26", ...["-E", evasion, "-A", "2001:db8:bad::/64", "-i", "1", attacker.link]),
    arrives: isFragment,
    reasons,
    ...more,
  };
}

function flood(name: string, type: number, ...args: readonly string[]): Attack6 {
  return {
    name: [name, ...args, "(S1, S3, S11)"].join(" "),
    tools: ["atk6-dos-new-ip6"],
    command: ({ attacker }) => thc(name, ...args, attacker.link),
    arrives: isFlood(type),
    least: 100,
    milliseconds: 500,
    reasons: ["ethernet.source", "icmpv6.router", "nd.target", "nd.source", "nd.rate"],
  };
}

const EVERY_TIME: readonly Attack6[] = [
  fakeRouter("H", ["icmpv6.router"], { arrives: isAdvertisement, harms: isRoutedByAttacker }),
  {
    name: "dos-new-ip6 keeps the neighbour off an address (S6)",
    tools: ["atk6-dos-new-ip6"],
    command: ({ attacker }) => thc("dos-new-ip6", attacker.link),
    provoke: takesOneMore,
    arrives: ({ icmp, target }, { source }, scene) =>
      icmp === 136 && target === oneMore(scene) && source !== scene.victim.mac,
    harms: isKeptOff,
    reasons: ["nd.target", "ethernet.source"],
  },
];

const ALL: readonly Attack6[] = [
  fakeRouter("D", ["ipv6.fragment", "ipv6.extension", "nd.extension"]),
  fakeRouter("F", ["ipv6.fragment", "ipv6.extension", "nd.extension", "ipv6.routing"]),
  {
    name: "parasite6 answers for everybody (S3)",
    tools: ["atk6-dos-new-ip6"],
    command: ({ attacker }) => thc("parasite6", attacker.link),
    provoke({ lab }) {
      lab.neighbour.ip("neighbour", "flush", "dev", "nb0");
      lab.start(lab.neighbour, "ping", ["-n", "-i", "0.5", `${PREFIX}99`]);
    },
    arrives: ({ icmp, target }) => icmp === 136 && target === `${PREFIX}99`,
    reasons: ["nd.target", "ethernet.source"],
  },
  {
    name: "redir6 draws a connection away (S1)",
    tools: ["atk6-dos-new-ip6"],
    command: ({ attacker, victim, own }) =>
      thc("redir6", ...[attacker.link, victim.address, INTERNET6, ROUTER, own.find((one) => one.startsWith("fe80"))!]),
    // It first sends an echo request in the target's and the router's name: only who answers that is redirected.
    arrives: ({ source, icmp }) => icmp === 137 || (icmp === 128 && source === INTERNET6),
    reasons: ["icmpv6.router", "ipv6.source", "ethernet.source"],
  },
  flood("flood_router26", 134),
  flood("flood_router26", 134, "-H"),
  flood("flood_advertise6", 136),
  flood("flood_solicitate6", 135),
  {
    name: "ra6 of the IPv6 toolkit (S1)",
    tools: ["ra6"],
    command: ({ attacker }) => [
      ...["ra6", "-i", attacker.link, "-d", "ff02::1", "-e", "-t", "1800"],
      ...["--loop", "-z", "1"],
    ],
    arrives: isAdvertisement,
    reasons: ["icmpv6.router", "ethernet.source"],
  },
];

suite("IPv6 attack tools", SIDE_BY_SIDE, () => {
  for (const attack of process.env.SOFTNET_TEST_ALL === "1" ? [...EVERY_TIME, ...ALL] : EVERY_TIME) {
    const needed = labNeeds("radvd", ...attack.tools);
    test(`${attack.name}: bare yes, behind softnet no`, { ...needed, ...LIMIT }, (t) => play6(t, attack));
  }
});
