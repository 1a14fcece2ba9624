/**
 * Programs that tests compare softnet with. A test that needs some says so:
 *
 * ```ts
 * test("Wireshark reads what we write", needs("tshark"), () => { … run("tshark", "-r", file) … });
 * ```
 *
 * Where one is missing the test is skipped and says how Debian installs it. With SOFTNET_TEST_ALL=1, as in CI,
 * nothing is skipped: the test runs, and fails at its first `run` of the missing program with the same words.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isExecutable } from "../../src/system-program.ts";
import { PATIENCE } from "./patience.ts";

/** Which Debian package brings a program. */
const PACKAGES = {
  tmux: "tmux",
  tshark: "tshark",
  capinfos: "wireshark-common",
  editcap: "wireshark-common",
  mergecap: "wireshark-common",
  tcpdump: "tcpdump",
  "arm64-libraries": "libatomic1-arm64-cross libc6-arm64-cross libstdc++6-arm64-cross",
  arping: "iputils-arping",
  arpspoof: "dsniff",
  "atk6-dos-new-ip6": "thc-ipv6",
  bridge: "iproute2",
  busybox: "busybox-static",
  connmand: "connman",
  curl: "curl",
  dhclient: "isc-dhcp-client",
  dhcpcd: "dhcpcd-base",
  dhcpd: "isc-dhcp-server",
  dhcpstarv: "dhcpstarv",
  clang: "clang",
  "dbus-daemon": "dbus-daemon",
  dnsmasq: "dnsmasq-base",
  dockerd: "docker.io",
  "dpkg-deb": "dpkg",
  "firewall-cmd": "firewalld",
  fish: "fish",
  "gnutls-cli": "gnutls-bin",
  hping3: "hping3",
  ip: "iproute2",
  iperf3: "iperf3",
  iptables: "iptables",
  "kea-dhcp4": "kea-dhcp4-server",
  "kea-dhcp6": "kea-dhcp6-server",
  libvirtd: "libvirt-daemon-system",
  lintian: "lintian",
  man: "man-db",
  named: "bind9",
  netavark: "netavark",
  NetworkManager: "network-manager",
  "llvm-nm": "llvm",
  "llvm-objdump": "llvm",
  "nats-server": "nats-server",
  nft: "nftables",
  openssl: "openssl",
  passt: "passt",
  ping: "iputils-ping",
  podman: "podman",
  prometheus: "prometheus",
  promtool: "prometheus",
  python3: "python3",
  gcc: "gcc",
  "qemu-aarch64": "qemu-user",
  "qemu-system-x86_64": "qemu-system-x86",
  ra6: "ipv6toolkit",
  radvd: "radvd",
  scapy: "python3-scapy",
  setpriv: "util-linux",
  sudo: "sudo",
  "systemd-analyze": "systemd",
  "systemd-networkd": "systemd",
  "systemd-nspawn": "systemd-container",
  udhcpc: "udhcpc",
  udhcpd: "udhcpd",
  ufw: "ufw",
  unbound: "unbound",
  virsh: "libvirt-clients",
  zsh: "zsh",
  unshare: "util-linux",
} as const;

/** What is no program in PATH: libraries, scapy, which Debian's own Python must find, and that Python itself. */
const FILES: Partial<Record<Tool, string>> = {
  "arm64-libraries": "/usr/aarch64-linux-gnu/lib/libatomic.so.1",
  netavark: "/usr/lib/podman/netavark",
  python3: "/usr/bin/python3",
  scapy: "/usr/lib/python3/dist-packages/scapy",
  "systemd-networkd": "/usr/lib/systemd/systemd-networkd",
};

/** Bits in a process' set of capabilities, linux/capability.h. */
const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

export type Tool = keyof typeof PACKAGES;

/** The option of node:test that leaves a test out, if there is a reason. */
export interface Skip {
  skip?: string;
}

/** Options for a test that needs these programs. */
export function needs(...tools: readonly Tool[]): Skip {
  if (process.env.SOFTNET_TEST_ALL === "1") return {};
  const missing = tools.filter((tool) => pathOf(tool) === undefined);
  return missing.length === 0 ? {} : { skip: complaint(missing) };
}

/** Options for a test that makes network namespaces, or becomes another user. */
export function needsRoot(): Skip {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return leftOut("it needs Linux and root");
  // A container's root has neither unless it was started so.
  const effective = /^CapEff:\s*(\w+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  const lacks = [CAP_NET_ADMIN, CAP_SYS_ADMIN].some((bit) => ((BigInt(`0x${effective}`) >> bit) & 1n) === 0n);
  return lacks ? leftOut("it needs all of root's rights: start the container with --privileged") : {};
}

/** Options for a test that makes a TAP. */
export function needsTun(): Skip {
  const { skip } = needsRoot();
  if (skip !== undefined) return { skip };
  return existsSync("/dev/net/tun") ? {} : leftOut('/dev/net/tun is missing: run "modprobe tun"');
}

/** Options for a test that, where root runs it, starts softnet or Node as another user, who must be able to read it. */
export function needsReadable(): Skip {
  if (process.getuid?.() !== 0) return {};
  const closed = [fileURLToPath(new URL("../../src/main.ts", import.meta.url)), realpathSync(process.execPath)]
    .flatMap((file) => [file, ...foldersAbove(file)])
    .find((path) => (statSync(path).mode & (statSync(path).isDirectory() ? 0o001 : 0o004)) === 0);
  return closed === undefined
    ? {}
    : leftOut(`other users have no access to ${closed}: put softnet where they have, or allow it (chmod o+rx)`);
}

/** Options for a test that connects to 127.0.0.1. */
export function needsLoopback(): Skip {
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  return addresses.some(({ address }) => address === "127.0.0.1") ? {} : leftOut("the loopback interface is down");
}

let registry: boolean | undefined;

/** Options for a test that fetches packages from npm's registry. */
export function needsRegistry(): Skip {
  registry ??= spawnSync("npm", ["ping", "--fetch-retries=0", "--fetch-timeout=20000"]).status === 0;
  return registry ? {} : leftOut("npm's registry cannot be reached");
}

function leftOut(why: string): Skip {
  if (process.env.SOFTNET_TEST_ALL === "1") throw new Error(`SOFTNET_TEST_ALL=1 leaves nothing out, but ${why}`);
  return { skip: why };
}

function foldersAbove(path: string): string[] {
  const folder = dirname(path);
  return folder === path ? [] : [folder, ...foldersAbove(folder)];
}

/** Throws, naming the packages, when one of these programs is missing. */
export function mustHave(...tools: readonly Tool[]): void {
  const missing = tools.filter((tool) => pathOf(tool) === undefined);
  if (missing.length > 0) throw new Error(complaint(missing));
}

/** Runs a program to its end and answers what it wrote to standard output. Throws when it is missing or fails. */
export function run(tool: Tool, ...args: readonly string[]): string {
  const path = pathOf(tool);
  if (path === undefined) throw new Error(complaint([tool]));
  // The time zone and the language of the machine must not show in what is compared.
  const env = { ...process.env, TZ: "UTC", LC_ALL: "C.UTF-8" };
  const { status, stdout, stderr, error } = spawnSync(path, args, { env, encoding: "utf8", timeout: PATIENCE });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${tool} ${args.join(" ")} ended with ${status}: ${stderr}`);
  return stdout;
}

/** Where a program lies; system folders are searched too, since an ordinary user's PATH leaves them out. */
export function pathOf(tool: Tool): string | undefined {
  const file = FILES[tool];
  if (file !== undefined) return existsSync(file) ? file : undefined;
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return folders
    .filter(Boolean)
    .map((folder) => join(folder, tool))
    .find(isExecutable);
}

/** Ends with the command that installs what is missing: scripts/test.ts makes one of all of them. */
function complaint(missing: readonly Tool[]): string {
  const packages = [...new Set(missing.map((tool) => PACKAGES[tool]))];
  return `${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} missing: apt-get install ${packages.join(" ")}`;
}
