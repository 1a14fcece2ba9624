/** Ports of the host, among those of NAT, that something uses: a VM's connections must not leave from one of them. */
import { readFileSync } from "node:fs";
import { FIRST_NAT_PORT } from "./table.ts";

const FILES = [
  ["tcp", "/proc/net/tcp"],
  ["tcp", "/proc/net/tcp6"],
  ["udp", "/proc/net/udp"],
  ["udp", "/proc/net/udp6"],
] as const;
/** Of TCP only what listens (TCP_LISTEN, as the files write it): connections of the host's own cannot be mistaken. */
const LISTEN = "0A";

/** As the table's set wants them: `tcp . 51820`. */
export function portsInUse(read: (path: string) => string = readOrNothing): string[] {
  const found = FILES.flatMap(([protocol, path]) =>
    read(path)
      .split("\n")
      .flatMap((line) => {
        const match = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /.exec(line);
        const port = match ? Number.parseInt(match[1]!, 16) : 0;
        if (port < FIRST_NAT_PORT || (protocol === "tcp" && match?.[2] !== LISTEN)) return [];
        return `${protocol} . ${port}`;
      }),
  );
  return [...new Set(found)];
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
