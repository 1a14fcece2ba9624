/**
 * The kernels that hosts with Debian run, with what a hypervisor's host has: vhost-net, bridges, nftables. apt downloads
 * them from the mirror that this machine uses, also those of another Debian than its own, into a cache in the temporary
 * folder; it has lists of its own for that, so that the machine's stay as they are.
 */
import { execFileSync } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { isOurs } from "../../lab/qemu/kernel.ts";
import type { Skip } from "../../support/tools.ts";

export const DEBIANS = [
  { number: 12, name: "bookworm" },
  { number: 13, name: "trixie" },
] as const;
export type Debian = (typeof DEBIANS)[number];

export interface DebianKernel {
  /** As uname(1) tells it. */
  readonly release: string;
  /** Path of the compressed kernel. */
  readonly image: string;
  /** The folder with its modules, as modprobe(8) wants it. */
  readonly modules: string;
}

const PACKAGE = "linux-image-amd64";
const KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";
const DRIVERS = ["drivers/net/tun", "drivers/net/tap", "drivers/net/veth", "drivers/virtio", "drivers/vhost"];
const FILE_SYSTEMS = ["fs/9p", "fs/netfs", "fs/fscache", "fs/overlayfs"];
/** What of the package is unpacked: a fifth of it. */
const WANTED = [
  "*/boot/vmlinuz-*",
  ...["net", "lib", "crypto", ...DRIVERS, ...FILE_SYSTEMS].map((at) => `*/kernel/${at}*`),
];

const cacheOf = ({ number }: Debian): string => join(tmpdir(), `softnet-test-debian-${number}-${process.getuid?.()}`);

/** Options for a test that boots this kernel. */
export function needsDebianKernel(debian: Debian): Skip {
  if (process.env.SOFTNET_TEST_ALL === "1" || find(debian) !== undefined) return {};
  return { skip: `the kernel of Debian ${debian.number} is missing, which SOFTNET_TEST_ALL=1 downloads` };
}

/** The kernel, downloaded if need be. Throws when that fails. */
export function debianKernel(debian: Debian): DebianKernel {
  return find(debian) ?? download(debian);
}

function find(debian: Debian): DebianKernel | undefined {
  return isOurs(cacheOf(debian)) ? findIn(cacheOf(debian)) : undefined;
}

function findIn(folder: string): DebianKernel | undefined {
  const [image] = globSync(join(folder, "boot/vmlinuz-*"));
  if (image === undefined) return undefined;
  const release = basename(image).slice("vmlinuz-".length);
  return { release, image, modules: join(folder, "lib/modules", release) };
}

function download(debian: Debian): DebianKernel {
  const folder = mkdtempSync(join(tmpdir(), "softnet-test-debian-new-"));
  try {
    const apt = aptFor(debian, folder);
    run(folder, "apt-get", ...apt, "-qq", "update");
    const depends = run(folder, "apt-cache", ...apt, "depends", PACKAGE);
    const current = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (current === undefined) throw new Error(`the mirror has no ${PACKAGE} of Debian ${debian.number}`);
    run(folder, "apt-get", ...apt, "-qq", "download", current);
    run(folder, "sh", "-ec", unpack(folder));
    const found = findIn(folder);
    if (found === undefined) throw new Error(`${current} has no kernel where one is expected`);
    if (isOurs(cacheOf(debian))) rmSync(cacheOf(debian), { recursive: true });
    renameSync(folder, cacheOf(debian));
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`no kernel of Debian ${debian.number} to boot`, { cause: error });
  }
  return findIn(cacheOf(debian))!;
}

/** Options with which apt knows that Debian alone. */
function aptFor(debian: Debian, folder: string): string[] {
  const state = join(folder, "apt");
  mkdirSync(join(state, "lists/partial"), { recursive: true });
  mkdirSync(join(state, "cache/archives/partial"), { recursive: true });
  const uris = run(folder, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split("\n");
  const mirror = uris.find((uri) => /\/debian\/?$/.test(uri));
  if (mirror === undefined) throw new Error("apt knows no mirror of Debian here");
  writeFileSync(join(state, "sources.list"), `deb [signed-by=${KEYS}] ${mirror} ${debian.name} main\n`);
  const options = [`Dir::Etc::SourceList=${state}/sources.list`, "Dir::Etc::SourceParts=-"];
  options.push(`Dir::State::Lists=${state}/lists`, `Dir::Cache=${state}/cache`);
  return options.flatMap((option) => ["-o", option]);
}

/** Where there is a folder usr/lib, all of it is in lib afterwards; busybox makes modprobe's lists, of plain modules. */
function unpack(folder: string): string {
  const filter = WANTED.map((pattern) => `'${pattern}'`).join(" ");
  return `dpkg-deb --fsys-tarfile *.deb | tar -x --wildcards ${filter} 2>/dev/null || true
rm -r *.deb apt
[ ! -d usr/lib ] || mv usr/lib .
find lib -name '*.xz' -exec xz -d {} +
busybox depmod -b '${folder}' "$(ls lib/modules)"`;
}

function run(cwd: string, command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}
