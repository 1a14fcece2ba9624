/** A session's counters as OpenMetrics text: the result of the control channel's `softnet.metrics`. */
import { QUERY_DECISIONS } from "../guard/dns-decisions.ts";
import { MOST_FLOWS } from "../guard/flow-table.ts";
import type { Guard } from "../guard/guard.ts";
import { DROP_REASONS, verdictOf } from "../guard/reasons.ts";
import type { BoundAddress } from "../guard/types.ts";
import type { Counters } from "../relay/counters.ts";
import { DIRECTION_NAMES, type DirectionName, EGRESS, INGRESS } from "../relay/direction.ts";
import { Exposition } from "../telemetry/exposition.ts";
import { familyOf, type MetricFamily, REFUSAL_CAUSES } from "../telemetry/metric-families.ts";
import { version } from "../version.ts";

export interface MeasuredState {
  readonly guard: Guard;
  /** The label `vm`: the VM's name, else its MAC address. */
  readonly vm: string;
  readonly mac: string;
  readonly network: string;
  readonly interface: string | null;
  readonly counters: Counters | undefined;
  /** Frames that waited because of a limit, by direction. */
  readonly delayed: Readonly<Record<DirectionName, number>>;
  readonly ruleCount: number;
  readonly revision: bigint;
  /** How often a policy was put into force, by who did it. */
  readonly changes: Readonly<Record<string, number>>;
  /** Microseconds on the guard's clock. */
  readonly time: number;
}

/** Drop reasons of frames for which a table had no room, by the label `cause`. */
const REFUSALS = Object.entries(REFUSAL_CAUSES).map(([cause, reason]) => [cause, verdictOf(reason)] as const);

export function describeMetrics(state: MeasuredState): string {
  const exposition = new Exposition();
  const add = (sample: string, values: readonly string[], value: number | string): void =>
    exposition.add(known(sample), state.vm, values, value);
  const { guard } = state;
  add("softnet_build_info", [version()], 1);
  add("softnet_vm_info", [state.mac, state.network, state.interface ?? ""], 1);
  if (state.counters !== undefined) addCounters(state.counters, add);
  for (const [direction, count] of Object.entries(state.delayed)) {
    add("softnet_delayed_frames_total", [direction], count);
  }
  for (const [family, live] of Object.entries(guard.flowsByFamily)) {
    add("softnet_flows", [family], live);
    add("softnet_flow_limit", [family], MOST_FLOWS);
  }
  for (const [index, decision] of QUERY_DECISIONS.entries()) {
    add("softnet_dns_queries_total", [decision], guard.queryDecisions[index]!);
  }
  add("softnet_pins", [], guard.pairCount);
  add("softnet_policy_rules", [], state.ruleCount);
  add("softnet_policy_revision", [], String(state.revision));
  for (const [by, count] of Object.entries(state.changes)) add("softnet_policy_changes_total", [by], count);
  const { ipv4, ipv6 } = guard.binding;
  addExpiry("ipv4", ipv4 === undefined ? [] : [ipv4], state.time, add);
  addExpiry("ipv6", ipv6, state.time, add);
  const { user, system } = process.cpuUsage();
  add("process_cpu_seconds_total", [], (user + system) / 1e6);
  add("process_resident_memory_bytes", [], process.memoryUsage.rss());
  add("process_start_time_seconds", [], (Date.now() / 1000 - process.uptime()).toFixed(3));
  return exposition.render("openmetrics");
}

type Add = (sample: string, values: readonly string[], value: number | string) => void;

function addCounters(counters: Counters, add: Add): void {
  for (const direction of [EGRESS, INGRESS] as const) {
    const label = DIRECTION_NAMES[direction];
    const drops = counters.drops[direction];
    let dropped = 0;
    for (const [index, { name }] of DROP_REASONS.entries()) {
      const count = drops[index + 1]!;
      dropped += count;
      if (count > 0) add("softnet_drops_total", [label, name], count);
    }
    add("softnet_frames_total", [label, "pass"], counters.frames[direction]);
    add("softnet_frames_total", [label, "drop"], dropped);
    add("softnet_bytes_total", [label], counters.bytes[direction]);
    add("softnet_undelivered_frames_total", [label], counters.undelivered[direction]);
    add("softnet_unsendable_frames_total", [label], counters.unsendable[direction]);
  }
  for (const [cause, verdict] of REFUSALS) {
    const [egress, ingress] = counters.drops;
    add("softnet_flow_refusals_total", [cause], egress[verdict]! + ingress[verdict]!);
  }
}

/** None where no address of the family ends. */
function addExpiry(family: string, bound: readonly BoundAddress[], time: number, add: Add): void {
  const end = Math.min(...bound.map(({ expiry }) => expiry));
  if (Number.isFinite(end)) add("softnet_binding_expiry_seconds", [family], Math.max(0, (end - time) / 1e6).toFixed(3));
}

function known(sample: string): MetricFamily {
  const family = familyOf(sample);
  if (family === undefined) throw new Error(`there is no series ${sample}`);
  return family;
}
