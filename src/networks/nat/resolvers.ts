/**
 * Which DNS servers the VM gets: those that the user named, else the host's own. A host that asks a stub at one of its
 * loopback addresses cannot hand that address on; some stubs' real servers stand in a file. Which stub it is must be
 * certain: behind another one (a resolver of the host's own, say) those files name servers that the host does not ask.
 */
import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { UserError } from "../../user-error.ts";
import { formatIPv4, isHostAddress, parseIPv4 } from "../../wire/address.ts";
import { formatIPv6, parseIPv6 } from "../../wire/ipv6-address.ts";

const HOST = "/etc/resolv.conf";

interface Stub {
  /** Where it listens. */
  readonly addresses: ReadonlySet<string>;
  /** The file with its process id, where that must be that of a running dnsmasq. */
  readonly pid?: string;
  /** A resolv.conf(5) with the servers that it asks. */
  readonly servers: string;
}

const STUBS: readonly Stub[] = [
  // systemd-resolved(8)
  { addresses: new Set(["127.0.0.53", "127.0.0.54"]), servers: "/run/systemd/resolve/resolv.conf" },
  // NetworkManager.conf(5), dns=dnsmasq. The file with the servers is there with other values of dns, too.
  {
    addresses: new Set(["127.0.0.1", "127.0.1.1"]),
    pid: "/run/NetworkManager/dnsmasq.pid",
    servers: "/run/NetworkManager/no-stub-resolv.conf",
  },
  // Debian's package dnsmasq under resolvconf(8), which writes the file whether dnsmasq runs or not.
  {
    addresses: new Set(["127.0.0.1", "127.0.1.1"]),
    pid: "/run/dnsmasq/dnsmasq.pid",
    servers: "/run/dnsmasq/resolv.conf",
  },
];

/** All files that say which servers the host asks. */
export const RESOLVER_FILES: readonly string[] = [HOST, ...STUBS.map(({ servers }) => servers)];

/** As many as DHCP announces and the guard opens. */
export const MOST_RESOLVERS = 8;

/** Parses what `--dns` takes: IPv4 addresses, comma-separated. Throws UserError. */
export function parseResolvers(text: string): number[] {
  const words = text.split(",").map((word) => word.trim());
  if (words.length > MOST_RESOLVERS) {
    throw new UserError(
      `--dns ${JSON.stringify(text)}: ${words.length} servers are too many: at most ${MOST_RESOLVERS}`,
    );
  }
  return words.map((word) => {
    const address = parseIPv4(word);
    if (address !== undefined && isHostAddress(address)) return address;
    throw new UserError(
      `--dns ${JSON.stringify(word)} is not an address that a VM can reach: give IPv4 addresses such as 9.9.9.9,1.1.1.1`,
    );
  });
}

/** The addresses behind `nameserver`, in order (resolv.conf(5)). */
export function nameservers(text: string): string[] {
  return text.split("\n").flatMap((line) => /^nameserver[ \t]+([^\s#;]+)/.exec(line)?.[1] ?? []);
}

/** The IPv4 servers of one resolv.conf that a VM can reach. */
export function usableServers(text: string): number[] {
  return nameservers(text)
    .map(parseIPv4)
    .filter((address) => address !== undefined && isHostAddress(address))
    .slice(0, MOST_RESOLVERS) as number[];
}

/** The same for IPv6. A link-local one is on another link than the VM's. */
export function usableServers6(text: string): bigint[] {
  return nameservers(text)
    .map(parseIPv6)
    .filter((address) => address !== undefined && isReachable6(address))
    .slice(0, MOST_RESOLVERS) as bigint[];
}

/** Global unicast or unique local (RFC 4291 2.4, RFC 4193). */
function isReachable6(address: bigint): boolean {
  return address >> 125n === 0b001n || address >> 121n === 0b1111110n;
}

/** The host's servers, given how to read a file: "" for one that is not there. */
export function hostResolvers(read: (path: string) => string): number[] {
  return findServers(read, usableServers);
}

export function hostResolvers6(read: (path: string) => string): bigint[] {
  return findServers(read, usableServers6);
}

function findServers<T>(read: (path: string) => string, usableServers: (text: string) => T[]): T[] {
  const text = read(HOST);
  const servers = usableServers(text);
  if (servers.length > 0) return servers;
  const asked = nameservers(text);
  for (const { addresses, pid, servers: file } of STUBS) {
    if (!asked.some((server) => addresses.has(server))) continue;
    if (pid !== undefined && !isDnsmasq(read(pid).trim(), read)) continue;
    const behind = usableServers(read(file));
    if (behind.length > 0) return behind;
  }
  return [];
}

/** Whether that is the process id of a dnsmasq: one that was killed leaves its file behind. */
function isDnsmasq(pid: string, read: (path: string) => string): boolean {
  return /^\d+$/.test(pid) && read(`/proc/${pid}/comm`).trim() === "dnsmasq";
}

/** The servers for the VM; `given` is what `--dns` said. Throws UserError when there are none. */
export function findResolvers(given: string | undefined, read: (path: string) => string = readOrNothing): number[] {
  if (given !== undefined) return parseResolvers(given);
  const servers = hostResolvers(read);
  if (servers.length > 0) return servers;
  const named = nameservers(read(HOST)).join(", ") || "none";
  throw new UserError(
    `this host's DNS servers (${HOST}: ${named}) cannot be reached from a VM; give it others with --dns, such as --dns 9.9.9.9`,
  );
}

/** Servers for a VM with IPv6; of one family there may be none. */
export interface BothResolvers {
  readonly ipv4: number[];
  readonly ipv6: bigint[];
}

/** As `findResolvers`, with IPv6 servers where `--dns` or the host has some. */
export function findBothResolvers(
  given: string | undefined,
  read: (path: string) => string = readOrNothing,
): BothResolvers {
  if (given !== undefined) return parseBothResolvers(given);
  const ipv6 = hostResolvers6(read);
  return { ipv4: ipv6.length > 0 ? hostResolvers(read) : findResolvers(undefined, read), ipv6 };
}

function parseBothResolvers(text: string): BothResolvers {
  const words = text.split(",").map((word) => word.trim());
  const [others, ipv4] = [words.filter(isIPv6), words.filter((word) => !isIPv6(word))];
  const ipv6 = others.map((word) => {
    const address = parseIPv6(word);
    if (address !== undefined && isReachable6(address)) return address;
    throw new UserError(
      `--dns ${JSON.stringify(word)} is not an address that a VM can reach: give global or unique local IPv6 addresses such as 2620:fe::fe`,
    );
  });
  if (ipv6.length > MOST_RESOLVERS) {
    throw new UserError(`--dns ${JSON.stringify(text)}: at most ${MOST_RESOLVERS} servers of each family`);
  }
  return { ipv4: ipv4.length === 0 && ipv6.length > 0 ? [] : parseResolvers(ipv4.join(",")), ipv6 };
}

/** For the log. */
export function formatResolvers(servers: readonly (number | bigint)[]): string {
  return servers.map((server) => (typeof server === "bigint" ? formatIPv6(server) : formatIPv4(server))).join(",");
}

/** What a file has, "" for one that is not there. */
export function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
