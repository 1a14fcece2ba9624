/**
 * IP forwarding, one switch of the whole host, shared by all softnets on it and by everybody else. Who found it off
 * turns it on, and the last softnet that needs it turns it off again, also when it is not the one that turned it on.
 *
 * Nobody waits for anybody; two marks make it right, and both go with what they are on, however a softnet ends:
 *
 *   need     the TAP's `tag` setting, a number for anybody's use. Set before the switch is looked at; gone first.
 *   was off  a chain of the table (rules.ts). Looked for before and after the own need is marked; gone last, behind the
 *            switching off (keeper/script.ts), which looks for needs before and after as well.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { NEED } from "../../keeper/script.ts";
import { UserError } from "../../user-error.ts";
import { redirectsBefore } from "./rules.ts";
import type { Chain } from "./ruleset.ts";

const IPV4 = "/proc/sys/net/ipv4";
const SWITCH = `${IPV4}/ip_forward`;
/** The kernel turns it off when it begins to forward, and on when it ends, whatever it was before. */
const REDIRECTS = `${IPV4}/conf/all/accept_redirects`;

/**
 * Marks the TAP's need. Answers what `accept_redirects` was if softnet is the one that turns forwarding on, or that did
 * and is still there; undefined where it was on without softnet. `before`: the host's chains as they were; `read` reads
 * them again.
 */
export function needForwarding(
  tap: string,
  before: readonly Chain[],
  read: () => readonly Chain[],
): string | undefined {
  setLink(tap, "tag", NEED);
  if (readFileSync(SWITCH, "utf8").trim() === "0") return inherited(before) ?? readFileSync(REDIRECTS, "utf8").trim();
  return inherited(before) ?? inherited(read());
}

function inherited(chains: readonly Chain[]): string | undefined {
  return chains.map(({ table, name }) => redirectsBefore(table, name)).find((value) => value !== undefined);
}

/** Turns it on. To be called when the rules stand. Throws UserError. */
export function turnForwardingOn(): void {
  if (readFileSync(SWITCH, "utf8").trim() === "0") write(SWITCH, "1");
}

/** Sets one of the TAP's own IPv4 settings. Throws UserError. */
export function setLink(tap: string, name: string, value: string): void {
  write(`${IPV4}/conf/${tap}/${name}`, value);
}

/** No IPv6 between host and VM, where the kernel has any. Throws UserError. */
export function disableIpv6(tap: string): void {
  const path = `/proc/sys/net/ipv6/conf/${tap}/disable_ipv6`;
  if (existsSync(path)) write(path, "1");
}

function write(path: string, value: string): void {
  try {
    if (readFileSync(path, "utf8").trim() !== value) writeFileSync(path, value);
  } catch (error) {
    throw new UserError(`cannot set ${path} to ${value}: ${(error as Error).message}; run softnet as root`);
  }
}
