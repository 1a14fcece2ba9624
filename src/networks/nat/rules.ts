/**
 * The nftables rules of one VM, as commands for nft(8). One table holds them; it belongs to the process that makes it
 * (`flags owner`), so that the kernel removes it when that process ends, and `nft flush ruleset` elsewhere does not.
 *
 *   arrival      before everything else: what comes from the TAP has the VM's address and does not go to
 *                0.0.0.0/8 or 127.0.0.0/8
 *   input        127.0.0.0/8 again, behind what other programs may have translated to there; answers to the host's own
 *                connections over an exposed port pass. With ports exposed and the gateway closed by a rule: of what comes
 *                from their own numbers to the gateway only answers to clients that were led to the VM
 *   forward      from the VM: tracked connections only, since what is not tracked is not translated; not to other VMs
 *                behind softnet unless a rule of the user's allows them. To the VM: answers, exposed ports and allowed
 *                VMs. On a network of type host: nothing
 *   postrouting  the VM's traffic leaves under the host's address
 *   expose_*     the host's ports lead to the VM, for others (prerouting) and for the host itself (output); clients that
 *                the VM may not send to appear to it as the gateway (postrouting)
 *
 * Addresses that depend on the policy are in sets (sets.ts), which the keeper changes while softnet runs. A second, smaller
 * table stands beside this one: the gate (gate.ts).
 *
 * Where softnet turned IP forwarding on, one more chain keeps the host from routing for anybody else. Its name says so
 * to other softnets, with what the setting that the kernel changes along was before.
 */
import { formatIPv4 } from "../../wire/address.ts";
import type { Exposure } from "./expose.ts";
import type { Reach } from "./reach.ts";
import { declareSets, TABLE_SETS } from "./sets.ts";

export interface RulesOptions {
  /** Name of the TAP. */
  readonly tap: string;
  /** Addresses in host order. */
  readonly vm: number;
  readonly gateway: number;
  /** False: a network of type host. */
  readonly nat: boolean;
  readonly reach: Reach;
  readonly exposures: readonly Exposure[];
  /** What `accept_redirects` was before softnet turned IP forwarding on; absent where softnet did not. */
  readonly redirectsBefore?: string;
}

/** Every TAP of softnet's. */
export const ANY_TAP = '"softnet*"';
const NEVER = "{ 0.0.0.0/8, 127.0.0.0/8 }";
const TABLE_PREFIX = "softnet_";
const MARKER = "forwarding_was_off_";

export function tableName(tap: string): string {
  return TABLE_PREFIX + tap;
}

/** The VM's second table. */
export function gateName(tap: string): string {
  return `${TABLE_PREFIX}gate_${tap}`;
}

/** What a chain's name tells: that its softnet found IP forwarding off, and what `accept_redirects` was; else undefined. */
export function redirectsBefore(table: string, chain: string): string | undefined {
  return table.startsWith(TABLE_PREFIX) && chain.startsWith(MARKER) ? chain.slice(MARKER.length) : undefined;
}

/** The commands in order; given to nft as one, they take effect as one. */
export function rulesOf(options: RulesOptions): string[] {
  const { tap, vm, nat, reach, exposures } = options;
  const table = `inet ${tableName(tap)}`;
  const own = `"${tap}"`;
  const commands = [`create table ${table} { flags owner; }`, ...declareSets(table, TABLE_SETS, reach)];
  const chain = (name: string, hook?: string, ...rules: readonly string[]): void => {
    const base = hook === undefined ? "" : ` { type ${hook}; policy accept; }`;
    commands.push(`add chain ${table} ${name}${base}`, ...rules.map((rule) => `add rule ${table} ${name} ${rule}`));
  };
  chain(
    "arrival",
    "filter hook prerouting priority -300",
    `iifname ${own} ip saddr != ${formatIPv4(vm)} drop`,
    `iifname ${own} ip daddr ${NEVER} drop`,
    `iifname ${own} meta nfproto != ipv4 drop`,
  );
  // Accepted first and dropped then: what is not tracked has no status, and matches no rule about one.
  const ports = exposures.map(({ internal }) => internal).join(", ");
  const toClosed = `iifname ${own} ip daddr @closed tcp sport { ${ports} }`;
  const answersOnly = [`${toClosed} ct direction reply ct status dnat accept`, `${toClosed} drop`];
  chain(
    "input",
    "filter hook input priority 0",
    `iifname ${own} ip daddr 127.0.0.0/8 ct direction original drop`,
    ...(exposures.length > 0 ? answersOnly : []),
  );
  chain("from_vm", undefined, ...(nat ? fromVm(options) : ["drop"]));
  chain("to_vm", undefined, ...(nat ? toVm(options) : ["drop"]));
  chain("forward", "filter hook forward priority 0", `iifname ${own} jump from_vm`, `oifname ${own} jump to_vm`);
  if (options.redirectsBefore !== undefined) {
    const others = `iifname != ${ANY_TAP} oifname != ${ANY_TAP} drop`;
    chain(MARKER + options.redirectsBefore, "filter hook forward priority 0", others);
  }
  if (nat) chain("postrouting", "nat hook postrouting priority 100", ...postrouting(options));
  if (exposures.length > 0) {
    const target = exposures.map(
      ({ external, internal }) =>
        `fib daddr type local meta l4proto tcp tcp dport ${external} dnat ip to ${formatIPv4(vm)}:${internal}`,
    );
    const others = target.map((rule) => `iifname != ${ANY_TAP} ${rule}`);
    chain("expose_to_others", "nat hook prerouting priority -100", ...others);
    chain("expose_to_host", "nat hook output priority -100", ...target);
  }
  return commands;
}

function fromVm({ vm }: RulesOptions): string[] {
  return [
    `ip saddr != ${formatIPv4(vm)} drop`,
    `ip daddr ${NEVER} drop`,
    "ct state invalid,untracked drop",
    `oifname ${ANY_TAP} ip daddr != @allowed drop`,
  ];
}

function toVm({ vm, exposures }: RulesOptions): string[] {
  const rules = [
    `ip daddr != ${formatIPv4(vm)} drop`,
    `iifname ${ANY_TAP} ip saddr != @allowed drop`,
    "ct state established,related accept",
    `iifname ${ANY_TAP} ct state new accept`,
  ];
  if (exposures.length > 0) {
    const ports = exposures.map(({ external }) => external).join(", ");
    rules.push(`meta l4proto tcp ct status dnat ct original proto-dst { ${ports} } accept`);
  }
  return [...rules, "drop"];
}

function postrouting({ tap, vm, gateway, exposures }: RulesOptions): string[] {
  const rules = [`oifname != ${ANY_TAP} ip saddr ${formatIPv4(vm)} masquerade`];
  if (exposures.length === 0) return rules;
  return [...rules, `oifname "${tap}" ct status dnat ip saddr != @answerable snat ip to ${formatIPv4(gateway)}`];
}
