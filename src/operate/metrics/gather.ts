/**
 * All VMs of a host as one exposition: each is asked through its control socket for `softnet.metrics`. Which VM a sample is of
 * says the place where its softnet was found, not its answer. One that does not answer has `softnet_up` 0; a socket that was
 * left behind by a softnet that has ended has nothing.
 */
import { Exposition } from "../../telemetry/exposition.ts";
import { familyOf, type MetricFamily } from "../../telemetry/metric-families.ts";
import { ANSWER_WITHIN, type Asked, askAll } from "../ask.ts";
import type { DomainsCards } from "../libvirt-cards.ts";
import type { FoundVm } from "../vms.ts";
import { readExposition } from "./read.ts";

const UP = familyOf("softnet_up")!;
const UNGUARDED = familyOf("softnet_unguarded_interfaces")!;
/** What no softnet can say of its VM. */
const OF_HOST: readonly MetricFamily[] = [UP, UNGUARDED];

/** `within`: milliseconds that each softnet has to answer. */
export async function gatherMetrics(vms: readonly FoundVm[], within = ANSWER_WITHIN): Promise<Exposition> {
  const paths = vms.flatMap(({ control }) => control ?? []);
  const answers = new Map((await askAll(paths, "softnet.metrics", {}, within)).map((asked) => [asked.path, asked]));
  const exposition = new Exposition();
  for (const [vm, found] of labelled(vms)) {
    const asked = found.control === undefined ? undefined : answers.get(found.control);
    // The registry knows the MAC addresses of running softnets.
    if (asked !== undefined && "gone" in asked && asked.gone && found.mac === undefined) continue;
    const text = textOf(asked);
    exposition.add(UP, vm, [], text === undefined ? 0 : 1);
    for (const { family, values, value } of readExposition(text ?? "")) {
      if (!OF_HOST.includes(family)) exposition.add(family, vm, values, value);
    }
  }
  return exposition;
}

/** Of each domain of libvirt's that asks for softnet. */
export function addDomains(exposition: Exposition, { domains }: DomainsCards): void {
  for (const [domain, count] of domains) exposition.add(UNGUARDED, domain, [], count);
}

function textOf(asked: Asked | undefined): string | undefined {
  if (asked === undefined || !("answer" in asked)) return undefined;
  const { text } = asked.answer;
  return typeof text === "string" ? text : undefined;
}

/**
 * VMs by their label: the name, else the MAC address. Two users' VMs may have the same name; root's keeps it then, and another
 * one has the path of its control socket.
 */
function labelled(vms: readonly FoundVm[]): Map<string, FoundVm> {
  const labels = new Map<string, FoundVm>();
  const rootFirst = vms.toSorted((a, b) => Number(b.namedByRoot) - Number(a.namedByRoot));
  for (const vm of rootFirst) {
    const { name, mac, control, network } = vm;
    const candidates = [name, mac, control, `${mac} ${network}`];
    const free = candidates.find((label) => label !== undefined && !labels.has(label));
    if (free !== undefined) labels.set(free, vm);
  }
  return labels;
}
