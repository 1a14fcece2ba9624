/**
 * An alarm on the clock that goes on while the machine sleeps (timerfd_create(2) with CLOCK_BOOTTIME): where its time comes
 * meanwhile, it wakes as soon as the machine does. Node's own timers stand still while the machine sleeps.
 */
import { Poll } from "../poll.ts";
import { CLOCK_BOOTTIME, ITIMERSPEC, type LinuxLibc, TFD_CLOEXEC, TFD_NONBLOCK } from "./libc.ts";

/** Returns undefined where there is no descriptor left. */
export function makeBootAlarm(libc: LinuxLibc, wake: () => void): BootAlarm | undefined {
  const fd = libc.timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  return fd < 0 ? undefined : new BootAlarm(libc, fd, wake);
}

export class BootAlarm {
  readonly #libc: LinuxLibc;
  readonly #fd: number;
  readonly #poll: Poll;
  readonly #time = new DataView(new ArrayBuffer(ITIMERSPEC.size));
  #set = false;

  constructor(libc: LinuxLibc, fd: number, wake: () => void) {
    this.#libc = libc;
    this.#fd = fd;
    this.#poll = new Poll(fd);
    this.#poll.watch(true, false, () => {
      this.clear(); // takes the expiry away, too: nothing need be read
      wake();
    });
  }

  /** Wakes once after that time; replaces the one that was set before. */
  set(milliseconds: number): void {
    this.#set = true;
    this.#write(Math.max(1, Math.ceil(milliseconds)));
  }

  /** Harmless where no time is set. */
  clear(): void {
    if (!this.#set) return;
    this.#set = false;
    this.#write(0);
  }

  close(): void {
    this.#poll.close();
    this.#libc.close(this.#fd);
  }

  /** 0 ends the alarm. */
  #write(milliseconds: number): void {
    this.#time.setBigInt64(ITIMERSPEC.seconds, BigInt(Math.floor(milliseconds / 1000)), true);
    this.#time.setBigInt64(ITIMERSPEC.nanoseconds, BigInt((milliseconds % 1000) * 1_000_000), true);
    this.#libc.timerfd_settime(this.#fd, 0, new Uint8Array(this.#time.buffer), null);
  }
}
