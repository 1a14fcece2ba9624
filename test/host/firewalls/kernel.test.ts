/**
 * Whether what softnet says of other firewalls is true, with the kernel as the judge: random rules of iptables and of nft are
 * loaded, and real segments sent through.
 *
 * "Dropped" must be true of whatever ports; where all rules are of a kind that is known beforehand, "not dropped" too.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { findBlocks, type Path, readFirewalls } from "../../../src/host/firewalls/firewalls.ts";
import { enterFreshNamespace } from "../../support/namespace.ts";
import { LIMIT } from "../../support/patience.ts";
import { libc } from "../../support/sockets.ts";
import { needs, needsRoot, pathOf } from "../../support/tools.ts";
import { BRIDGE, Bridged } from "./bridged.ts";
import { Forwarded, TAP, UPLINK, VM } from "./forwarded.ts";

const skip = { ...needsRoot(), ...needs("nft", "ip", "iptables"), ...LIMIT };
const PATH: Path = { mode: "nat", tap: TAP, vm: VM, uplink: UPLINK, exposed: true };
const RUNS = Number(process.env.SOFTNET_TEST_RUNS ?? 15);
const PORTS = [22, 80, 443, 5001];

let leave = (): void => {};
let kernel: Forwarded;
before(() => {
  if (skip.skip !== undefined) return;
  leave = enterFreshNamespace();
  kernel = new Forwarded(libc);
});
after(() => {
  kernel?.close();
  leave();
});

/** Returns what is wrong. */
function load(program: "nft" | "iptables-restore" | "iptables-legacy-restore", text: string): string | undefined {
  const [path, args] = program === "nft" ? [pathOf("nft")!, ["-f", "-"]] : [`/usr/sbin/${program}`, []];
  const { status, stderr } = spawnSync(path, args, { input: text, encoding: "utf8" });
  return status === 0 ? undefined : stderr;
}

interface Rules {
  readonly text: string;
  /** Whether all that they look at is known beforehand. */
  readonly known: boolean;
}

const LOST = { sent: "what the VM sends", answers: "answers to the VM", clients: "what clients send" } as const;

async function check(program: Parameters<typeof load>[0], { text, known }: Rules, open: string): Promise<void> {
  assert.equal(load(program, open), undefined);
  await kernel.begin(PORTS);
  const error = load(program, text);
  fc.pre(error === undefined); // nft and iptables refuse some combinations
  const said = findBlocks(await readFirewalls(), PATH).map((block) => block.text);
  const all = PORTS.length;
  const passed = {
    sent: await kernel.sent(PORTS),
    answers: await kernel.answers(),
    clients: await kernel.clients(all),
  };
  for (const kind of ["sent", "answers", "clients"] as const) {
    const isSaid = said.some((line) => line.split(" (chain")[0]!.includes(LOST[kind]));
    const count = passed[kind];
    assert.ok(!isSaid || count === 0, `${kind}: said to be dropped, but ${count} of ${all} pass\n${text}\n${said}`);
    // Which clients there are is not known: rules for some of them are taken to be meant.
    const open = kind === "clients" && / -s |ip saddr/.test(text);
    assert.ok(
      !known || open || isSaid === (count === 0),
      `${kind}: ${count} of ${all} pass, but not said\n${text}\n${said}`,
    );
  }
}

const pick = (...values: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...values);
const negated = fc.boolean().map((no) => (no ? "! " : ""));
const withNot = (option: string, values: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(negated, values).map(([no, value]) => `${no}${option} ${value}`);

const LINKS = pick("softnet3", "softnet+", "eth0", "eth+", "docker0", "softnet30");
const ADDRESSES = pick(
  ...["10.9.9.2", "10.9.9.0/30", "10.0.0.0/8", "20.0.0.0/8", "20.1.2.3", "192.168.0.0/16", "0.0.0.0/0"],
);
const STATES = fc
  .subarray(["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "DNAT"], { minLength: 1 })
  .map((states) => states.join(","));

const knownMatch = fc.oneof(
  withNot("-i", LINKS),
  withNot("-o", LINKS),
  withNot("-s", ADDRESSES),
  withNot("-d", ADDRESSES),
  withNot("-p", pick("tcp", "udp", "icmp", "6", "17", "all")),
  withNot("-m conntrack --ctstate", STATES).map((text) => text.replace(/^! (-m \w+) /, "$1 ! ")),
  pick("-m state --state NEW", "-m state --state ESTABLISHED,RELATED", "-m state --state INVALID"),
  pick("-m addrtype --dst-type LOCAL", "-m addrtype --dst-type UNICAST", "-m addrtype ! --dst-type LOCAL"),
  pick('-m comment --comment "a \\"quoted\\" -j ACCEPT"', "-m comment --comment plain", "-m comment --comment -j"),
  pick("-m physdev --physdev-is-bridged", "-m physdev ! --physdev-is-bridged", "-m physdev --physdev-in eth0"),
);
const unknownMatch = pick(
  ...["-p tcp -m tcp --dport 80", "-p tcp -m tcp ! --dport 80", "-p tcp -m multiport --dports 22,443"],
  ...["-p tcp -m tcp --syn", "-p tcp -m tcp --tcp-flags ACK ACK", "-m mark --mark 0", "-m mark ! --mark 0"],
  ...["-m limit --limit 1/h --limit-burst 1", "-m statistic --mode nth --every 2 --packet 0", "-m length --length 40"],
  ...["-m iprange --src-range 10.0.0.0-10.255.255.255", "-m iprange ! --dst-range 1.0.0.0-2.0.0.0", "-f", "! -f"],
  ...["-m conntrack --ctdir ORIGINAL", "-m conntrack --ctstatus SEEN_REPLY", "-m conntrack --ctstatus NONE"],
  ...["-m addrtype --src-type LOCAL", "-m addrtype --dst-type UNICAST --limit-iface-out", "-m pkttype --pkt-type host"],
  ...[
    "-m ttl --ttl-gt 1",
    "-m dscp --dscp 0",
    "-m connmark --mark 0",
    "-m connmark ! --mark 0/1",
    "-m time --kerneltz",
  ],
  ...["-s 10.0.9.0/255.0.255.0", "! -d 20.0.2.0/255.0.255.0", "-m recent --name a --set"],
  ...["-m conntrack --ctorigdst 20.1.2.3", "-m conntrack ! --ctproto 6", "-m tcp -p tcp --sport 1:65535"],
  ...['-m string --algo bm --string "-j ACCEPT"', "-m u32 --u32 0=0", "-m conntrack --ctstate SNAT", "-m recent --set"],
);
const knownTarget = pick(
  ...["-j ACCEPT", "-j ACCEPT", "-j ACCEPT", "-j DROP", "-j DROP", "-j REJECT", "-j RETURN", "-j X", "-j Y", "-g X"],
  ...["-j LOG", '-j LOG --log-prefix "-j ACCEPT "', "-j MARK --set-xmark 0x7/0xff", "", "-g Y"],
  "-j REJECT --reject-with icmp-port-unreachable",
);
const unknownTarget = pick(
  ...[
    "-j NFLOG",
    "-j CONNMARK --save-mark",
    "-j TCPMSS --clamp-mss-to-pmtu",
    "-p tcp -j REJECT --reject-with tcp-reset",
  ],
  ...["-j CLASSIFY --set-class 1:1", "-j NFQUEUE --queue-num 9 --queue-bypass", "-j AUDIT --type accept", "-j ACCEPT"],
);

/** Chains X and Y may be jumped to; X never leads back, and Y only to X. */
function table(match: fc.Arbitrary<string>, target: fc.Arbitrary<string>, known: boolean): fc.Arbitrary<Rules> {
  const chain = fc.oneof(
    { weight: 4, arbitrary: fc.constant("FORWARD") },
    { weight: 2, arbitrary: fc.constant("X") },
    { weight: 2, arbitrary: fc.constant("Y") },
  );
  const rule = fc.tuple(chain, fc.array(match, { maxLength: 2 }), target).map(([name, matches, then]) => {
    const leads = /-[jg] ([XY])/.exec(then)?.[1];
    const loops = leads !== undefined && (name === "X" || name === leads);
    return `-A ${name} ${matches.join(" ")} ${loops ? "-j RETURN" : then}`;
  });
  return fc.tuple(pick("ACCEPT", "DROP"), fc.array(rule, { maxLength: 8 })).map(([policy, rules]) => ({
    known,
    text: ["*filter", `:FORWARD ${policy} [0:0]`, ":X - [0:0]", ":Y - [0:0]", ...rules, "COMMIT", ""].join("\n"),
  }));
}

/** The same for nft, in one of its own tables. */
const nftLinks = pick(
  ...['"softnet3"', '"softnet*"', '"eth0"', '{ "eth0", "docker0" }', '{ "softnet3", "eth0" }', '"docker0"'],
  ...['!= "softnet3"', '!= "eth0"', '!= { "softnet3", "wg0" }', '{ "soft*", "lo" }'],
);
const nftAddresses = pick(
  ...["10.9.9.2", "10.9.9.0/30", "10.0.0.0/8", "{ 10.0.0.0/8, 192.168.0.0/16 }", "20.1.2.3", "!= 10.0.0.0/8"],
  ...["20.0.0.0-20.255.255.255", "{ 1.1.1.1, 20.1.2.3 }", "!= { 10.9.9.0-10.9.9.255, 1.1.1.1 }", "192.168.0.0/16"],
);
const nftStates = pick(
  "new",
  "established",
  "established,related",
  "{ new, established }",
  "invalid",
  "!= new",
  "!= established",
);
const verdicts = pick("accept", "accept", "drop", "continue", "return", "jump x", "goto x", "jump y");
const nftKnownMatch = fc.oneof(
  nftLinks.map((names) => `iifname ${names}`),
  nftLinks.map((names) => `oifname ${names}`),
  nftAddresses.map((addresses) => `ip saddr ${addresses}`),
  nftAddresses.map((addresses) => `ip daddr ${addresses}`),
  nftStates.map((states) => `ct state ${states}`),
  pick("meta l4proto tcp", "meta l4proto { tcp, udp }", "meta l4proto != tcp", "ip protocol udp", "meta l4proto icmp"),
  pick("meta nfproto ipv4", "meta nfproto ipv6", "ip6 saddr fe80::/10", "ct status dnat", "fib daddr type local"),
  pick("fib daddr type unicast", "iif eth0", "oif softnet3", "icmp type echo-request", "udp dport 53", "iif lo"),
  fc
    .tuple(pick("softnet3", "eth0"), pick("softnet3", "eth0"))
    .map(([from, to]) => `iifname . oifname { "${from}" . "${to}" }`),
);
const nftKnownTarget = fc.oneof(
  pick("accept", "accept", "drop", "reject", "return", "jump x", "goto x", "jump y", "counter", "counter accept"),
  pick('log prefix "accept " drop', "reject with icmp host-prohibited", 'counter comment "x"', "log", "counter drop"),
  fc.tuple(verdicts, verdicts).map(([one, two]) => `ct state vmap { established : ${one}, new : ${two} }`),
  fc.tuple(verdicts, verdicts).map(([one, two]) => `iifname vmap { "softnet3" : ${one}, "eth0" : ${two} }`),
  verdicts.map((one) => `iifname . oifname vmap { "softnet3" . "eth0" : ${one}, "eth0" . "softnet3" : drop }`),
  verdicts.map((one) => `meta l4proto vmap { tcp : ${one}, udp : drop }`),
);
const nftUnknownMatch = pick(
  ...["tcp dport 80", "tcp dport != 80", "tcp dport { 22, 443 }", "th dport 1-65535", "meta mark 0", "meta mark != 0"],
  ...["limit rate 1/hour burst 1 packets", "quota over 0 bytes", "tcp flags syn", "ct direction original", "@s"],
  ...["ct state . ct direction { new . original }", "ip saddr . tcp dport { 10.9.9.2 . 80 }", "ip saddr @known"],
  ...["ip daddr @known", "ip saddr & 255.0.0.0 == 10.0.0.0", 'iifname . tcp dport { "softnet3" . 22 }', "ip ttl > 1"],
  ...["ct mark 0", "numgen inc mod 2 == 0", "ct original ip daddr 20.1.2.3", "ct status confirmed", "iifgroup 0"],
  ...[
    "fib saddr type unicast",
    "fib saddr . iif oif exists",
    "meta iiftype ether",
    "meta pkttype host",
    "rt classid 0",
  ],
  ...[
    "ct status & dnat != 0",
    "ct state & (new|established) == new",
    "ether type ip",
    "meta length 40",
    "ct count over 1",
  ],
  ...["iifname @links", "ct bytes > 0", "ip length 40", 'ct helper "ftp"', "meta protocol ip", "socket transparent 1"],
).filter((text) => text !== "@s");
const nftUnknownTarget = pick(
  ...["meta mark set 1", "queue flags bypass num 9", "tcp dport vmap { 80 : drop, 443 : accept }", "notrack", "accept"],
  ...["ip saddr vmap @verdicts", "reject with tcp reset", "ct mark set 1", "drop", "ip dscp set cs1 accept"],
  ...[
    "ip daddr vmap { 10.0.0.0/8 : drop, 20.0.0.0/8 : accept }",
    "add @seen { ip saddr } accept",
    "limit rate 9/day drop",
  ],
);

function nftTable(match: fc.Arbitrary<string>, target: fc.Arbitrary<string>, known: boolean): fc.Arbitrary<Rules> {
  const rule = fc
    .tuple(fc.array(match, { maxLength: 2 }), target)
    .map(([matches, then]) => [...matches, then].join(" "));
  const leaf = rule.map((text) => text.replaceAll(/(jump|goto) [xy]/g, "return"));
  const middle = rule.map((text) => text.replaceAll(/(jump|goto) y/g, "goto x"));
  const some = (kind: fc.Arbitrary<string>, most: number): fc.Arbitrary<string> =>
    fc.array(kind, { maxLength: most }).map((rules) => rules.join("\n"));
  return fc
    .tuple(pick("ip", "inet"), pick("accept", "drop"), some(rule, 6), some(leaf, 3), some(middle, 3))
    .map(([family, policy, rules, x, y]) => ({
      known,
      text: `table ip t\ndelete table ip t\ntable inet t\ndelete table inet t
table ${family} t {
set known { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 20.0.0.0/8 }; }
set links { type ifname; elements = { "softnet3", "eth0" }; }
set seen { type ipv4_addr; flags dynamic; }
map verdicts { type ipv4_addr : verdict; elements = { 10.9.9.2 : accept, 20.1.2.3 : drop }; }
chain x {\n${x}\n}\nchain y {\n${y}\n}
chain f { type filter hook forward priority 0; policy ${policy};\n${rules}\n}\n}\n`,
    }));
}

const OPEN = "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n";
const NFT_OPEN = "table ip t\ndelete table ip t\ntable inet t\ndelete table inet t\n";
const iptablesRules: [string, fc.Arbitrary<Rules>][] = [
  ["of known kinds", table(knownMatch, knownTarget, true)],
  ["of any kind", table(fc.oneof(knownMatch, unknownMatch), fc.oneof(knownTarget, unknownTarget), false)],
];
const nftRules: [string, fc.Arbitrary<Rules>][] = [
  ["of known kinds", nftTable(nftKnownMatch, nftKnownTarget, true)],
  [
    "of any kind",
    nftTable(fc.oneof(nftKnownMatch, nftUnknownMatch), fc.oneof(nftKnownTarget, nftUnknownTarget), false),
  ],
];

for (const [program, rules, open] of [
  ["nft", nftRules, NFT_OPEN],
  ["iptables-restore", iptablesRules, OPEN],
  ["iptables-legacy-restore", iptablesRules, OPEN],
] as const) {
  for (const [name, random] of rules) {
    test(`${program}, rules ${name}: what is said is what the kernel does`, skip, async () => {
      try {
        await fc.assert(
          fc.asyncProperty(random, async (loaded) => await check(program, loaded, open)),
          { numRuns: RUNS, maxSkipsPerRun: 20 },
        );
      } finally {
        load(program, open);
      }
    });
  }
}

const bridgedMatch = fc.oneof(
  withNot("-i", pick("br0", "br+", "softnet3", "eth0")),
  withNot("-o", pick("br0", "softnet+", "lan0")),
  withNot("-p", pick("udp", "tcp", "17")),
  withNot("-m conntrack --ctstate", STATES).map((text) => text.replace(/^! (-m \w+) /, "$1 ! ")),
  pick("-m physdev --physdev-is-bridged", "-m physdev ! --physdev-is-bridged", "-m physdev --physdev-in softnet+"),
  pick("-m physdev --physdev-is-bridged --physdev-out softnet3", "-m physdev --physdev-in lan0"),
);

const bridgedSkip = {
  ...skip,
  ...(existsSync("/proc/sys/net/bridge") ? {} : { skip: "needs the kernel's module br_netfilter" }),
};

test(
  "on a bridge, where only answers to the VM's connections are accepted, a server's OFFER is dropped",
  skip,
  async () => {
    const rules = [
      "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
      "-A FORWARD -m physdev --physdev-out lan0 -j ACCEPT",
    ];
    assert.equal(
      load("iptables-restore", ["*filter", ":FORWARD DROP [0:0]", ...rules, "COMMIT", ""].join("\n")),
      undefined,
    );
    const blocks = findBlocks(await readFirewalls(), { mode: "bridge", tap: TAP, bridge: BRIDGE });
    assert.equal(blocks.length, 1);
    assert.match(blocks[0]!.text, /^iptables drops answers to the VM /);
  },
);

test("one single address accepted is not the VM's", skip, async () => {
  const rules = ["-A FORWARD -s 10.9.9.3 -m comment --comment xt -j ACCEPT", "-A FORWARD -d 10.9.9.3/32 -j ACCEPT"]; // iptables -S says /32
  assert.equal(
    load("iptables-restore", ["*filter", ":FORWARD DROP [0:0]", ...rules, "COMMIT", ""].join("\n")),
    undefined,
  );
  assert.match(findBlocks(await readFirewalls(), PATH)[0]?.text ?? "", /^iptables drops what the VM sends and answers/);
});

test("bridged frames: what is said is what the kernel does", bridgedSkip, async (t) => {
  const back = enterFreshNamespace();
  const bridged = new Bridged(libc);
  t.after(() => {
    bridged.close();
    back();
  });
  const random = table(bridgedMatch, knownTarget, true);
  const property = fc.asyncProperty(random, async ({ text }) => {
    assert.equal(load("iptables-restore", OPEN), undefined);
    assert.ok(await bridged.asks(), "the bridge is closed before any rule");
    fc.pre(load("iptables-restore", text) === undefined);
    const blocks = findBlocks(await readFirewalls(), { mode: "bridge", tap: TAP, bridge: BRIDGE });
    const passes = (await bridged.answers()) && (await bridged.discovers()) && (await bridged.offers());
    const said = blocks.map((block) => block.text).join("\n");
    // Which port of the bridge is the other one is not known beforehand.
    if (/--physdev-(in|out)/.test(text) && blocks.length === 0) return;
    assert.equal(
      blocks.length === 0,
      passes,
      `${passes ? "everything passes" : "something is dropped"}\n${text}\n${said}`,
    );
  });
  await fc.assert(property, { numRuns: RUNS, maxSkipsPerRun: 20 });
});
