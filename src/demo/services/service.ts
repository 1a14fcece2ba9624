/** The interface of the services that an ordinary guest uses. */
import type { World } from "../world.ts";

export interface Finding {
  readonly works: boolean;
  /** What was observed, as text. */
  readonly evidence: string;
}

export interface Service {
  readonly title: string;
  /** Tries it as Alice. */
  attempt(world: World): Promise<Finding>;
}
