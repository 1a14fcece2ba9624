/** What an ordinary guest wants from its network. */
import type { World } from "../world.ts";

export interface Finding {
  readonly works: boolean;
  /** What was seen, for people. */
  readonly evidence: string;
}

export interface Service {
  readonly title: string;
  /** Tries it as Alice. */
  attempt(world: World): Promise<Finding>;
}
