/** A machine of the demo's world: its namespace, and the agent that acts in it. */
import type { Agent } from "./agent-process.ts";
import type { Namespace } from "./namespace.ts";

export interface Place {
  readonly namespace: Namespace;
  readonly agent: Agent;
}
