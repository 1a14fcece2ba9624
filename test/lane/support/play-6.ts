/** A session that is being generated, with the connections over IPv6 that are established in it. */
import { address6 } from "../../oracle/ipv6/bytes.ts";
import type { World6 } from "../../oracle/ipv6/world.ts";
import { TCP, UDP } from "./steady.ts";
import { type Connection6, establish6 } from "./steady-6.ts";

const MOST_OPEN = 12;

/** Everything passes, in both families, by flows. */
export const OPEN6 = { allow: ["out ::/0", "in ::/0", "out 0.0.0.0/0", "in 0.0.0.0/0"], block: [] };
/** Nobody's router, neighbour or server of names, and embeds nothing. */
export const FAR6 = address6("2a00:1450::200e");

export class Play6 {
  readonly world: World6;
  readonly open: Connection6[] = [];

  constructor(world: World6) {
    this.world = world;
  }

  /** A connection that is not established yet. */
  connection(given: Partial<Connection6> = {}): Connection6 {
    const { world } = this;
    const { random } = world;
    const fromVm = random.chance(0.6);
    const [service, own] = [random.pick([22, 53, 80, 443, 1000]), random.between(40_000, 40_003)];
    const remote = random.chance(0.85)
      ? random.pick(world.remotes6)
      : world.embedding(random.pick([...world.remotes, 0x01010101]));
    return {
      protocol: random.pick([TCP, TCP, UDP]),
      own: random.pick(world.own),
      remote,
      remotePort: fromVm ? service : own,
      vmPort: fromVm ? own : service,
      fromVm,
      ...given,
    };
  }

  /** An established connection; a new one now and then. */
  some(): Connection6 {
    const { random } = this.world;
    return this.open.length > 0 && random.chance(0.85) ? random.pick(this.open) : this.begin();
  }

  begin(connection = this.connection()): Connection6 {
    establish6(this.world, connection);
    this.open.push(connection);
    if (this.open.length > MOST_OPEN) this.open.shift();
    return connection;
  }
}

export type Scenario6 = (play: Play6) => void;
