/**
 * What real programs load (rules/: as their own listings show it), and rules of iptables that nft's JSON lists without
 * their contents. Each is loaded into a kernel and read back.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { findBlocks, type Path, readFirewalls } from "../../../src/host/firewalls/firewalls.ts";
import { parseIPv4 } from "../../../src/wire/address.ts";
import { enterFreshNamespace } from "../../support/namespace.ts";
import { needs, needsRoot, run } from "../../support/tools.ts";

const skip = { ...needsRoot(), ...needs("nft", "iptables") };
const routed: Path = { mode: "nat", tap: "softnet3", vm: parseIPv4("10.9.9.2")!, uplink: "eth0", exposed: false };
const exposed: Path = { ...routed, exposed: true };
const bridged: Path = { mode: "bridge", tap: "softnet3", bridge: "br0" };

let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

function shell(command: string, input = ""): void {
  const { status, stderr } = spawnSync("/bin/sh", ["-ec", command], { input, encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

function load(file: string): void {
  const text = readFileSync(new URL(`rules/${file}`, import.meta.url), "utf8");
  run("nft", "flush", "ruleset");
  shell(file.endsWith(".nft") ? "nft -f -" : "iptables-restore", text);
}

/** A few rules of iptables in the table filter. */
function loadFilter(policy: string, ...rules: readonly string[]): void {
  run("nft", "flush", "ruleset");
  const lines = rules.map((rule) => (rule.startsWith(":") ? rule : `-A ${rule}`));
  shell("iptables-restore", ["*filter", `:FORWARD ${policy} [0:0]`, ...lines, "COMMIT", ""].join("\n"));
}

async function verdict(path = routed): Promise<string | undefined> {
  const blocks = findBlocks(await readFirewalls(), path);
  return blocks.length === 0 ? undefined : blocks.map(({ text }) => text).join("\n");
}

/** Runs the command that a line ends with. */
function obey(message: string | undefined): void {
  const command = /: (iptables.*)$/.exec(message ?? "")?.[1];
  assert.ok(command, `no command in ${message}`);
  shell(command);
}

test("ufw: what the VM sends is dropped, and ufw knows the command", skip, async () => {
  load("ufw.rules");
  assert.equal(
    await verdict(),
    "ufw drops what the VM sends (chain FORWARD of the table ip filter); this lets it through, and ufw keeps it: ufw route allow in on softnet+",
  );
  assert.match((await verdict(exposed))!, /: ufw route allow in on softnet\+ && ufw route allow out on softnet\+$/);
  shell("iptables -A ufw-user-forward -i softnet+ -j ACCEPT"); // as ufw does it
  assert.equal(await verdict(), undefined);
  shell("iptables -A ufw-user-forward -o softnet+ -j ACCEPT");
  assert.equal(await verdict(exposed), undefined);
});

test("ufw with an accepting policy for what is routed: nothing is said", skip, async () => {
  load("ufw.rules");
  shell("iptables -P FORWARD ACCEPT");
  assert.equal(await verdict(exposed), undefined);
});

test("ufw rejects what is routed in a chain of its own", skip, async () => {
  load("ufw.rules");
  shell("iptables -P FORWARD ACCEPT; iptables -A ufw-reject-forward -j REJECT");
  assert.match((await verdict())!, /^ufw drops what the VM sends /);
});

test("ufw lets the VM's network reach one port: that is taken to be meant", skip, async () => {
  load("ufw.rules");
  shell("iptables -A ufw-user-forward -p tcp --dport 443 -j ACCEPT");
  assert.equal(await verdict(), undefined);
});

test("Docker 20: its user's chain, and nothing but softnet's TAPs", skip, async () => {
  load("docker.rules");
  const message = await verdict(exposed);
  assert.match(
    message!,
    /^Docker drops what the VM sends and answers to the VM and what clients send to a port of --exp/,
  );
  assert.match(message!, /lasts in ExecStartPost= lines of docker\.service: iptables -I DOCKER-USER -i softnet\+ /);
  obey(message);
  assert.equal(await verdict(exposed), undefined);
  assert.ok(await verdict({ ...routed, tap: "eth1" }), "others are dropped as before");
});

test("libvirt's default network drops what is its own", skip, async () => {
  load("libvirt.rules");
  assert.equal(await verdict(exposed), undefined);
});

test("libvirt's default network as the way out is closed", skip, async () => {
  load("libvirt.rules");
  assert.match((await verdict({ ...routed, uplink: "virbr0" }))!, /^iptables drops what the VM sends and answers/);
});

test("podman accepts its own and drops nothing", skip, async () => {
  load("podman.rules");
  assert.equal(await verdict(exposed), undefined);
});

test("podman under a policy of DROP", skip, async () => {
  load("podman.rules");
  shell("iptables -P FORWARD DROP");
  const message = await verdict(exposed);
  assert.match(
    message!,
    /^iptables drops .*, and lasts with "netfilter-persistent save": iptables -I FORWARD -i softnet/,
  );
  obey(message);
  assert.equal(await verdict(exposed), undefined);
});

test("Red Hat's last REJECT", skip, async () => {
  load("rhel.rules");
  const message = await verdict();
  assert.match(message!, /^iptables drops what the VM sends and answers to the VM \(chain FORWARD /);
  obey(message);
  assert.equal(await verdict(), undefined);
});

test("firewalld: a zone of softnet's own and a policy, never the zone trusted", skip, async () => {
  load("firewalld.nft");
  const message = (await verdict(exposed))!;
  assert.match(message, /^firewalld drops what the VM sends \(chain filter_FORWARD of the table inet firewalld\); /);
  assert.match(
    message,
    /firewall-cmd --permanent --new-zone=softnet && .*--set-target=ACCEPT && firewall-cmd --reload$/,
  );
  assert.doesNotMatch(message, /trusted|softnet-in/);
});

const cases: [string, string, readonly string[], RegExp | undefined][] = [
  [
    "a policy of DROP behind a conntrack accept",
    "DROP",
    ["FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"],
    /drops what the VM sends \(/,
  ],
  [
    "a REJECT with a comment",
    "ACCEPT",
    ['FORWARD -m comment --comment "no \\"routing\\" -j ACCEPT" -j REJECT'],
    /sends and answers/,
  ],
  [
    "LOG, then DROP",
    "ACCEPT",
    ['FORWARD -j LOG --log-prefix "[X] -j ACCEPT "', "FORWARD -j DROP"],
    /sends and answers/,
  ],
  [
    "a limited LOG, then DROP",
    "ACCEPT",
    ["FORWARD -m limit --limit 3/min -j LOG", "FORWARD -j DROP"],
    /sends and answers/,
  ],
  ["a mark, then DROP", "ACCEPT", ["FORWARD -j MARK --set-mark 7", "FORWARD -j DROP"], /sends and answers/],
  [
    "new connections rejected",
    "ACCEPT",
    ["FORWARD -m conntrack --ctstate NEW -j REJECT"],
    /drops what the VM sends \(/,
  ],
  [
    "not from elsewhere",
    "DROP",
    ["FORWARD ! -i eth0 -j ACCEPT", "FORWARD -m state --state ESTABLISHED -j ACCEPT"],
    undefined,
  ],
  ["not from this TAP", "DROP", ["FORWARD ! -i softnet+ -j ACCEPT"], /drops what the VM sends \(/],
  [
    "private addresses, both ways",
    "DROP",
    ["FORWARD -s 10.0.0.0/8 -j ACCEPT", "FORWARD -d 10.0.0.0/8 -j ACCEPT"],
    undefined,
  ],
  ["private addresses, one way", "DROP", ["FORWARD -s 10.0.0.0/8 -j ACCEPT"], /drops answers to the VM \(/],
  ["a set of addresses that nobody knows", "DROP", ["FORWARD -m mark --mark 1 -j ACCEPT"], undefined],
  ["one port dropped", "ACCEPT", ["FORWARD -p tcp -m tcp --dport 25 -j DROP"], undefined],
  ["another protocol dropped", "ACCEPT", ["FORWARD -p udp -j DROP", "FORWARD ! -p tcp -j DROP"], undefined],
  [
    "a jump that returns, then DROP",
    "ACCEPT",
    [":X - [0:0]", "FORWARD -j X", "FORWARD -j DROP", "X -j RETURN"],
    /sends and/,
  ],
  [
    "a goto that ends the chain",
    "DROP",
    [":X - [0:0]", "FORWARD -g X", "FORWARD -j ACCEPT", "X -j RETURN"],
    /sends and/,
  ],
  ["what is for this host", "DROP", ["FORWARD -m addrtype --dst-type LOCAL -j ACCEPT"], /sends and/],
  ["bridged frames", "DROP", ["FORWARD -m physdev --physdev-is-bridged -j ACCEPT"], /sends and/],
];
for (const [name, policy, rules, expected] of cases) {
  test(`iptables, ${name}: ${expected === undefined ? "starts" : "refused"}`, skip, async () => {
    loadFilter(policy, ...rules);
    const message = await verdict();
    if (expected === undefined) assert.equal(message, undefined);
    else assert.match(message!, expected);
  });
}

test("a table mangle that drops", skip, async () => {
  run("nft", "flush", "ruleset");
  shell("iptables -t mangle -A FORWARD -m comment --comment x -j DROP");
  const message = await verdict();
  assert.match(message!, /table ip mangle\).*: iptables -t mangle -I FORWARD -i softnet\+ -j ACCEPT && /);
  obey(message);
  assert.equal(await verdict(), undefined);
});

test("iptables-legacy, which nft does not show", skip, async () => {
  run("nft", "flush", "ruleset");
  shell("iptables-legacy -P FORWARD DROP; iptables-legacy -A FORWARD -m state --state ESTABLISHED -j ACCEPT");
  try {
    const message = await verdict();
    assert.match(message!, /^iptables drops what the VM sends .*: iptables-legacy -I FORWARD -i softnet\+ -j ACCEPT$/);
    obey(message);
    assert.equal(await verdict(), undefined);
  } finally {
    shell("iptables-legacy -F; iptables-legacy -P FORWARD ACCEPT");
  }
});

test("on a bridge: what Docker drops there, and the ports of softnet alone let through", skip, async () => {
  load("docker.rules");
  const message = await verdict(bridged);
  assert.match(
    message!,
    /^Docker drops what the VM sends and answers to the VM .*: iptables -I DOCKER-USER -m physdev /,
  );
  obey(message);
  assert.equal(await verdict(bridged), undefined);
  assert.equal(message!.match(/ --physdev-(in|out) softnet\+ -j ACCEPT/g)!.length, 2);
});

test("on a bridge: ufw", skip, async () => {
  load("ufw.rules");
  assert.match((await verdict(bridged))!, /: ufw route allow in on br0 out on br0$/);
  shell("iptables -A ufw-user-forward -i br0 -o br0 -j ACCEPT"); // as ufw does it
  assert.equal(await verdict(bridged), undefined);
});
