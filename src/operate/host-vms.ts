/**
 * The VMs of this host with what their softnets say of themselves: what was found (vms.ts), joined with the status of each
 * whose control socket the caller may ask. Of the others there is what the registry knows.
 */
import { askAll } from "./ask.ts";
import { type Fields, fieldsOf, listOf, numberOf, textOf } from "./fields.ts";
import type { FoundVm } from "./vms.ts";

/** Texts are ready to be printed. */
export interface HostVm {
  readonly found: FoundVm;
  readonly name?: string;
  readonly mac?: string;
  /** The VM's TAP, or the interface that softnet is attached to. */
  readonly interface?: string;
  readonly addresses: readonly string[];
  readonly network?: string;
  /** Where the policy in force is from: `options`, `file`, `control`. */
  readonly policy?: string;
  /** Seconds. */
  readonly uptime?: number;
  /** Frames dropped in both directions. */
  readonly drops?: number;
  /** The whole status, where softnet said it. */
  readonly status?: Fields;
  /** Why softnet could not be asked; absent where it has no control socket. */
  readonly error?: string;
}

/** Asks all of them. VMs whose softnet has ended meanwhile, or was killed, are left out. */
export async function readHostVms(found: readonly FoundVm[]): Promise<HostVm[]> {
  const asked = found.filter(({ control }) => control !== undefined);
  const answers = await askAll(
    asked.map(({ control }) => control!),
    "softnet.status",
  );
  const byPath = new Map(answers.map((one) => [one.path, one]));
  return found.flatMap((vm) => {
    const answer = vm.control === undefined ? undefined : byPath.get(vm.control);
    if (answer === undefined) return [hostVm(vm)];
    if ("answer" in answer) return [hostVm(vm, answer.answer)];
    // A record's lock says that its softnet lives, even one that has not made its socket yet.
    return answer.gone && vm.pid === undefined ? [] : [{ ...hostVm(vm), error: answer.error }];
  });
}

/** What is known of a VM, with its softnet's status or without. */
export function hostVm(found: FoundVm, status?: Fields): HostVm {
  const known = {
    name: found.name ?? textOf(status?.name),
    mac: found.mac ?? textOf(status?.mac),
    interface: textOf(status?.interface),
    network: found.network ?? textOf(status?.network),
    policy: textOf(fieldsOf(status?.policy).source),
    uptime: numberOf(status?.uptime),
    drops: status === undefined ? undefined : totalDrops(status),
    status,
  };
  const given = Object.entries(known).filter(([, value]) => value !== undefined);
  const addresses = status === undefined ? found.addresses : addressesIn(status);
  return { found, addresses, ...Object.fromEntries(given) };
}

/** IPv4's first. */
function addressesIn(status: Fields): string[] {
  return [status.binding, ...listOf(status.ipv6)].flatMap((bound) => textOf(fieldsOf(bound).address) ?? []);
}

/** Drops of both directions by reason. */
export function dropsOf(status: Fields): Map<string, number> {
  const { egress, ingress } = fieldsOf(status.counters);
  const drops = new Map<string, number>();
  for (const counts of [egress, ingress]) {
    for (const [reason, count] of Object.entries(fieldsOf(fieldsOf(counts).drops))) {
      const name = textOf(reason);
      if (name !== undefined) drops.set(name, (drops.get(name) ?? 0) + (numberOf(count) ?? 0));
    }
  }
  return drops;
}

function totalDrops(status: Fields): number {
  return [...dropsOf(status).values()].reduce((sum, count) => sum + count, 0);
}
