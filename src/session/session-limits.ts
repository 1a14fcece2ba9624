/** A session's limits: what `--limit` says at the start and a controller later, and whom that concerns. */
import type { Guard } from "../guard/guard.ts";
import { verdictOf } from "../guard/reasons.ts";
import type { ExpressLane } from "../lane/express-lane.ts";
import { formatLimits, type Limits, parseLimits } from "../policy/limits.ts";
import { IN, OUT } from "../policy/rule-tree.ts";
import { LimitedPort } from "../ports/limited-port.ts";
import { type Direction, EGRESS, INGRESS } from "../relay/direction.ts";
import type { FramePort } from "../relay/port.ts";

const LIMIT_RATE = verdictOf("limit.rate");

export class SessionLimits {
  #limits: Limits;
  readonly #clock: () => number;
  /** By the direction of what is sent there. */
  readonly #ports: (LimitedPort | undefined)[] = [undefined, undefined];
  #guard: Guard | undefined;
  #lane: ExpressLane | undefined;

  /** Throws UserError. */
  constructor(text: string, clock: () => number) {
    this.#limits = parseLimits(text);
    this.#clock = clock;
  }

  /** Whether new flows have a limit. */
  get countsFlows(): boolean {
    return this.#limits.flows !== undefined;
  }

  /** To be called once, before anything is forwarded. */
  follow(guard: Guard, lane: ExpressLane | undefined): void {
    this.#guard = guard;
    this.#lane = lane;
    this.#apply();
  }

  /** The port that the frames of a direction are sent to, behind the limit. `port` itself stays its maker's to close. */
  around(direction: Direction, port: FramePort): FramePort {
    const limited = new LimitedPort({ port, direction, verdict: LIMIT_RATE, clock: this.#clock });
    this.#ports[direction] = limited;
    limited.setLimit(this.#of(direction));
    return limited;
  }

  /** Replaces all limits, from the next frame on. Throws UserError; then nothing has changed. */
  set(text: string): void {
    this.#limits = parseLimits(text);
    this.#apply();
  }

  /** For `status`. */
  describe(): object {
    const of = (direction: Direction) => ({
      delayed: this.#ports[direction]?.delayed ?? 0,
      dropped: this.#ports[direction]?.dropped ?? 0,
    });
    return { limits: formatLimits(this.#limits), egress: of(EGRESS), ingress: of(INGRESS) };
  }

  /** Nothing waits any more. Harmless when called twice. */
  close(): void {
    for (const port of this.#ports) port?.release();
  }

  #apply(): void {
    for (const direction of [EGRESS, INGRESS] as const) this.#ports[direction]?.setLimit(this.#of(direction));
    this.#guard?.limitFlows(this.#limits.flows);
    // What the kernel passes nobody can hold back: a direction with a limit comes through softnet.
    const isFree = ({ bytes, packets }: Limits["out"]): boolean => bytes === undefined && packets === undefined;
    this.#lane?.confine((isFree(this.#limits.out) ? 1 << OUT : 0) | (isFree(this.#limits.in) ? 1 << IN : 0));
  }

  #of(direction: Direction): Limits["out"] {
    return direction === EGRESS ? this.#limits.out : this.#limits.in;
  }
}
