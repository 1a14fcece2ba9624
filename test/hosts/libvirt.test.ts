/** softnet as real libvirt's hook: attached before the domain's CPUs run, or the domain does not start. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DhcpServer } from "../lab/harness/servers.ts";
import { softnetCommand } from "../lab/harness/softnet.ts";
import { BRIDGE, INTERNET, Lab, labNeeds } from "../lab/harness/topology.ts";
import { KERNEL_ARGUMENTS } from "../lab/qemu/desk.ts";
import { URL, worked } from "../lab/qemu/guest.ts";
import { initramfs, type SystemOptions } from "../lab/qemu/initramfs.ts";
import { kernel, needsKernel } from "../lab/qemu/kernel.ts";
import { LIMIT } from "../support/patience.ts";
import { pathOf } from "../support/tools.ts";
import { PrivateHost } from "./harness/private-host.ts";

const MAC = "52:54:00:00:00:01";

/** A domain that boots the lab's system. `card` is its interface, `metadata` what its owner wrote. */
function domain(folder: string, system: SystemOptions, card: string, metadata = ""): string {
  const linux = kernel();
  copyFileSync(linux.image, join(folder, "linux"));
  writeFileSync(join(folder, "initramfs"), initramfs(linux, system));
  return `<domain type="qemu">
  <name>vm1</name>
  ${metadata}
  <memory unit="MiB">256</memory>
  <os>
    <type arch="x86_64" machine="q35">hvm</type>
    <kernel>${folder}/linux</kernel>
    <initrd>${folder}/initramfs</initrd>
    <cmdline>${KERNEL_ARGUMENTS}</cmdline>
  </os>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>${pathOf("qemu-system-x86_64")}</emulator>
    ${card}
    <serial type="file"><source path="${folder}/console"/></serial>
    <memballoon model="none"/>
  </devices>
</domain>`;
}

const CARD = `<interface type="bridge">
      <source bridge="${BRIDGE}"/>
      <mac address="${MAC}"/>
      <model type="virtio"/>
    </interface>`;

const asks = (options: string): string =>
  `<metadata><softnet:vm xmlns:softnet="urn:softnet:libvirt:1">${options}</softnet:vm></metadata>`;

/** An address that the guest does not have; it is the source of its very first frames. */
const FORGED = "10.77.0.77";
const SPOOF = `ip address add ${FORGED}/32 dev eth0; ip route add ${INTERNET} dev eth0; ping -c 2 -W 1 -I ${FORGED} ${INTERNET}; arping -c 2 -w 2 -A -I eth0 ${FORGED}; ip route flush dev eth0; ip address flush dev eth0`;

/** libvirt's QEMU without a user, a confinement and control groups of its own, of which a private host has none. */
const QEMU_CONF =
  'user = "root"\ngroup = "root"\nsecurity_driver = "none"\ncgroup_controllers = [ ]\nnamespaces = [ ]\nstdio_handler = "file"\n';

interface Scene {
  readonly host: PrivateHost;
  readonly folder: string;
}

/** A host with libvirt and this softnet as its hook. */
async function scene(t: TestContext): Promise<Scene> {
  const lab = Lab.open(t);
  await Promise.all([DhcpServer.start(lab, "dnsmasq"), lab.services()]);
  const host = await PrivateHost.open(lab);
  const folder = join(lab.directory, "domain");
  mkdirSync(folder);
  writeFileSync(join(folder, "console"), "");
  writeFileSync(join(folder, "qemu.conf"), QEMU_CONF);
  const command = softnetCommand([]).map((word) => `'${word}'`);
  writeFileSync(join(folder, "hook"), `#!/bin/sh\nexec ${command.join(" ")} libvirt-hook "$@"\n`, { mode: 0o755 });
  await host.run("mkdir -p /etc/libvirt/hooks/qemu.d");
  await host.run(`cp ${folder}/hook /etc/libvirt/hooks/qemu.d/softnet; cp ${folder}/qemu.conf /etc/libvirt/`);
  await host.run("dbus-daemon --system --fork --nopidfile");
  host.start("libvirtd");
  await host.until("virsh -c qemu:///system list >&2");
  return { host, folder };
}

const NEEDS = {
  ...needsKernel(),
  ...labNeeds("libvirtd", "virsh", "dbus-daemon", "qemu-system-x86_64", "busybox", "dnsmasq", "nft", "tcpdump"),
  ...LIMIT,
};

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
