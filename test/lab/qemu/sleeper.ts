/**
 * A Linux system for QEMU with a DHCP client as Debian has it, which pings its gateway for ever. It is for machines that
 * are paused: their clock stands still, so that the client does not know how late it is.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { pathOf, type Tool } from "../../support/tools.ts";
import { tool } from "../harness/topology.ts";
import { cpio } from "./cpio.ts";
import type { Kernel } from "./kernel.ts";

export interface Sleeper {
  readonly name: string;
  readonly tool: Tool;
  /** The shell command that runs it for eth0; it may stay in the foreground. */
  readonly command: string;
  /** Its files, by their path without a leading slash. */
  readonly files: Readonly<Record<string, string>>;
}

const script = (name: string): string => readFileSync(tool(name), "utf8");

export const SLEEPERS: readonly Sleeper[] = [
  {
    name: "systemd-networkd",
    tool: "systemd-networkd",
    command: "mount -o remount,ro /sys; SYSTEMD_LOG_TARGET=console /usr/lib/systemd/systemd-networkd",
    files: {
      "etc/systemd/network/10-client.network":
        "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
      "etc/passwd": "root:x:0:0::/:/bin/sh\nsystemd-network:x:998:998::/:/bin/sh\n",
      "etc/group": "root:x:0:\nsystemd-network:x:998:\n",
      "etc/machine-id": "5a1c6f0e6f2b4a559d0e0c6f3b1a7e1a\n",
    },
  },
  {
    name: "dhcpcd",
    tool: "dhcpcd",
    command: "dhcpcd -B -4 -f /etc/dhcpcd.conf -c /bin/true eth0",
    files: {
      "etc/dhcpcd.conf": "duid\npersistent\noption rapid_commit\nnoipv6\nnoipv4ll\nnoarp\n",
      "etc/passwd": "root:x:0:0::/:/bin/sh\ndhcpcd:x:105:105::/usr/lib/dhcpcd:/bin/sh\n",
      "etc/group": "root:x:0:\ndhcpcd:x:105:\n",
      "usr/lib/dhcpcd/empty": "",
      "var/lib/dhcpcd/empty": "",
    },
  },
  {
    name: "dhclient",
    tool: "dhclient",
    command: "dhclient -4 -d -lf /leases -pf /pid -sf /client.sh eth0",
    files: { "client.sh": script("dhclient.sh"), "etc/passwd": "root:x:0:0::/:/bin/sh\n" },
  },
  {
    name: "udhcpc",
    tool: "udhcpc",
    command: "udhcpc -f -i eth0 -s /client.sh",
    files: { "client.sh": script("udhcpc.sh") },
  },
];

/** Lines that the system prints on its console. */
export const ONLINE = /SOFTNET online/;

const FOLDERS = ["bin", "dev", "proc", "sys", "run", "tmp", "modules"];

/** Packs the system; `gateway` is what it pings. */
export function sleeper(kernel: Kernel, client: Sleeper, gateway: string): Buffer {
  const modules = kernel.modules("virtio_pci").concat(kernel.modules("virtio_net"));
  const names = [...new Set(modules.map(({ name }) => name))];
  const program = pathOf(client.tool)!;
  const files = new Map<string, Uint8Array>([["bin/busybox", readFileSync(pathOf("busybox")!)]]);
  for (const { name, content } of modules) files.set(`modules/${name}.ko`, content);
  for (const path of [program, ...libraries(program)]) files.set(path.slice(1), readFileSync(path));
  for (const [path, text] of Object.entries(client.files)) files.set(path, Buffer.from(text));
  files.set("init", Buffer.from(init(names, client.command, gateway)));
  return cpio(folders(files.keys()), files);
}

/** Shared libraries of a program, and its loader. */
function libraries(program: string): string[] {
  const text = execFileSync("sh", ["-c", 'ldd "$0" 2>/dev/null || true', program], { encoding: "utf8" });
  return [...new Set(text.match(/\/\S+/g) ?? [])].filter((path) => path !== program && !path.endsWith(":"));
}

/** Every folder on the way, those above first. */
function folders(paths: Iterable<string>): string[] {
  const all = new Set(FOLDERS);
  for (const path of paths) {
    const above: string[] = [];
    for (let folder = dirname(path); folder !== "."; folder = dirname(folder)) above.unshift(folder);
    for (const folder of above) all.add(folder);
  }
  return [...all];
}

function init(modules: readonly string[], command: string, gateway: string): string {
  return `#!/bin/busybox sh
export PATH=/bin:/usr/sbin:/sbin:/usr/bin
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir -p /run/systemd/netif/leases /run/systemd/netif/links /run/systemd/netif/lldp /var/run
chown -R 998:998 /run/systemd
for module in ${modules.join(" ")}; do insmod /modules/$module.ko; done
ip link set lo up
ip link set eth0 up
(${command}) &
while true; do
  ping -c 1 -W 1 ${gateway} >/dev/null 2>&1 && echo "SOFTNET online" || sleep 0.3
  sleep 0.2
done
`;
}
