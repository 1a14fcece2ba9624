/**
 * Which DNS servers the VM is told: those that the user named, else the host's own. A host that asks a stub at one of its
 * loopback addresses cannot hand that address on; systemd-resolved writes down whom it asks itself.
 */
import { readFileSync } from "node:fs";
import { UserError } from "../../user-error.ts";
import { formatIPv4, isHostAddress, parseIPv4 } from "../../wire/address.ts";

const HOST = "/etc/resolv.conf";
/** systemd-resolved(8): its stub, and the file with the servers behind it. */
const STUBS: ReadonlySet<string> = new Set(["127.0.0.53", "127.0.0.54"]);
const BEHIND_STUB = "/run/systemd/resolve/resolv.conf";

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

/** The host's servers, given how to read a file: "" for one that is not there. */
export function hostResolvers(read: (path: string) => string): number[] {
  const text = read(HOST);
  const servers = usableServers(text);
  if (servers.length > 0) return servers;
  return nameservers(text).some((server) => STUBS.has(server)) ? usableServers(read(BEHIND_STUB)) : [];
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

/** For the log. */
export function formatResolvers(servers: readonly number[]): string {
  return servers.map(formatIPv4).join(",");
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
