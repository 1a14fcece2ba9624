/** What other firewalls drop of a VM's IPv6: rules of nft and ip6tables, loaded into a kernel and read back. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { findBlocks, type Path, readFirewalls } from "../../../src/host/firewalls/firewalls.ts";
import { parseIPv4 } from "../../../src/wire/address.ts";
import { parseIPv6 } from "../../../src/wire/ipv6-address.ts";
import { enterFreshNamespace } from "../../support/namespace.ts";
import { needs, needsRoot } from "../../support/tools.ts";

const skip = { ...needsRoot(), ...needs("nft", "iptables") };
const ipv4: Path = { mode: "nat", tap: "softnet3", vm: parseIPv4("10.9.9.2")!, uplink: "eth0", exposed: false };
const ipv6: Path = { ...ipv4, ipv6: { prefix: parseIPv6("fd12:3456:789a:1::")!, uplink: "eth6" } };
const bridged: Path = { mode: "bridge", tap: "softnet3", bridge: "br0", families: ["ipv6"] };

let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

function shell(command: string, input = ""): void {
  const { status, stderr } = spawnSync("/bin/sh", ["-ec", command], { input, encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

const loadNft = (rules: string): void => shell("nft -f -", `flush ruleset\n${rules}`);

function loadIp6tables(policy: string, ...rules: readonly string[]): void {
  const lines = rules.map((rule) => (rule.startsWith(":") ? rule : `-A ${rule}`));
  shell(
    "nft flush ruleset; ip6tables-restore",
    ["*filter", `:FORWARD ${policy} [0:0]`, ...lines, "COMMIT", ""].join("\n"),
  );
}

const textsOf = async (path: Path): Promise<string[]> =>
  findBlocks(await readFirewalls(), path).map(({ text }) => text);

const table = (family: string, policy: string, rules: string): string =>
  `table ${family} t {\nchain f { type filter hook forward priority 0; policy ${policy};\n${rules}\n}\n}`;

const cases: [string, string, boolean][] = [
  ["an accepting chain", table("ip6", "accept", ""), false],
  ["a policy of drop", table("ip6", "drop", ""), true],
  ["IPv6 rejected, which nft lists without its match", table("inet", "accept", "meta nfproto ipv6 reject"), true],
  ["IPv4 rejected", table("inet", "accept", "meta nfproto ipv4 reject"), false],
  ["IPv4 rejected with an ICMP", table("inet", "accept", "reject with icmp admin-prohibited"), false],
  ["both rejected with either's ICMP", table("inet", "accept", "reject with icmpx admin-prohibited"), true],
  ["protocol ip accepted only", table("inet", "drop", "meta protocol ip accept"), true],
  ["protocol ip6 accepted", table("inet", "drop", "meta protocol ip6 accept"), false],
  [
    "unique local addresses accepted both ways",
    table("ip6", "drop", "ip6 saddr fc00::/7 accept\nip6 daddr { fc00::/7 } accept"),
    false,
  ],
  ["unique local addresses accepted one way", table("ip6", "drop", "ip6 saddr fc00::/7 accept"), true],
  [
    "a part of the VM's prefix accepted",
    table("ip6", "drop", "ip6 saddr fd12:3456:789a:1::1000/116 accept\nip6 daddr fd12:3456:789a:1::/64 accept"),
    false,
  ],
  [
    "another prefix accepted",
    table("ip6", "drop", "ip6 saddr fd12:3456:789a:2::/64 accept\nip6 daddr fd12:3456:789a:2::/64 accept"),
    true,
  ],
  ["a range with the VM's prefix in it dropped", table("ip6", "accept", "ip6 saddr fd12::-fd13:: drop"), true],
  ["global addresses accepted", table("ip6", "drop", "ip6 daddr 2000::/3 accept\nip6 saddr 2000::/3 accept"), false],
  ["IPv4's addresses accepted", table("inet", "drop", "ip saddr 0.0.0.0/0 accept\nip daddr 0.0.0.0/0 accept"), true],
  ["answers dropped", table("ip6", "accept", 'oifname "softnet*" drop'), true],
  ["TCP as the next header accepted", table("ip6", "drop", "ip6 nexthdr tcp accept"), false],
  ["UDP as the next header accepted", table("ip6", "drop", "ip6 nexthdr udp accept"), true],
  ["ICMPv6 accepted", table("ip6", "drop", "meta l4proto ipv6-icmp accept"), true],
  ["a port", table("ip6", "drop", "tcp dport 443 accept\nct state established accept"), false],
  ["the link that IPv6 leads out by", table("ip6", "drop", 'oifname "eth6" accept\niifname "eth6" accept'), false],
  ["the link that IPv4 leads out by", table("ip6", "drop", 'oifname "eth0" accept\niifname "eth0" accept'), true],
  ["IPv4's family", table("ip", "drop", "ip saddr 10.0.0.0/8 accept\nip daddr 10.0.0.0/8 accept"), false],
  ["a table of softnet's own", table("ip6", "drop", "").replace(" t ", " softnet_x "), false],
];
for (const [name, rules, dropped] of cases) {
  test(`nft, ${name}: IPv6 ${dropped ? "is dropped" : "passes"}`, skip, async () => {
    loadNft(rules);
    const blocks = findBlocks(await readFirewalls(), ipv6);
    assert.equal(
      blocks.some((block) => block.ipv6),
      dropped,
      blocks.map(({ text }) => text).join("\n"),
    );
  });
}

test("what is dropped of IPv6 alone leaves IPv4 as it is: the block says which family it is", skip, async () => {
  loadNft(table("ip6", "drop", ""));
  assert.deepEqual(await textsOf(ipv4), []);
  const [block, ...more] = findBlocks(await readFirewalls(), ipv6);
  assert.deepEqual(more, []);
  assert.deepEqual([block!.ipv4, block!.ipv6], [false, true]);
  assert.equal(
    block!.text,
    'nftables drops what the VM sends by IPv6 and answers to the VM by IPv6 (chain f of the table ip6 t), so the VM gets no IPv6; this lets it through, and lasts with the same rules at the top of that chain in /etc/nftables.conf: nft \'insert rule ip6 t f iifname "softnet*" accept; insert rule ip6 t f oifname "softnet*" ct state established,related accept\'',
  );
  shell(/: (nft '.*')$/.exec(block!.text)![1]!);
  assert.deepEqual(await textsOf(ipv6), []);
});

test("one table for both families is one line with one command", skip, async () => {
  loadNft(table("inet", "drop", "ct state established,related accept"));
  const [block, ...more] = findBlocks(await readFirewalls(), ipv6);
  assert.deepEqual(more, []);
  assert.deepEqual([block!.ipv4, block!.ipv6], [true, true]);
  assert.match(block!.text, /^nftables drops what the VM sends \(chain f of the table inet t\); this lets it through/);
  shell(/: (nft '.*')$/.exec(block!.text)![1]!);
  assert.deepEqual(await textsOf(ipv6), []);
});

test("--expose: what is dropped of clients alone takes no IPv6 from the VM", skip, async () => {
  loadNft(table("ip6", "drop", 'ct state established,related accept\niifname "softnet*" accept'));
  const [block] = findBlocks(await readFirewalls(), { ...ipv6, exposed: true });
  assert.equal(block!.ipv6, false);
  assert.match(
    block!.text,
    /^nftables drops what clients send to a port of --expose by IPv6 \(chain f of the table ip6 t\); this/,
  );
  shell(/: (nft '.*')$/.exec(block!.text)![1]!);
  assert.deepEqual(await textsOf({ ...ipv6, exposed: true }), []);
});

test("ip6tables: its own rules are read, and its own command is said and helps", skip, async () => {
  loadIp6tables(
    "DROP",
    "FORWARD -s fd99::/16 -j ACCEPT",
    "FORWARD -d fd99::/16 -j ACCEPT",
    "FORWARD -p ipv6-icmp -j ACCEPT",
  );
  const [text, ...more] = await textsOf({ ...ipv6, exposed: true });
  assert.deepEqual(more, []);
  assert.match(
    text!,
    /^iptables drops what the VM sends by IPv6 and .*; this lets it through, .*: ip6tables -I FORWARD /,
  );
  shell(/: (ip6tables .*)$/.exec(text!)![1]!);
  assert.deepEqual(await textsOf({ ...ipv6, exposed: true }), []);
});

test("ip6tables accepts the VM's prefix, written in another way", skip, async () => {
  loadIp6tables(
    "DROP",
    "FORWARD -s FD12:3456:789A::/48 -j ACCEPT",
    "FORWARD -d fd12:3456:789a::/48 -m conntrack --ctstate ESTABLISHED -j ACCEPT",
  );
  assert.deepEqual(await textsOf(ipv6), []);
});

test("ip6tables with a match that nobody knows is taken to be meant", skip, async () => {
  loadIp6tables("DROP", "FORWARD -m mark --mark 0x7 -j ACCEPT");
  assert.deepEqual(await textsOf(ipv6), []);
});

test("Docker's chain for its user in IPv6's table", skip, async () => {
  loadIp6tables("DROP", ":DOCKER-USER - [0:0]", "FORWARD -j DOCKER-USER", "DOCKER-USER -j RETURN");
  const [text] = await textsOf(ipv6);
  assert.match(
    text!,
    /^Docker drops what the VM sends by IPv6 .*: ip6tables -I DOCKER-USER -i softnet\+ -j ACCEPT && ip6tables/,
  );
  shell(/: (ip6tables .*)$/.exec(text!)![1]!);
  assert.deepEqual(await textsOf(ipv6), []);
});

test("Docker 20 has no chain for its user in IPv6's table", skip, async () => {
  loadIp6tables("DROP", ":DOCKER - [0:0]", "FORWARD -o docker0 -j DOCKER");
  const [text] = await textsOf(ipv6);
  assert.match(
    text!,
    /^Docker drops .* lasts in ExecStartPost= lines of docker\.service: ip6tables -I FORWARD -i softnet/,
  );
});

test("ufw has a command for both families: it is said once", skip, async () => {
  shell("nft flush ruleset");
  for (const [program, name] of [
    ["iptables", "ufw"],
    ["ip6tables", "ufw6"],
  ] as const) {
    const rules = [
      "*filter",
      ":FORWARD DROP [0:0]",
      `:${name}-user-forward - [0:0]`,
      `-A FORWARD -j ${name}-user-forward`,
    ];
    shell(`${program}-restore`, [...rules, "COMMIT", ""].join("\n"));
  }
  const blocks = findBlocks(await readFirewalls(), ipv6);
  assert.equal(blocks.length, 1, blocks.map(({ text }) => text).join("\n"));
  assert.deepEqual([blocks[0]!.ipv4, blocks[0]!.ipv6], [true, true]);
  shell("iptables -A ufw-user-forward -i softnet+ -j ACCEPT; iptables -A ufw-user-forward -o softnet+ -j ACCEPT");
  const [left, ...more] = await textsOf(ipv6);
  assert.deepEqual(more, []);
  assert.match(
    left!,
    /^ufw drops what the VM sends by IPv6 .* of the table ip6 filter.*: ufw route allow in on softnet\+ && ufw route allow out/,
  );
});

test("ufw that is told to leave IPv6 out closes it whole: its switch comes first", skip, async () => {
  loadIp6tables("DROP");
  shell("iptables-restore", "*filter\n:FORWARD ACCEPT [0:0]\n:ufw-user-forward - [0:0]\nCOMMIT\n");
  const [text] = await textsOf(ipv6);
  assert.match(
    text!,
    /^ufw drops what the VM sends by IPv6 .*: sed -i 's\/\^IPV6=no\/IPV6=yes\/' \/etc\/default\/ufw && ufw reload && ufw route allow in on softnet\+/,
  );
});

test("a bridge whose IPv6 is filtered: by IPv6's rules, and not by IPv4's", skip, async () => {
  loadNft(table("ip", "drop", ""));
  assert.deepEqual(await textsOf(bridged), []);
  loadNft(table("ip6", "drop", ""));
  const [text] = await textsOf(bridged);
  assert.match(text!, /^nftables drops .* by IPv6 .*: nft 'insert rule ip6 t f iifname "br0" oifname "br0" accept'$/);
  assert.deepEqual(await textsOf({ mode: "bridge", tap: "softnet3", bridge: "br0" }), []);
  shell(/: (nft '.*')$/.exec(text!)![1]!);
  assert.deepEqual(await textsOf(bridged), []);
});
