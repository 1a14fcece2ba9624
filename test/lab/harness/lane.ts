/** Transfers that go on in the express lane, and what status says of it. */
import type { ControlClient } from "../../../src/control/client.ts";
import type { Guest } from "./guest.ts";
import { type Program, until } from "./program.ts";
import { type Lab, tool } from "./topology.ts";

const PYTHON = "/usr/bin/python3";
const PORT = "7000";

export interface Counts {
  readonly frames: number;
  readonly bytes: number;
}

export interface LaneStatus {
  readonly state: string;
  readonly why?: string;
  readonly egress: Counts;
  readonly ingress: Counts;
}

export async function laneOf(client: ControlClient): Promise<LaneStatus> {
  return (await client.ask("softnet.status")).lane as LaneStatus;
}

/** Waits until more has passed in the lane, both ways. */
export async function passesBothWays(client: ControlClient): Promise<void> {
  const before = await laneOf(client);
  await until("more passes in the lane", async () => {
    const { egress, ingress } = await laneOf(client);
    return (egress.frames > before.egress.frames && ingress.frames > before.ingress.frames) || undefined;
  });
}

/** Starts what guests talk to, on an address of the internet's. */
export async function talkAt(lab: Lab, address: string): Promise<void> {
  await lab.start(lab.internet, PYTHON, [tool("talk.py"), "serve", address, PORT]).line(/^ready$/);
}

/** A connection of the guest's that goes on: it hears only, or sends as well. */
export async function talkTo(guest: Guest, address: string, how: "hear" | "exchange" = "hear"): Promise<Program> {
  const talker = guest.start(PYTHON, [tool("talk.py"), how, address, PORT]);
  await talker.line(/^heard/);
  return talker;
}

/** Waits until more is heard. */
export async function goesOn(talker: Program): Promise<void> {
  await talker.line(/^heard/, undefined, talker.lines.length);
}
