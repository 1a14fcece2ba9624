/**
 * A TAP as a port: one read or write moves one frame, as a TAP's descriptor is no socket. The kernel is on its other
 * side: a bridge, or the TCP/IP stack of whatever namespace the interface was moved to.
 *
 * While the interface is down, the kernel refuses frames with EIO, as a card without a cable does: they are counted as
 * unsendable and the port lives on. Once the interface is deleted, reads and writes give EBADFD: the port is closed.
 */
import { EAGAIN, EINTR, EINVAL, EIO, EMSGSIZE, ENOBUFS, ENOMEM } from "../native/linux/errno.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import type { LinkEvents } from "../native/linux/link-events.ts";
import { Poll, type Wake } from "../native/poll.ts";
import type { Batch } from "../relay/batch.ts";
import type { FramePort, Interest } from "../relay/port.ts";
import { failure } from "./failure.ts";
import { openTap, setHardwareAddress, type TapDevice } from "./tap-device.ts";
import { checkTapName } from "./tap-name.ts";

export class TapPort implements FramePort {
  readonly label: string;
  readonly device: TapDevice;
  unsendable = 0;
  readonly #libc: LinuxLibc;
  readonly #poll: Poll;
  readonly checkInterval?: number;
  readonly #inspect: () => void;
  readonly #events: LinkEvents | undefined;
  #fd: number;
  #wake: Wake = () => {};
  #failure: unknown;

  /**
   * Takes over an open TAP. `inspect` looks at what else must hold, and throws PortClosed: it is called by `check`, and
   * after each of the `events`, which the port takes over too. Without events it is called on every tick.
   */
  constructor(libc: LinuxLibc, label: string, device: TapDevice, inspect?: () => void, events?: LinkEvents) {
    this.label = label;
    this.device = device;
    this.#libc = libc;
    this.#fd = device.fd;
    this.#poll = new Poll(device.fd);
    this.#inspect = inspect ?? (() => {});
    this.#events = events;
    if (events !== undefined) events.onChange = this.#changed;
    // That the interface is deleted, its descriptor tells.
    if (inspect === undefined || events !== undefined) this.checkInterval = Number.POSITIVE_INFINITY;
  }

  receive(batch: Batch): number {
    this.#throwFailure();
    const { offset, length, capacity, slotSize } = batch;
    let count = 0;
    while (count < capacity) {
      const at = batch.slotOffset(count);
      const received = this.#libc.read(this.#fd, batch.address + at, slotSize);
      if (received < 0) {
        const errno = this.#libc.errno();
        if (errno === EAGAIN || errno === ENOMEM || errno === ENOBUFS) break;
        if (errno === EINTR) continue;
        batch.count = 0;
        throw failure(this.label, "receive", errno);
      }
      offset[count] = at;
      length[count] = received;
      count++;
    }
    batch.count = count;
    return count;
  }

  send(batch: Batch, first: number): number {
    this.#throwFailure();
    const { offset, length, count, address } = batch;
    let next = first;
    while (next < count) {
      if (this.#libc.write(this.#fd, address + offset[next], length[next]) < 0) {
        const errno = this.#libc.errno();
        if (errno === EAGAIN || errno === ENOBUFS || errno === ENOMEM) break;
        if (errno === EINTR) continue;
        if (errno !== EIO && errno !== EINVAL && errno !== EMSGSIZE) throw failure(this.label, "send", errno);
        this.unsendable++; // the interface is down, or the frame is no Ethernet frame to the kernel
      }
      next++;
    }
    return next - first;
  }

  watch(interest: Interest, wake: Wake): void {
    this.#wake = wake;
    this.#poll.watch(interest.readable, interest.writable, wake);
  }

  check(): void {
    this.#throwFailure();
    this.#poll.rearm();
    this.#inspect();
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#poll.close();
    this.#events?.close();
    this.#libc.close(this.#fd);
    this.#fd = -1;
  }

  /** The relay is woken to meet what is wrong. */
  readonly #changed = (): void => {
    try {
      this.#inspect();
    } catch (error) {
      this.#failure = error;
      this.#wake(true, true);
    }
  };

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/**
 * The VM's side as a TAP, `--vm-tap NAME`: a namespace that the interface is moved to is the guest. A TAP that is made
 * here gets the VM's MAC address (6 bytes), so that the guest's kernel sends from it; one that exists keeps its own.
 * `onlyNew`: one that exists is refused.
 * Throws UserError.
 */
export function openVmTap(
  libc: LinuxLibc,
  option: string,
  name: string,
  macAddress: Uint8Array,
  onlyNew = false,
): TapPort {
  checkTapName(option, name);
  const device = openTap(libc, option, name, onlyNew);
  try {
    if (device.created) setHardwareAddress(libc, device, macAddress);
  } catch (error) {
    libc.close(device.fd);
    throw error;
  }
  return new TapPort(libc, `${option} ${name}`, device);
}
