/**
 * Every series that softnet has, as OpenMetrics 1.0 families (docs/metrics.md). The list is closed: what softnet writes, what
 * `softnet metrics` takes from others, and the document are all compared with it. The values of labels are few: a VM's name
 * or MAC address, and words of softnet's own; never a remote address, and never a name that was looked up.
 */
import { QUERY_DECISIONS } from "../guard/dns-decisions.ts";
import { DROP_REASONS } from "../guard/reasons.ts";
import { DIRECTION_NAMES } from "../relay/direction.ts";

export type MetricType = "counter" | "gauge" | "info";

export interface MetricFamily {
  /** Without `_total` and `_info`. */
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  /** Beside the one that says whose a sample is (`vm`), in their order. */
  readonly labels: readonly MetricLabel[];
}

export interface MetricLabel {
  readonly name: string;
  /** All values that it may have; absent: any text. */
  readonly words?: readonly string[];
}

/** Why there was no room, by the label's value: a drop reason. */
export const REFUSAL_CAUSES = {
  full: "flow.full",
  half_open: "flow.half-open",
  name: "name.full",
  limit: "limit.flows",
} as const;

const DIRECTION: MetricLabel = { name: "direction", words: DIRECTION_NAMES };
const FAMILY: MetricLabel = { name: "family", words: ["ipv4", "ipv6"] };
const VERDICT: MetricLabel = { name: "verdict", words: ["pass", "drop"] };
const REASON: MetricLabel = { name: "reason", words: DROP_REASONS.map(({ name }) => name) };
const CAUSE: MetricLabel = { name: "cause", words: Object.keys(REFUSAL_CAUSES) };
const DECISION: MetricLabel = { name: "decision", words: QUERY_DECISIONS };
const BY: MetricLabel = { name: "by", words: ["control", "file"] };
const text = (name: string): MetricLabel => ({ name });

const family = (name: string, type: MetricType, labels: readonly MetricLabel[], help: string): MetricFamily =>
  Object.freeze({ name, type, labels: Object.freeze(labels), help });

/** In the order of the text. */
export const METRIC_FAMILIES: readonly MetricFamily[] = Object.freeze([
  family("softnet_up", "gauge", [], "Whether the VM's softnet answered: 1, else 0."),
  family(
    "softnet_unguarded_interfaces",
    "gauge",
    [],
    "Cards of a libvirt domain that asks for softnet and that have none.",
  ),
  family("softnet_build", "info", [text("version")], "The softnet that runs."),
  family("softnet_vm", "info", [text("mac"), text("network"), text("interface")], "The VM."),
  family("softnet_frames", "counter", [DIRECTION, VERDICT], "Frames, by what the guard decided: pass or drop."),
  family("softnet_bytes", "counter", [DIRECTION], "Bytes of the frames that the guard passed."),
  family("softnet_drops", "counter", [DIRECTION, REASON], "Frames that the guard dropped, by drop reason."),
  family("softnet_undelivered_frames", "counter", [DIRECTION], "Passed frames that a full receiver never took."),
  family("softnet_unsendable_frames", "counter", [DIRECTION], "Passed frames that the receiver can never take."),
  family("softnet_delayed_frames", "counter", [DIRECTION], "Frames that waited because of a limit."),
  family("softnet_flows", "gauge", [FAMILY], "Flows that are noted."),
  family("softnet_flow_limit", "gauge", [FAMILY], "How many flows can be noted."),
  family("softnet_flow_refusals", "counter", [CAUSE], "Frames dropped because there was no room for what they open."),
  family("softnet_dns_queries", "counter", [DECISION], "Lookups by the VM, while rules have names."),
  family("softnet_pins", "gauge", [], "Pairs of a name and an address that are noted."),
  family("softnet_policy_rules", "gauge", [], "Rules of the policy."),
  family("softnet_policy_revision", "gauge", [], "The last revision that a controller gave; 0 where none did."),
  family("softnet_policy_changes", "counter", [BY], "Policies put into force since the start."),
  family("softnet_binding_expiry_seconds", "gauge", [FAMILY], "Seconds until the VM's next address ends."),
  family("process_cpu_seconds", "counter", [], "Processor time of the VM's softnet, in seconds."),
  family("process_resident_memory_bytes", "gauge", [], "Memory of the VM's softnet, in bytes."),
  family("process_start_time_seconds", "gauge", [], "When the VM's softnet was started, in seconds since 1970."),
]);

const SUFFIXES: Readonly<Record<MetricType, string>> = { counter: "_total", gauge: "", info: "_info" };

/** The name that a family's samples have. */
export function sampleName({ name, type }: MetricFamily): string {
  return name + SUFFIXES[type];
}

const BY_SAMPLE: ReadonlyMap<string, MetricFamily> = new Map(METRIC_FAMILIES.map((one) => [sampleName(one), one]));

/** The family of a sample's name; undefined: softnet has no such. */
export function familyOf(sample: string): MetricFamily | undefined {
  return BY_SAMPLE.get(sample);
}
