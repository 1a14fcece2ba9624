/**
 * A whole virtual machine with IPv6: Linux in QEMU (emulated) behind softnet, started with the lines of docs/qemu.md. Its kernel
 * makes itself an address out of the router's advertisement, and isc-dhcp-client gets another one by DHCPv6.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { test } from "node:test";
import { dnsmasq6, INTERNET6, ORDINARY6, openLab6, PREFIX, serve6 } from "../lab/harness/ipv6.ts";
import { DhcpServer } from "../lab/harness/servers.ts";
import { assertInnocent, Softnet } from "../lab/harness/softnet.ts";
import { GATEWAY, labNeeds } from "../lab/harness/topology.ts";
import { Desk } from "../lab/qemu/desk.ts";
import { blocks } from "../lab/qemu/document.ts";
import { SIZE, worked } from "../lab/qemu/guest.ts";
import { MARK } from "../lab/qemu/initramfs.ts";
import { needsKernel } from "../lab/qemu/kernel.ts";
import { LIMIT } from "../support/patience.ts";
import { pathOf } from "../support/tools.ts";

const NEEDS = {
  ...needsKernel(),
  ...labNeeds("qemu-system-x86_64", "busybox", "dhclient", "dnsmasq"),
  ...LIMIT,
};
/** Shell of the guest's: waits for an address that is ready, at most a minute, and tells of it. */
const SLAAC = `address() { ip -6 address show dev eth0 scope global | grep -v tentative | sed -n 's/.*inet6 \\([^/]*\\).*/\\1/p'; }
tries=0; until [ -n "$(address)" ] || [ $tries -ge 60 ]; do sleep 1; tries=$((tries+1)); done
echo "${MARK} slaac address=$(address)"
ping -6 -c 3 -W 2 ${INTERNET6} >/ping6; echo "${MARK} ping6 $(grep received /ping6)"`;

const DHCPV6 = `dhclient -6 -1 -cf /dev/null -lf /leases -pf /pid -sf /lease6 eth0
sleep 3
ping -6 -c 3 -W 2 -I "$(cat /leased)" ${INTERNET6} >/ping6; echo "${MARK} leased-ping6 $(grep received /ping6)"`;

const LEASE6 = `#!/bin/sh
[ "$reason" = BOUND6 ] || exit 0
ip -6 address add "$new_ip6_address/128" dev eth0
echo "$new_ip6_address" >/leased
echo "${MARK} lease6 address=$new_ip6_address"
`;

/** dhclient with the libraries that it wants (ldd(1)): the loader where it is looked for, the others in /lib. */
function dhclient(): Map<string, Uint8Array> {
  const program = pathOf("dhclient")!;
  const files = new Map([["bin/dhclient", readFileSync(program)]]);
  for (const line of execFileSync("ldd", [program], { encoding: "utf8" }).split("\n")) {
    const path = /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1];
    if (path === undefined) continue;
    files.set(basename(path).startsWith("ld-") ? path.slice(1) : `lib/${basename(path)}`, readFileSync(path));
  }
  return files;
}

test(
  "Linux in QEMU with IPv6: SLAAC, DHCPv6, pings and a TCP download by it; softnet ends with it",
  NEEDS,
  async (t) => {
    const lab = openLab6(t);
    await Promise.all([DhcpServer.start(lab, "dnsmasq"), dnsmasq6(lab), serve6(lab)]);
    const files = dhclient().set("lease6", Buffer.from(LEASE6));
    const desk = new Desk(lab, { url: `http://[${INTERNET6}]/${SIZE}`, first: SLAAC, last: DHCPV6, files });
    const [first, second] = blocks("QEMU connects to a path", "sh");
    const softnet = new Softnet(desk.paste(first!.replace("--bridge br0", "--bridge br0 --ipv6")));
    await softnet.program.line(/"message":"waiting for the VM"/);
    const qemu = desk.paste(second!);
    await worked(qemu, { router: GATEWAY });
    const told = (event: string): string =>
      qemu.stdout.find((line) => line.includes(`${MARK} ${event} `)) ?? qemu.text();
    assert.match(told("slaac"), /address=2001:db8:77:0:7c1a:ff:fe00:1/);
    assert.match(told("ping6"), / 3 packets received/);
    const leased = /address=(\S+)/.exec(told("lease6"))?.[1] ?? "none";
    assert.ok(leased.startsWith(`${PREFIX}1`), leased);
    assert.match(told("leased-ping6"), / 3 packets received/);
    assert.equal((await qemu.ended()).code, 0);
    assertInnocent(await softnet.ended(), ...ORDINARY6);
    const learned = softnet.records.filter(({ message }) => message === "binding learned");
    assert.ok(learned.some(({ address, origin }) => address === leased && origin === "dhcpv6"));
  },
);
