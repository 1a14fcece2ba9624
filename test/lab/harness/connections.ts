/** A host's table of connections, as its kernel lists it. */
import type { Namespace } from "./netns.ts";

/** IGMP: the host tells the group that its bridge has joined, of itself and at any time, and it stays for ten minutes. */
const IGMP = /^ipv4 +2 \S+ +2 /; // family, its number, protocol, its number

/** Connections of a family in a host's table, without the host's own IGMP: what VMs and their peers have begun. */
export async function connections(host: Namespace, family: "ipv4" | "ipv6" = "ipv4"): Promise<number> {
  const { stdout } = await host.run("cat", ["/proc/net/nf_conntrack"]);
  return stdout.split("\n").filter((line) => line.startsWith(family) && !IGMP.test(line)).length;
}
