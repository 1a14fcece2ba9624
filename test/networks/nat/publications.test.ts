/** Which ports other programs' NAT rules publish: rules as the real nft and iptables take and print them. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { parseNatSave } from "../../../src/networks/nat/iptables-save.ts";
import { publishedFrom } from "../../../src/networks/nat/nat-chains.ts";
import { includes, intersect } from "../../../src/networks/nat/port-ranges.ts";
import { parseIpvs } from "../../../src/networks/nat/publications.ts";
import { needs, needsRoot } from "../../support/tools.ts";

const READER = `
import { readPublications } from "${new URL("../../../src/networks/nat/publications.ts", import.meta.url)}";
console.log(JSON.stringify((await readPublications("/usr/sbin/nft")).flatMap(({ ports }) => ports)));
`;

/** The published ports of a fresh network namespace in which a shell script made the rules. */
function published(script: string): number[] {
  const run = `${script}\nexec "$0" --input-type=module-typescript -e "$1"`;
  const args = ["--net", "sh", "-e", "-c", run, process.execPath, READER];
  const { status, stdout, stderr } = spawnSync("unshare", args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  const ranges = JSON.parse(stdout.trim().split("\n").at(-1)!);
  return Array.from({ length: 65_535 }, (_, index) => index + 1).filter((port) => includes(ranges, port));
}

const nft = (rules: string): string => `nft -f - <<'END'\n${rules}\nEND`;
const span = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);
const root = { ...needs("nft"), ...needsRoot() };

test("nftables: single ports, ranges, sets, maps, jumps; no other protocol, no other hook", root, () => {
  const rules = `table inet t {
  map m { type inet_proto . inet_service : ipv4_addr . inet_service; elements = { tcp . 81 : 10.0.0.1 . 80, udp . 99 : 10.0.0.1 . 80 }; }
  map empty { type inet_proto . inet_service : ipv4_addr . inet_service; }
  set s { type inet_service; flags interval; elements = { 3000-3005, 3100 }; }
  set none { type inet_service; }
  chain a { meta l4proto tcp dnat ip to 10.0.0.8:80
  }
  chain pre { type nat hook prerouting priority dstnat;
    fib daddr type local dnat ip addr . port to meta l4proto . th dport map @m
    fib daddr type local dnat ip addr . port to meta l4proto . th dport map @empty
    tcp dport { 82, 84-85 } dnat ip to 10.0.0.2
    tcp dport vmap { 90 : jump a, 92-93 : goto a, 94 : accept }
    dnat ip to tcp dport map { 95 : 10.0.0.3 }
    tcp dport 1000-1010 redirect
    tcp dport @s redirect
    tcp dport @none redirect
    tcp dport 4000 accept
    udp dport 5000 redirect
    meta l4proto udp dnat ip to 10.0.0.4
    ip6 daddr ::1 tcp dport 6000 redirect
    ip daddr 10.0.0.9 tcp dport 7000 jump a
  }
  chain out { type nat hook output priority -100; tcp dport 8000 redirect; }
}`;
  assert.deepEqual(published(nft(rules)), [
    81,
    82,
    84,
    85,
    90,
    92,
    93,
    95,
    ...span(1000, 1010),
    ...span(3000, 3005),
    3100,
    7000,
  ]);
});

test("nftables: a translation without a port publishes them all; nothing is published where nothing is", root, () => {
  const rules = `table ip t { chain pre { type nat hook prerouting priority 0; ip daddr 192.0.2.1 dnat to 10.0.0.1
  }
}`;
  assert.equal(published(nft(rules)).length, 65_535);
  assert.deepEqual(published("nft list ruleset"), []);
});

const DOCKER = (iptables: string): string =>
  [
    "-N DOCKER",
    "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "-A DOCKER -i docker0 -j RETURN",
    "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
    "-A DOCKER -p tcp -m multiport --dports 9000:9010,9100 -j DNAT --to-destination 172.17.0.2",
    "-A DOCKER -p tcp -m comment --comment 'a -p udp --dport 1' --dport 7000:7001 -j REDIRECT --to-ports 99",
    "-A DOCKER -p udp --dport 7100 -j DNAT --to-destination 172.17.0.2:5",
    "-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE",
  ]
    .map((rule) => `${iptables} -t nat ${rule}`)
    .join("\n");
const DOCKERS = [7000, 7001, 8080, ...span(9000, 9010), 9100];

for (const kind of ["nft", "legacy"]) {
  const path = `/usr/sbin/iptables-${kind}`;
  const skip = existsSync(path) ? {} : { skip: `${path} is not installed (Debian's package iptables)` };
  test(`Docker's rules by iptables-${kind}`, { ...root, ...skip }, () => {
    assert.deepEqual(published(DOCKER(path)), DOCKERS);
  });
}

test("iptables-save: negations take nothing away, and loops end", () => {
  const text = `*filter
-A PREROUTING -p tcp --dport 1 -j DNAT --to-destination 10.0.0.1
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING ! -p tcp -j DNAT --to-destination 10.0.0.1
-A PREROUTING ! -p udp -m udp --dport 2 -j LOOP
-A LOOP -j LOOP
-A LOOP -g PREROUTING
-A LOOP -j REDIRECT
-A PREROUTING -p tcp -m tcp ! --dport 22:23 -m mark --mark 0x1 -g MARKED
-A MARKED -p tcp --dports :3,65535: -j NETMAP --to 10.0.0.0/24
COMMIT`;
  const ranges = publishedFrom(parseNatSave(text), "PREROUTING");
  assert.deepEqual(
    [0, 1, 2, 3, 4, 22, 65_534, 65_535].map((port) => includes(ranges, port)),
    [...[false, true, true, true, false], ...[false, false, true]],
  );
});

test("ranges have in common what both have", () => {
  assert.deepEqual(
    intersect(
      [
        [1, 10],
        [20, 30],
      ],
      [
        [5, 22],
        [30, 40],
      ],
    ),
    [
      [5, 10],
      [20, 22],
      [30, 30],
    ],
  );
});

test("IPVS: its TCP services", () => {
  const text = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0A80001:1F90 rr
  -> 0A000001:0050      Masq    1      0          0
UDP  C0A80001:0035 rr
FWM  00000001 rr
`;
  assert.deepEqual(
    parseIpvs(text).flatMap(({ ports }) => ports),
    [[8080, 8080]],
  );
  assert.deepEqual(parseIpvs(""), []);
});
