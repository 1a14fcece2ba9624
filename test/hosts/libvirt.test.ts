/** softnet as real libvirt's hook: attached before the domain's CPUs run, or the domain does not start. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BRIDGE, INTERNET } from "../lab/harness/topology.ts";
import { URL, worked } from "../lab/qemu/guest.ts";
import { asks, CARD, domain, NEEDS, scene } from "./harness/libvirt.ts";

/** An address that the guest does not have; it is the source of its very first frames. */
const FORGED = "10.77.0.77";
const SPOOF = `ip address add ${FORGED}/32 dev eth0; ip route add ${INTERNET} dev eth0; ping -c 2 -W 1 -I ${FORGED} ${INTERNET}; arping -c 2 -w 2 -A -I eth0 ${FORGED}; ip route flush dev eth0; ip address flush dev eth0`;

test(
  "a domain that asks for softnet: its first frames are judged already, what is allowed passes, all ends with it",
  NEEDS,
  async (t) => {
    const { host, folder } = await scene(t);
    await host.run("mkdir -p /etc/softnet/vms; mkdir -m 777 /run/logs");
    await host.run(`printf 'log-file /run/logs/softnet.log\\nblock @metadata\\n' >/etc/softnet/vms/vm1.conf`);
    writeFileSync(join(folder, "vm1.xml"), domain(folder, { url: URL, first: SPOOF }, CARD));
    const seen = host.start(`tcpdump -n -l -i ${BRIDGE} "(arp or ip) and host ${FORGED}"`);
    await seen.line(/listening on/);
    await host.run(`virsh -c qemu:///system create ${folder}/vm1.xml`);
    await worked(host.start(`tail -n +1 -F ${folder}/console`));
    await host.until("! virsh -c qemu:///system domstate vm1");
    await host.until("! ls /run/softnet/libvirt/*.conf");
    const log = await host.run("cat /run/logs/softnet.log");
    assert.match(log, /message=started .*attach vnet\d+/);
    assert.match(log, /message=summary /);
    assert.match(log, /reason=(arp|ipv4)\./, log);
    assert.deepEqual(
      seen.stdout.filter((line) => line.includes(FORGED)),
      [],
      "a frame with a forged address has left the VM",
    );
  },
);

test(
  "a domain that cannot have the softnet that it asks for does not start, and the error says why",
  NEEDS,
  async (t) => {
    const { host, folder } = await scene(t);
    for (const [options, card, why] of [
      ["<softnet:block>300.0.0.1</softnet:block>", CARD, /300\.0\.0\.1/],
      ["<softnet:log-file>/etc/passwd</softnet:log-file>", CARD, /log-file.* is no option/],
      ["", '<interface type="user"><model type="virtio"/></interface>', /cannot filter type="user"/],
    ] as const) {
      writeFileSync(join(folder, "vm1.xml"), domain(folder, { url: URL }, card, asks(options)));
      const { code, stderr } = await host.attempt(`virsh -c qemu:///system create ${folder}/vm1.xml`);
      assert.equal(code, 1);
      assert.match(stderr, why);
      assert.equal((await host.run("virsh -c qemu:///system list --name")).trim(), "");
      assert.equal((await host.attempt("ls /run/softnet/libvirt/*")).stdout, "");
    }
  },
);

test(
  "metadata alone gives a domain its softnet, and virsh destroy ends it; a domain that does not ask has none",
  NEEDS,
  async (t) => {
    const { host, folder } = await scene(t);
    writeFileSync(
      join(folder, "vm1.xml"),
      domain(folder, { url: URL }, CARD, asks("<softnet:block>@private</softnet:block>")),
    );
    await host.run(`virsh -c qemu:///system create ${folder}/vm1.xml`);
    const pid = (await host.run("cut -d' ' -f1 /run/softnet/libvirt/*.pid")).trim();
    assert.match(await host.run("cat /run/softnet/libvirt/*.conf"), /^block @private\n/);
    await host.run("virsh -c qemu:///system destroy vm1");
    await host.until(`! kill -0 ${pid}`);
    assert.equal((await host.attempt("ls /run/softnet/libvirt/*")).stdout, "");
    writeFileSync(join(folder, "vm1.xml"), domain(folder, { url: URL }, CARD));
    await host.run(`virsh -c qemu:///system create ${folder}/vm1.xml`);
    assert.equal((await host.attempt("ls /run/softnet/libvirt/*")).stdout, "");
    await host.run("virsh -c qemu:///system destroy vm1");
  },
);
