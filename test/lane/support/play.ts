/** A session that is being generated, with the connections that are established in it. */
import { newConnection } from "../../oracle/flow-talk.ts";
import type { Random } from "../../oracle/random.ts";
import type { Connection, World } from "../../oracle/world.ts";
import { establish, TCP, UDP } from "./steady.ts";

const MOST_OPEN = 12;

/** Everything passes, by flows. */
export const OPEN = { allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"], block: [] };
/** 1.1.1.1, which is nobody's neighbour, router or server of names. */
export const FAR = 0x01010101;

export class Play {
  readonly world: World;
  readonly open: Connection[] = [];

  constructor(world: World) {
    this.world = world;
  }

  /** An established connection; a new one now and then. */
  some(): Connection {
    const { random } = this.world;
    return this.open.length > 0 && random.chance(0.85) ? random.pick(this.open) : this.begin();
  }

  begin(connection?: Connection): Connection {
    const { random } = this.world;
    const begun = connection ?? newConnection(this.world, random.pick([TCP, TCP, UDP]), random.chance(0.6));
    establish(this.world, begun);
    this.open.push(begun);
    if (this.open.length > MOST_OPEN) this.open.shift();
    return begun;
  }
}

/** One of them, by weight. */
export function weighted<T>(random: Random, choices: readonly (readonly [T, number])[]): T {
  const total = choices.reduce((sum, [, weight]) => sum + weight, 0);
  let left = (random.uint32() / 2 ** 32) * total;
  for (const [choice, weight] of choices) {
    left -= weight;
    if (left < 0) return choice;
  }
  return choices[0]![0];
}

export type Scenario = (play: Play) => void;
