/**
 * A host with a kernel of its own: QEMU boots it (emulated), its files are this machine's, which it cannot change, with
 * its changes in memory. It has no network, and runs one command.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Program } from "../../lab/harness/program.ts";
import type { Cleanup } from "../../lab/harness/topology.ts";
import { cpio } from "../../lab/qemu/cpio.ts";
import { HEADLESS, KERNEL_ARGUMENTS } from "../../lab/qemu/desk.ts";
import { type Module, modulesOf } from "../../lab/qemu/kernel.ts";
import { PATIENCE } from "../../support/patience.ts";
import { pathOf } from "../../support/tools.ts";
import type { DebianKernel } from "./debian-kernel.ts";

const MACHINE = "-M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 3G -nodefaults".split(" ");
const SHARE = ["-fsdev", "local,id=files,path=/,security_model=none,readonly=on,multidevs=remap"];
const SHARED = ["-device", "virtio-9p-pci,fsdev=files,mount_tag=files"];
const FOLDERS = ["bin", "dev", "proc", "sys", "modules", "files", "changes", "root", "lib", "lib/modules"];
/** What it needs to have this machine's files. */
const FIRST = ["virtio_pci", "9p", "9pnet_virtio", "overlay"];

/** Lines of its output in an error's message. */
const LINES = 200;
/** How many times slower it is than this machine, and more. */
const SLOWNESS = 10;

/** Boots the kernel and runs a line of shell as root, with this machine's programs. Returns what it printed. */
export async function onEmulatedHost(t: Cleanup, kernel: DebianKernel, command: string): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), "softnet-emulated-"));
  const loaded = new Set<string>();
  const modules = FIRST.flatMap((name) => modulesOf(kernel.modules, name, loaded));
  const archive = join(folder, "initramfs");
  const files = new Map<string, Uint8Array>([["bin/busybox", readFileSync(pathOf("busybox")!)]]);
  for (const { name, content } of modules) files.set(`modules/${name}.ko`, content);
  files.set("init", Buffer.from(init(kernel, modules, command)));
  writeFileSync(archive, cpio(FOLDERS, files));
  const boot = ["-kernel", kernel.image, "-initrd", archive, "-append", KERNEL_ARGUMENTS];
  const machine = new Program(pathOf("qemu-system-x86_64")!, [...MACHINE, ...HEADLESS, ...SHARE, ...SHARED, ...boot]);
  t.after(() => {
    machine.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  await machine.ended(PATIENCE * SLOWNESS);
  const end = machine.stdout.find((line) => line.startsWith("SOFTNET end"));
  if (end !== "SOFTNET end 0") {
    throw new Error(`${end ?? "the machine ended before its command did"}\n${machine.lines.slice(-LINES).join("\n")}`);
  }
  return machine.stdout;
}

/** The kernel finds modprobe here, in its first root, and not in that of the command. */
function init(kernel: DebianKernel, modules: readonly Module[], command: string): string {
  return `#!/bin/busybox sh
export PATH=/bin
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
for module in ${modules.map(({ name }) => name).join(" ")}; do insmod /modules/$module.ko; done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 files /files
mount -t tmpfs tmpfs /changes
mkdir /changes/upper /changes/work /lib/modules/${kernel.release}
mount --bind "/files${kernel.modules}" /lib/modules/${kernel.release}
echo /bin/modprobe >/proc/sys/kernel/modprobe
mount -t overlay overlay -o lowerdir=/files,upperdir=/changes/upper,workdir=/changes/work /root
modprobe tun
modprobe vhost_net
mount -t tmpfs tmpfs /root/run
mkdir -m 1777 /root/run/tmp
mount -t proc proc /root/proc
mount -t sysfs sys /root/sys
mount -t cgroup2 cgroup /root/sys/fs/cgroup
mount --move /dev /root/dev
mkdir -p /root/dev/shm
mount -t tmpfs tmpfs /root/dev/shm
ip link set lo up
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/run/tmp
chroot /root /bin/sh -ec ${quoted(command)}
echo "SOFTNET end $?"
poweroff -f
`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
