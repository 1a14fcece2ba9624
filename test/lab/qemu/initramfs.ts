/**
 * The system that the guests boot: one static busybox, the network card's modules, and a script that gets a lease, asks
 * the gateway for echoes, downloads over TCP, tells how each went on the serial console, and powers off.
 */
import { readFileSync } from "node:fs";
import { pathOf } from "../../support/tools.ts";
import { cpio } from "./cpio.ts";
import type { Kernel } from "./kernel.ts";

export interface SystemOptions {
  /** Option 61 of its DHCP messages, hexadecimal; default: the client's own, 01 and the MAC address. */
  readonly clientIdentifier?: string;
  /** What it downloads. */
  readonly url: string;
  /** A line of shell that it runs as soon as its card is there. */
  readonly first?: string;
  /** A line of shell that it runs last. */
  readonly last?: string;
  /** More files, by their path without a leading slash, in one of FOLDERS. */
  readonly files?: ReadonlyMap<string, Uint8Array>;
}

/** Lines that the system prints: `SOFTNET event name=value …`. */
export const MARK = "SOFTNET";

const FOLDERS = ["bin", "dev", "lib", "lib64", "modules", "proc", "sys"];

/** Packs the system. */
export function initramfs(kernel: Kernel, options: SystemOptions): Buffer {
  const modules = kernel.modules("virtio_pci").concat(kernel.modules("virtio_net"));
  const files = new Map<string, Uint8Array>([["bin/busybox", readFileSync(pathOf("busybox")!)]]);
  for (const { name, content } of modules) files.set(`modules/${name}.ko`, content);
  const names = [...new Set(modules.map(({ name }) => name))];
  files.set("init", Buffer.from(init(names, options)));
  files.set("lease", Buffer.from(LEASE));
  for (const [path, content] of options.files ?? []) files.set(path, content);
  return cpio(FOLDERS, files);
}

function init(
  modules: readonly string[],
  { clientIdentifier, url, first = "true", last = "true" }: SystemOptions,
): string {
  const identifier = clientIdentifier === undefined ? "" : `-x 0x3d:${clientIdentifier}`;
  return `#!/bin/busybox sh
export PATH=/bin
/bin/busybox mkdir -p /bin
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t sysfs sys /sys
for module in ${modules.join(" ")}; do insmod /modules/$module.ko; done
echo "${MARK} booted seconds=$(cut -d' ' -f1 /proc/uptime)"
ip link set lo up
ip link set eth0 up
${first}
udhcpc -i eth0 -f -q -n -t 10 -T 1 -s /lease ${identifier} || echo "${MARK} no-lease"
router=$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')
ping -c 3 -W 2 "$router" >/ping && echo "${MARK} ping $(grep received /ping)" || echo "${MARK} no-ping"
wget -q -O /file ${url} && echo "${MARK} downloaded bytes=$(wc -c </file) sha256=$(sha256sum </file | cut -d' ' -f1)"
${last}
echo "${MARK} end seconds=$(cut -d' ' -f1 /proc/uptime)"
poweroff -f
`;
}

/** udhcpc's event script. */
const LEASE = `#!/bin/busybox sh
[ "$1" = bound ] || exit 0
ip address replace "$ip/$mask" dev "$interface"
ip route replace default via "$router" dev "$interface"
echo "${MARK} lease address=$ip router=$router server=$serverid"
`;
