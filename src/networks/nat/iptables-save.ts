/** NAT rules as iptables-save(8) prints them: those of iptables-legacy, and those whose contents nft does not print. */
import type { NatChains, NatRule } from "./nat-chains.ts";
import { EVERY_PORT, LARGEST_PORT, type PortRange } from "./port-ranges.ts";

const PUBLISHING: ReadonlySet<string> = new Set(["DNAT", "REDIRECT", "NETMAP"]);
const TCP: ReadonlySet<string> = new Set(["tcp", "6", "all", "0"]);
const PORT_OPTIONS: ReadonlySet<string> = new Set(["--dport", "--destination-port", "--dports", "--destination-ports"]);

/** The chains of the table nat. */
export function parseNatSave(text: string): NatChains {
  const chains = new Map<string, NatRule[]>();
  let nat = false;
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) nat = line.trim() === "*nat";
    if (!nat || !line.startsWith("-A ")) continue;
    const words = line.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
    const rule = parseRule(words.slice(2));
    if (rule === undefined) continue;
    const name = words[1]!;
    chains.set(name, [...(chains.get(name) ?? []), rule]);
  }
  return chains;
}

function parseRule(words: readonly string[]): NatRule | undefined {
  let ports: readonly PortRange[] = EVERY_PORT;
  let target: string | undefined;
  for (const [index, word] of words.entries()) {
    const value = words[index + 1] ?? "";
    const negated = words[index - 1] === "!";
    if ((word === "-p" || word === "--protocol") && TCP.has(value) === negated) ports = [];
    else if (PORT_OPTIONS.has(word) && !negated && ports.length > 0) ports = parsePorts(value);
    else if (word === "-j" || word === "-g") target = value;
  }
  if (target === undefined || ports.length === 0) return undefined;
  return { ports, target: PUBLISHING.has(target) ? { kind: "publish" } : { kind: "jump", chain: target } };
}

/** `80`, `80:90`, `:90`, `80:`, `80,443,8000:8010`. */
function parsePorts(text: string): PortRange[] {
  return text.split(",").map((part) => {
    const [first = "", last = first] = part.split(":");
    return [first === "" ? 0 : Number(first), last === "" ? LARGEST_PORT : Number(last)];
  });
}
