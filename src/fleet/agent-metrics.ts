/**
 * The series of a fleet's agent, as OpenMetrics 1.0 families (docs/fleet.md). The list is closed, as that of the VMs
 * (telemetry/metric-families.ts): the label `host` and words of the agent's own, no name of a VM, and nothing that came from NATS.
 */
import { Exposition } from "../telemetry/exposition.ts";
import type { MetricFamily, MetricLabel, MetricType } from "../telemetry/metric-families.ts";
import type { AgentCounts } from "./agent.ts";

const POLICY: MetricLabel = { name: "policy", words: ["none", "in_force", "waiting", "error", "unreachable"] };
const STATE: MetricLabel = { name: "state", words: ["valid", "wrong"] };

function family(name: string, type: MetricType, labels: readonly MetricLabel[], help: string): MetricFamily {
  return Object.freeze({ name: `softnet_fleet_${name}`, type, labels: Object.freeze(labels), help });
}

const CONNECTED = family("connected", "gauge", [], "Whether the agent has a connection to NATS: 1, else 0.");
const CONNECTION_AGE = family("connection_age_seconds", "gauge", [], "Seconds since the connection came or went.");
const RECONNECTS = family("reconnects", "counter", [], "How often the connection to NATS came back.");
const VMS = family(
  "vms",
  "gauge",
  [POLICY],
  "VMs of the host, by how it stands with the policy that they should have.",
);
const DOCUMENTS = family("documents", "gauge", [STATE], "Documents of the fleet that the agent knows.");
const CHANGES = family("policy_changes", "counter", [], "Policies that the agent put into force.");
const REFUSALS = family("policy_refusals", "counter", [], "Policies that were wrong, or that a softnet refused.");
const CHANGE_AGE = family("policy_change_age_seconds", "gauge", [], "Seconds since a policy was put into force.");
const EVENTS = family("events", "counter", [], "Events of VMs that the agent passed on.");

/** In the order of the text. */
export const AGENT_FAMILIES: readonly MetricFamily[] = Object.freeze([
  CONNECTED,
  CONNECTION_AGE,
  RECONNECTS,
  VMS,
  DOCUMENTS,
  CHANGES,
  REFUSALS,
  CHANGE_AGE,
  EVENTS,
]);

/** What an agent counts at this moment. */
export function agentExposition(host: string, counts: AgentCounts): Exposition {
  const exposition = new Exposition(AGENT_FAMILIES, "host");
  const add = (of: MetricFamily, value: number, ...values: readonly string[]): void =>
    exposition.add(of, host, values, value);
  const seconds = (value: number): number => Math.round(value * 1000) / 1000;
  add(CONNECTED, Number(counts.connected));
  add(CONNECTION_AGE, seconds(counts.connectionAge));
  add(RECONNECTS, counts.reconnects);
  for (const [policy, count] of Object.entries(counts.vms)) add(VMS, count, policy);
  for (const [state, count] of Object.entries(counts.documents)) add(DOCUMENTS, count, state);
  add(CHANGES, counts.changes);
  add(REFUSALS, counts.refusals);
  if (counts.changeAge !== undefined) add(CHANGE_AGE, seconds(counts.changeAge));
  add(EVENTS, counts.events);
  return exposition;
}
