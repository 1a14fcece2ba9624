/** A control socket for a guest's softnet, which is started by root and becomes nobody. */
import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { ControlClient } from "../../../src/control/client.ts";
import { until } from "./program.ts";
import type { Lab } from "./topology.ts";

const NOBODY = 65_534;
let created = 0;

export class ControlPath {
  readonly path: string;
  readonly options: readonly string[];

  constructor(lab: Lab) {
    const folder = join(lab.directory, `control${++created}`);
    mkdirSync(folder);
    chownSync(folder, NOBODY, NOBODY);
    this.path = join(folder, "ctl");
    this.options = ["--control-socket", this.path];
  }

  /** Connects as soon as softnet listens; the connection ends with the lab's softnet. */
  async client(): Promise<ControlClient> {
    return await until("softnet listens for controllers", () =>
      ControlClient.connect(this.path).catch(() => undefined),
    );
  }
}

/** Replaces the policy. */
export async function setPolicy(
  client: ControlClient,
  allow: readonly string[],
  block: readonly string[] = [],
): Promise<void> {
  await client.ask("softnet.policy.set", { allow, block });
}
