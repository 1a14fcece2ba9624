/**
 * Debian packages of the Linux executables: /usr/bin/softnet, manual page, completions, the units softnet@.service and
 * softnet-fleet-agent.service, examples
 * and documents. The executable has no SUID bit; whoever wants it sets it (docs/privileges.md).
 *
 * The maintainer scripts (packaging/debian/) make systemd read its units again, and stop what runs when the package is
 * removed. An upgrade restarts nothing: that would close each VM's network for a moment, which is the operator's choice.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { program } from "../src/commands/program.ts";
import { bashCompletion, fishCompletion, zshCompletion } from "./completions.ts";
import { manPage } from "./man-page.ts";
import { packagedVersion } from "./package-executable.ts";
import type { Target } from "./package-targets.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PACKAGING = join(ROOT, "packaging");
const DOC = "usr/share/doc/softnet";

const ARCHITECTURES: Partial<Record<Target, string>> = { "linux-x64": "amd64", "linux-arm64": "arm64" };
/** Of the packages made from one version, which one this is. */
const REVISION = "1";
const SCRIPTS = ["postinst", "prerm", "postrm"] as const;

export interface DebianOptions {
  /** Where the package is written to. */
  readonly output: string;
  /** The folder that makeExecutable filled. */
  readonly folder: string;
  readonly scratch: string;
  /** Another version than package.json's. */
  readonly version?: string;
  /** Not compressed, which takes minutes on a busy machine: for who unpacks it at once. */
  readonly isPlain?: boolean;
}

/** Whether Debian packages can be made here. */
export function hasDpkg(): boolean {
  return spawnSync("dpkg-deb", ["--version"]).status === 0;
}

/** Returns the package's path; undefined for a target that is no Debian's. */
export function debianPackage(target: Target, options: DebianOptions): string | undefined {
  const architecture = ARCHITECTURES[target];
  if (architecture === undefined) return undefined;
  const { output, folder, scratch, version = packagedVersion() } = options;
  const root = join(scratch, `debian-${target}`);
  rmSync(root, { recursive: true, force: true });
  const date = releaseDate();
  fill(root, folder, version, date);
  setModes(root);
  const size = Math.ceil(sizeOf(root) / 1024);
  put(root, "DEBIAN/control", control(version, architecture, size));
  put(root, "DEBIAN/md5sums", sums(root));
  for (const name of SCRIPTS) copy(join(PACKAGING, "debian", name), root, `DEBIAN/${name}`, 0o755);
  const path = join(output, `softnet_${version}-${REVISION}_${architecture}.deb`);
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(Math.floor(date.getTime() / 1000)) };
  const compression = options.isPlain ? ["-Znone"] : ["-Zxz", "-z3"];
  const args = ["--root-owner-group", ...compression, "--build", root, path];
  const { status, stderr } = spawnSync("dpkg-deb", args, { encoding: "utf8", env });
  if (status !== 0) throw new Error(`dpkg-deb ended with ${status}: ${stderr}`);
  rmSync(root, { recursive: true });
  return path;
}

function fill(root: string, folder: string, version: string, date: Date): void {
  copy(join(folder, "softnet"), root, "usr/bin/softnet");
  for (const unit of readdirSync(join(PACKAGING, "systemd")).filter((name) => name.endsWith(".service"))) {
    copy(join(PACKAGING, "systemd", unit), root, `lib/systemd/system/${unit}`);
  }
  copy(join(PACKAGING, "systemd", "softnet-fleet.sysusers"), root, "usr/lib/sysusers.d/softnet.conf");
  for (const name of ["vms", "fleet"]) mkdirSync(join(root, "etc/softnet", name), { recursive: true });
  const softnet = program();
  put(root, "usr/share/man/man1/softnet.1.gz", zipped(manPage(softnet, version, date.toISOString().slice(0, 10))));
  put(root, "usr/share/bash-completion/completions/softnet", bashCompletion(softnet));
  put(root, "usr/share/zsh/vendor-completions/_softnet", zshCompletion(softnet));
  put(root, "usr/share/fish/vendor_completions.d/softnet.fish", fishCompletion(softnet));
  put(root, "usr/share/lintian/overrides/softnet", read("packaging/debian/lintian-overrides"));
  put(root, `${DOC}/copyright`, copyright());
  put(root, `${DOC}/THIRD-PARTY-NOTICES.gz`, zipped(readFileSync(join(folder, "THIRD-PARTY-NOTICES"), "utf8")));
  put(root, `${DOC}/changelog.gz`, zipped(read("CHANGELOG.md")));
  put(root, `${DOC}/changelog.Debian.gz`, zipped(changelog(version, date)));
  put(root, `${DOC}/README.AppArmor`, read("packaging/debian/README.AppArmor"));
  cpSync(join(PACKAGING, "debian", "examples"), join(root, DOC, "examples"), { recursive: true });
  copy(join(PACKAGING, "fleet", "nats.conf"), root, `${DOC}/examples/nats.conf`);
  for (const name of readdirSync(join(ROOT, "docs")).filter((each) => each.endsWith(".md"))) {
    copy(join(ROOT, "docs", name), root, `${DOC}/docs/${name}`);
  }
}

function control(version: string, architecture: string, size: number): string {
  return `Package: softnet
Version: ${version}-${REVISION}
Section: net
Priority: optional
Architecture: ${architecture}
Maintainer: ${maintainer()}
Installed-Size: ${size}
Depends: libatomic1, libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 9)
Recommends: libnftables1, nftables
Suggests: passt, qemu-system
Description: packet filter between a VM's network card and the network
 softnet gives a virtual machine a network and prevents the VM from abusing it.
 A frame passes only if it has the VM's own MAC address, the IP address that
 DHCP gave the VM, and a destination that the policy allows. A hostile guest
 cannot spoof ARP, steal addresses, exhaust the DHCP pool, pose as a DHCP server
 or reach its neighbours. Each dropped frame has a documented reason.
 .
 One VM is an instance of softnet@.service, or any program starts softnet.
`;
}

/** As Debian's own tools take it from whoever builds. */
function maintainer(): string {
  const { DEBFULLNAME = "softnet", DEBEMAIL = "softnet@packages.invalid" } = process.env;
  return `${DEBFULLNAME} <${DEBEMAIL}>`;
}

function changelog(version: string, date: Date): string {
  const day = date.toUTCString().replace("GMT", "+0000");
  return `softnet (${version}-${REVISION}) unstable; urgency=medium

  * Version ${version}: see changelog.gz.

 -- ${maintainer()}  ${day}
`;
}

/** The licence as it stands, after what else is in the executable, whose licences stand in a file of their own. */
function copyright(): string {
  return `Copyright: the authors of softnet

/usr/bin/softnet contains Node.js and the programs that
/usr/share/doc/softnet/THIRD-PARTY-NOTICES.gz names, with their licences.

License of softnet:

${read("LICENSE").trim()}
`;
}

/** SOURCE_DATE_EPOCH (reproducible-builds.org), else the last commit's date, else now. */
function releaseDate(): Date {
  const given = process.env.SOURCE_DATE_EPOCH;
  const { stdout } = spawnSync("git", ["-C", ROOT, "log", "-1", "--format=%ct"], { encoding: "utf8" });
  const seconds = Number(given ?? stdout?.trim());
  return seconds > 0 ? new Date(seconds * 1000) : new Date();
}

function sums(root: string): string {
  const files = filesOf(root).filter((path) => !path.startsWith("DEBIAN/"));
  const { status, stdout, stderr } = spawnSync("md5sum", ["--", ...files], { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`md5sum ended with ${status}: ${stderr}`);
  return stdout;
}

function sizeOf(root: string): number {
  return filesOf(root).reduce((sum, path) => sum + statSync(join(root, path)).size, 0);
}

function filesOf(root: string): string[] {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .toSorted();
}

/** Whatever the umask and the checkout's modes are. */
function setModes(root: string): void {
  chmodSync(root, 0o755);
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const runs = entry.isDirectory() || path === join(root, "usr/bin/softnet");
    chmodSync(path, runs ? 0o755 : 0o644);
  }
}

const zipped = (text: string): Buffer => gzipSync(text, { level: 9 });
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

function put(root: string, path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content, { mode: 0o644 });
}

function copy(from: string, root: string, path: string, mode = 0o644): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  copyFileSync(from, join(root, path));
  chmodSync(join(root, path), mode);
}
