/** A timer for long times, which goes on while the machine sleeps: leases do, too. */
export interface Alarm {
  /** Wakes once after that time, in milliseconds; replaces the time that was set before. */
  set(milliseconds: number): void;
  /** Harmless where no time is set. */
  clear(): void;
  /** It wakes no more, and is not used any more. */
  close(): void;
}

/** Returns undefined where there can be none at present. */
export type MakeAlarm = (wake: () => void) => Alarm | undefined;
