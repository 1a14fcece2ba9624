/**
 * The Linux kernel of the guests: Debian's own for clouds, which is small and has what a virtual machine needs.
 *
 * If the package is installed, it is taken from /boot and /lib/modules. Installing it on a machine that is no cloud's
 * also makes an initramfs and asks for a boot loader, so it is enough to have it unpacked: with SOFTNET_TEST_ALL=1 apt
 * downloads it into a cache in the temporary folder, where later runs of any kind find it.
 */
import { execFileSync } from "node:child_process";
import { globSync, lstatSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import type { Skip } from "../../support/tools.ts";

const PACKAGE = "linux-image-cloud-amd64";
const CACHE = join(tmpdir(), `softnet-test-kernel-${process.getuid?.()}`);
/** What of the package is unpacked: less than a tenth of it. */
const WANTED = ["*/vmlinuz-*", "*/drivers/net/*", "*/drivers/virtio/*", "*/net/core/*"];

export interface Kernel {
  /** Path of the compressed kernel. */
  readonly image: string;
  /** A module and all that it depends on, in the order in which they are to be loaded. */
  modules(name: string): Module[];
}

export interface Module {
  readonly name: string;
  readonly content: Uint8Array;
}

/** Options for a test that boots a kernel. */
export function needsKernel(): Skip {
  if (process.env.SOFTNET_TEST_ALL === "1" || find() !== undefined) return {};
  return {
    skip: `a kernel to boot is missing, which SOFTNET_TEST_ALL=1 downloads: apt-get install ${PACKAGE}`,
  };
}

/** The kernel, downloaded if need be. Throws when that fails. */
export function kernel(): Kernel {
  const found = find() ?? download();
  return { image: found.image, modules: (name) => modulesOf(found.modules, name) };
}

interface Place {
  readonly image: string;
  /** The folder with the modules of this kernel. */
  readonly modules: string;
}

function find(): Place | undefined {
  return findIn("/") ?? (isOurs(CACHE) ? findIn(CACHE) : undefined);
}

function findIn(root: string): Place | undefined {
  for (const image of globSync(join(root, "boot/vmlinuz-*-cloud-amd64"))) {
    const release = basename(image).slice("vmlinuz-".length);
    const [modules] = globSync([join(root, "lib/modules", release), join(root, "usr/lib/modules", release)]);
    if (modules !== undefined) return { image, modules };
  }
  return undefined;
}

/** The temporary folder is everybody's: what another user put there is not booted. */
export function isOurs(folder: string): boolean {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  return found?.isDirectory() === true && found.uid === process.getuid?.();
}

function download(): Place {
  const folder = mkdtempSync(join(tmpdir(), "softnet-test-kernel-new-"));
  try {
    const depends = execFileSync("apt-cache", ["depends", PACKAGE], { encoding: "utf8" });
    const current = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (current === undefined) throw new Error(`apt knows no package ${PACKAGE}: run apt-get update`);
    execFileSync("apt-get", ["download", "-qq", current], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    const filter = WANTED.map((pattern) => `'${pattern}'`).join(" ");
    execFileSync("sh", ["-ec", `dpkg-deb --fsys-tarfile *.deb | tar -x --wildcards ${filter}; rm *.deb`], {
      cwd: folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (findIn(folder) === undefined) throw new Error(`${current} has no kernel where one is expected`);
    if (isOurs(CACHE)) rmSync(CACHE, { recursive: true });
    renameSync(folder, CACHE);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`no kernel to boot: apt-get install ${PACKAGE}`, { cause: error });
  }
  return findIn(CACHE)!;
}

/** A module of those in a folder, and all that it depends on, in the order in which they are to be loaded. */
export function modulesOf(folder: string, name: string, loaded = new Set<string>()): Module[] {
  if (loaded.has(name)) return [];
  loaded.add(name);
  // A file's name may have a dash where the module's has an underscore. One that is nowhere is built in.
  const [path] = globSync(join(folder, `kernel/**/${name.replaceAll("_", "[-_]")}.ko*`));
  if (path === undefined) return [];
  const content = decompress(path);
  const depends = /\0depends=([^\0]*)\0/.exec(content.toString("latin1"))?.[1] ?? "";
  const before = depends.split(",").filter(Boolean);
  return [...before.flatMap((other) => modulesOf(folder, other, loaded)), { name, content }];
}

function decompress(path: string): Buffer {
  if (path.endsWith(".xz")) return execFileSync("busybox", ["xzcat", path], { maxBuffer: 2 ** 26 });
  const content = readFileSync(path);
  return path.endsWith(".zst") ? zstdDecompressSync(content) : content;
}
