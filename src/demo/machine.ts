/** A machine of the demo: its namespace, and the agent process in it. */
import type { Agent } from "./agent-process.ts";
import type { Namespace } from "./namespace.ts";

export interface Machine {
  readonly namespace: Namespace;
  readonly agent: Agent;
}
