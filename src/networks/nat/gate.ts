/**
 * The gate: a second table for the VM, that belongs to a second keeper's nft. It translates nothing, and lets nothing
 * through that the main table (rules.ts) has not dealt with: should that one go alone, because somebody killed its nft
 * or who feeds it, no frame of the VM's leaves under the VM's own address in the moment until softnet has stopped.
 *
 *   forward   between the VM and other VMs behind softnet only what both rules allow; to the VM otherwise only answers
 *             and what was led to it. On a network of type host: nothing
 *   leaving   behind the translation of source addresses: what still has the VM's leaves to other such VMs only
 *   others    where softnet turned IP forwarding on: the host routes for nobody else
 *
 * Both tables must agree before a packet passes, so each alone is closed enough.
 */
import { formatIPv4 } from "../../wire/address.ts";
import { ANY_TAP, gateName, type RulesOptions } from "./rules.ts";
import { declareSets, GATE_SETS } from "./sets.ts";

/** Behind every translation (NF_IP_PRI_NAT_SRC is 100). */
const LAST = 300;

/** The commands in order, for nft(8), as `rulesOf`. */
export function gateRulesOf({ tap, vm, nat, reach, exposures, redirectsBefore }: RulesOptions): string[] {
  const table = `inet ${gateName(tap)}`;
  const own = `"${tap}"`;
  const commands = [`create table ${table} { flags owner; }`, ...declareSets(table, GATE_SETS, reach)];
  const chain = (name: string, base: string, ...rules: readonly string[]): void => {
    commands.push(`add chain ${table} ${name}${base}`, ...rules.map((rule) => `add rule ${table} ${name} ${rule}`));
  };
  const hook = (name: string, priority: number) => ` { type filter hook ${name} priority ${priority}; policy accept; }`;
  if (!nat) {
    chain("forward", hook("forward", 0), `iifname ${own} drop`, `oifname ${own} drop`);
    return commands;
  }
  chain(
    "to_vm",
    "",
    `iifname ${ANY_TAP} ip saddr != @allowed drop`,
    "ct state established,related accept",
    `iifname ${ANY_TAP} ct state new accept`,
    ...(exposures.length > 0 ? ["meta l4proto tcp ct status dnat accept"] : []),
    "drop",
  );
  const fromVm = `iifname ${own} oifname ${ANY_TAP} ip daddr != @allowed drop`;
  chain("forward", hook("forward", 0), `oifname ${own} jump to_vm`, fromVm);
  chain("leaving", hook("postrouting", LAST), `oifname != ${ANY_TAP} ip saddr ${formatIPv4(vm)} drop`);
  if (redirectsBefore !== undefined) {
    chain("others", hook("forward", 0), `iifname != ${ANY_TAP} oifname != ${ANY_TAP} drop`);
  }
  return commands;
}
