/**
 * Programs that tests compare softnet with. A test that needs some says so:
 *
 * ```ts
 * test("Wireshark reads what we write", needs("tshark"), () => { … run("tshark", "-r", file) … });
 * ```
 *
 * Where one is missing the test is skipped and names the Debian package to install. With SOFTNET_TEST_ALL=1, as in CI,
 * nothing is skipped: the test runs, and fails at its first `run` of the missing program with the same words.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Which Debian package brings a program. */
const PACKAGES = {
  tshark: "tshark",
  capinfos: "wireshark-common",
  editcap: "wireshark-common",
  mergecap: "wireshark-common",
  tcpdump: "tcpdump",
  "arm64-libraries": "libatomic1-arm64-cross libc6-arm64-cross libstdc++6-arm64-cross",
  arping: "iputils-arping",
  arpspoof: "dsniff",
  bridge: "iproute2",
  busybox: "busybox-static",
  dhclient: "isc-dhcp-client",
  dhcpd: "isc-dhcp-server",
  dhcpstarv: "dhcpstarv",
  dnsmasq: "dnsmasq-base",
  hping3: "hping3",
  ip: "iproute2",
  iperf3: "iperf3",
  "kea-dhcp4": "kea-dhcp4-server",
  "llvm-nm": "llvm",
  "llvm-objdump": "llvm",
  nft: "nftables",
  passt: "passt",
  ping: "iputils-ping",
  python3: "python3",
  gcc: "gcc",
  "qemu-aarch64": "qemu-user",
  "qemu-system-x86_64": "qemu-system-x86",
  scapy: "python3-scapy",
  setpriv: "util-linux",
  sudo: "sudo",
  udhcpc: "udhcpc",
} as const;

/** What is no program in PATH: libraries, scapy, which Debian's own Python must find, and that Python itself. */
const FILES: Partial<Record<Tool, string>> = {
  "arm64-libraries": "/usr/aarch64-linux-gnu/lib/libatomic.so.1",
  python3: "/usr/bin/python3",
  scapy: "/usr/lib/python3/dist-packages/scapy",
};

export type Tool = keyof typeof PACKAGES;

/** The option of node:test that leaves a test out, if there is a reason. */
export interface Skip {
  skip?: string;
}

/** Options for a test that needs these programs. */
export function needs(...tools: readonly Tool[]): Skip {
  if (process.env.SOFTNET_TEST_ALL === "1") return {};
  const missing = tools.filter((tool) => pathOf(tool) === undefined);
  return missing.length === 0 ? {} : { skip: missing.map(complaint).join("; ") };
}

/** Options for a test that makes network namespaces. */
export function needsRoot(): Skip {
  if (process.platform === "linux" && process.getuid?.() === 0) return {};
  if (process.env.SOFTNET_TEST_ALL === "1") throw new Error("SOFTNET_TEST_ALL=1 needs Linux and root");
  return { skip: "needs Linux and root" };
}

/** Throws, naming the packages, when one of these programs is missing. */
export function mustHave(...tools: readonly Tool[]): void {
  const missing = tools.filter((tool) => pathOf(tool) === undefined);
  if (missing.length > 0) throw new Error(missing.map(complaint).join("; "));
}

/** Runs a program to its end and answers what it wrote to standard output. Throws when it is missing or fails. */
export function run(tool: Tool, ...args: readonly string[]): string {
  const path = pathOf(tool);
  if (path === undefined) throw new Error(complaint(tool));
  // The time zone and the language of the machine must not show in what is compared.
  const env = { ...process.env, TZ: "UTC", LC_ALL: "C.UTF-8" };
  const { status, stdout, stderr, error } = spawnSync(path, args, { env, encoding: "utf8", timeout: 60_000 });
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

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function complaint(tool: Tool): string {
  return `${tool} is missing: install the Debian package ${PACKAGES[tool]}`;
}
