/** A host with the real libvirt and this softnet as its hook, and domains that boot the lab's system in QEMU. */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { DhcpServer } from "../../lab/harness/servers.ts";
import { softnetCommand } from "../../lab/harness/softnet.ts";
import { BRIDGE, Lab, labNeeds } from "../../lab/harness/topology.ts";
import { KERNEL_ARGUMENTS } from "../../lab/qemu/desk.ts";
import { initramfs, type SystemOptions } from "../../lab/qemu/initramfs.ts";
import { kernel, needsKernel } from "../../lab/qemu/kernel.ts";
import { LIMIT } from "../../support/patience.ts";
import { pathOf } from "../../support/tools.ts";
import { PrivateHost } from "./private-host.ts";

export const MAC = "52:54:00:00:00:01";

/** Slots for cards, also for such as are plugged in later. */
const PORTS = 4;

/** A domain that boots the lab's system. `card` is its interface, `metadata` what its owner wrote. */
export function domain(folder: string, system: SystemOptions, card: string, metadata = ""): string {
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
  <features><acpi/></features>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>${pathOf("qemu-system-x86_64")}</emulator>
    <controller type="pci" model="pcie-root"/>
    ${"<controller type='pci' model='pcie-root-port'/>".repeat(PORTS)}
    ${card}
    <serial type="file"><source path="${folder}/console"/></serial>
    <memballoon model="none"/>
  </devices>
</domain>`;
}

export const CARD = `<interface type="bridge">
      <source bridge="${BRIDGE}"/>
      <mac address="${MAC}"/>
      <model type="virtio"/>
    </interface>`;

export const asks = (options: string): string =>
  `<metadata><softnet:vm xmlns:softnet="urn:softnet:libvirt:1">${options}</softnet:vm></metadata>`;

/** libvirt's QEMU without a user, a confinement and control groups of its own, of which a private host has none. */
export const QEMU_CONF =
  'user = "root"\ngroup = "root"\nsecurity_driver = "none"\ncgroup_controllers = [ ]\nnamespaces = [ ]\nstdio_handler = "file"\n';

export interface Scene {
  readonly host: PrivateHost;
  readonly folder: string;
}

/** A host with libvirt and this softnet as its hook. */
export async function scene(t: TestContext): Promise<Scene> {
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

export const NEEDS = {
  ...needsKernel(),
  ...labNeeds("libvirtd", "virsh", "dbus-daemon", "qemu-system-x86_64", "busybox", "dnsmasq", "nft", "tcpdump"),
  ...LIMIT,
};
