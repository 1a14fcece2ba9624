/** Other firewalls, as nft tells them once it has loaded what Docker, ufw and firewalld load. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { refuseDroppingChains } from "../../../src/networks/nat/firewalls.ts";
import { readChains } from "../../../src/networks/nat/ruleset.ts";
import { parseIPv4 } from "../../../src/wire/address.ts";
import { enterFreshNamespace } from "../../support/namespace.ts";
import { LIMIT } from "../../support/patience.ts";
import { needs, needsRoot, pathOf } from "../../support/tools.ts";

const skip = { ...needsRoot(), ...needs("nft") };
const path = { tap: "softnet3", vm: parseIPv4("10.9.9.2")!, uplink: "eth0", exposed: false };

let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

function nft(input: string): void {
  const { status, stderr } = spawnSync(pathOf("nft")!, ["-f", "-"], {
    input: `flush ruleset\n${input}`,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
}

/** What softnet says about the rules; undefined when it starts. */
function verdict(rules: string, exposed = false): string | undefined {
  nft(rules);
  try {
    refuseDroppingChains(pathOf("nft")!, readChains(pathOf("nft")!), { ...path, exposed });
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const docker = (user: string): string => `
table ip filter {
  chain DOCKER { iifname != "docker0" oifname "docker0" ip daddr 172.17.0.2 tcp dport 80 counter accept
  }
  chain DOCKER-USER { ${user}
    counter return
  }
  chain ISOLATION { iifname "docker0" oifname != "docker0" counter jump DOCKER
    counter return
  }
  chain FORWARD { type filter hook forward priority 0; policy drop;
    counter jump DOCKER-USER
    counter jump ISOLATION
    oifname "docker0" ct state related,established counter accept
    oifname "docker0" counter jump DOCKER
    iifname "docker0" oifname != "docker0" counter accept
  }
}`;

test("Docker drops, and its user's chain is named in the command that helps", skip, () => {
  const message = verdict(docker(""));
  assert.match(message!, /FORWARD of this host's table ip filter/);
  const command = /nft '(.*)'$/.exec(message!)![1]!;
  assert.match(command, /insert rule ip filter DOCKER-USER iifname "softnet\*" accept/);
  assert.equal(spawnSync(pathOf("nft")!, [command]).status, 0);
  assert.doesNotThrow(() => refuseDroppingChains(pathOf("nft")!, readChains(pathOf("nft")!), path));
});

test("half of the permission is none", skip, () => {
  assert.ok(verdict(docker('iifname "softnet*" accept')));
  assert.equal(verdict(docker('iifname "softnet*" accept\noifname "softnet*" ct state established accept')), undefined);
});

const inet = (policy: string, rules: string): string =>
  `table inet t { chain f { type filter hook forward priority 0; policy ${policy};\n${rules}\n} }`.replace(
    "} }",
    "}\n}",
  );

const cases: [string, string, boolean][] = [
  ["nothing", "", false],
  ["an accepting chain", inet("accept", ""), false],
  ["a reject at the end", inet("accept", 'ct state established accept\niifname "eth1" accept\nreject'), true],
  ["a policy of drop", inet("drop", ""), true],
  [
    "the private addresses accepted both ways",
    inet("drop", "ip saddr 10.0.0.0/8 accept\nip daddr { 10.0.0.0/8 } accept"),
    false,
  ],
  ["the private addresses accepted one way", inet("drop", "ip saddr 10.0.0.0/8 accept"), true],
  ["answers dropped", inet("accept", 'oifname "softnet*" drop'), true],
  ["some ports dropped", inet("accept", "tcp dport 25 drop"), false],
  ["a mark nobody knows", inet("drop", "meta mark 1 accept"), false],
  ["IPv6 dropped", inet("accept", "meta nfproto ipv6 drop"), false],
  ["another family", "table ip6 t { chain f { type filter hook forward priority 0; policy drop;\n}\n}", false],
  ["another hook", "table inet t { chain f { type filter hook input priority 0; policy drop;\n}\n}", false],
];
for (const [name, rules, dropped] of cases) {
  test(`${name}: ${dropped ? "refused" : "starts"}`, skip, () => {
    assert.equal(verdict(rules) !== undefined, dropped);
  });
}

/** With these, what the VM asks for is answered. */
const HALF = 'ct state established,related accept\niifname "softnet*" accept';

const exposing: [string, string, boolean][] = [
  ["nothing", "", false],
  ["clients forgotten", inet("drop", HALF), true],
  ["clients forgotten, and new connections dropped", inet("accept", `${HALF}\nct state new drop`), true],
  ["all that goes to VMs", inet("drop", `iifname "softnet*" accept\noifname "softnet*" accept`), false],
  ["redirected connections", inet("drop", `${HALF}\nct status dnat accept`), false],
  ["redirected connections, to somewhere else", inet("drop", `${HALF}\noifname "br1" ct status dnat accept`), true],
  ["the VM's port", inet("drop", `${HALF}\noifname "softnet*" tcp dport 22 accept`), false],
  ["clients of a LAN", inet("drop", `${HALF}\nip saddr 192.168.1.0/24 oifname "softnet*" accept`), false],
  ["clients at another link", inet("drop", `${HALF}\niifname "docker0" accept`), true],
  ["redirected connections dropped", inet("accept", "ct status dnat drop"), true],
  [
    "only connections that were redirected",
    inet("accept", 'oifname "softnet*" ct status != dnat ct state new drop'),
    false,
  ],
];
for (const [name, rules, dropped] of exposing) {
  test(`with exposed ports, ${name}: ${dropped ? "refused" : "starts"}`, skip, () => {
    assert.equal(verdict(rules), undefined, "without exposed ports it starts");
    assert.equal(verdict(rules, true) !== undefined, dropped);
  });
}

test("the command for exposed ports opens nothing else, and helps", skip, () => {
  for (const [rules, place] of [
    [inet("drop", HALF), "inet t f"],
    [docker('iifname "softnet*" accept\noifname "softnet*" ct state established accept'), "ip filter DOCKER-USER"],
  ] as const) {
    const message = verdict(rules, true);
    assert.match(message!, /drops what clients send to a port of --expose; let it through with: nft '[^\n]*'$/);
    const command = /nft '(.*)'$/.exec(message!)![1]!;
    assert.equal(command, `insert rule ${place} oifname "softnet*" ct status dnat accept`);
    assert.equal(spawnSync(pathOf("nft")!, [command]).status, 0);
    const now = readChains(pathOf("nft")!);
    assert.doesNotThrow(() => refuseDroppingChains(pathOf("nft")!, now, { ...path, exposed: true }));
  }
});

test("the command for everything helps exposed ports, too", skip, () => {
  const command = /nft '(.*)'$/.exec(verdict(docker(""), true)!)![1]!;
  assert.equal(spawnSync(pathOf("nft")!, [command]).status, 0);
  const now = readChains(pathOf("nft")!);
  assert.doesNotThrow(() => refuseDroppingChains(pathOf("nft")!, now, { ...path, exposed: true }));
});

test("firewalld must know itself", skip, () => {
  const message = verdict(
    "table inet firewalld { chain f { type filter hook forward priority 10; policy accept;\nreject with icmpx admin-prohibited\n}\n}",
  );
  assert.match(message!, /firewall-cmd --zone=trusted --add-interface=softnet\+$/);
});

test("tables with an owner, whose flags nft 1.0.6 cannot tell", { ...skip, ...LIMIT }, async () => {
  nft("");
  const owner = spawn(pathOf("nft")!, ["-i"], { stdio: ["pipe", "pipe", "inherit"] });
  const rules = "create table inet t { flags owner; }; add chain inet t f { type filter hook forward priority 0; }";
  owner.stdin.write(`${rules}; add rule inet t f drop\nlist chains\n`);
  await once(owner.stdout, "data");
  const chains = readChains(pathOf("nft")!);
  for (let time = 0; time < 20; time++) {
    assert.throws(() => refuseDroppingChains(pathOf("nft")!, chains, path), /table inet t drops/);
  }
  owner.stdin.end();
  await once(owner, "exit");
});
