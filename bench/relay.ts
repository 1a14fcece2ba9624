/** Frames through forwarders that run side by side, each between two sockets, in interleaved rounds. */
import * as processes from "./processes.ts";

const FRAMES = 100_000;
/** Frames before the first round, in which code is compiled. */
const WARM_UP = 60_000;

export interface Load {
  readonly frame: Uint8Array;
  /** Where it comes from. */
  readonly side: "vm" | "network";
}

export interface Measured<One> {
  /** Nanoseconds a frame of each round: CPU time of the forwarder, and what the clock says. */
  readonly cost: number[];
  readonly wall: number[];
  readonly contestant: One;
}

/** Plays all rounds. `loader`: the compiled native/load.c. */
export async function relay<One extends processes.Contestant>(
  loader: string,
  compared: readonly { readonly contestant: One; readonly load: Load }[],
  rounds: number,
): Promise<Measured<One>[]> {
  const running = compared.map(({ contestant, load }) => {
    const wires = processes.makeWires();
    const { far } = wires;
    const ends = { far: load.side === "vm" ? far : ([far[1], far[0]] as const) };
    const child = processes.start(contestant, wires);
    return { contestant, load, wires, ends, child, cost: [] as number[], wall: [] as number[] };
  });
  try {
    for (const { ends, load } of running) processes.load(loader, ends, load.frame, WARM_UP);
    for (let round = 0; round < rounds; round++) {
      for (const { ends, load, child, cost, wall } of running) {
        const before = processes.cpuTime(child.pid!);
        wall.push(processes.load(loader, ends, load.frame, FRAMES) / FRAMES);
        cost.push((processes.cpuTime(child.pid!) - before) / FRAMES);
      }
    }
  } finally {
    for (const { child, wires } of running) {
      child.kill("SIGKILL");
      await processes.ended(child);
      wires.close();
    }
  }
  return running.map(({ contestant, cost, wall }) => ({ contestant, cost, wall }));
}
