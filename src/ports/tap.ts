/**
 * A TAP as a port: one read or write moves one frame, as a TAP's descriptor is no socket. The kernel is on its other
 * side: a bridge, or the TCP/IP stack of whatever namespace the interface was moved to.
 *
 * In front of each frame lies a virtio-net header (wire/virtio-net.ts), in the slot's headroom. Without offloads it is zero:
 * the kernel finishes each frame before it hands it over. With them one read or write moves a large frame of up to 64 KiB.
 *
 * While the interface is down, the kernel refuses frames with EIO, as a card without a cable does: they are counted as
 * unsendable and the port lives on. Once the interface is deleted, reads and writes give EBADFD: the port is closed.
 */
import { EAGAIN, EINTR, EINVAL, EIO, EMSGSIZE, ENOBUFS, ENOMEM } from "../native/linux/errno.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import type { LinkEvents } from "../native/linux/link-events.ts";
import { Poll, type Wake } from "../native/poll.ts";
import type { Batch } from "../relay/batch.ts";
import { type Direction, EGRESS } from "../relay/direction.ts";
import { type DropCounter, type FramePort, type Interest, LARGEST_FRAME } from "../relay/port.ts";
import {
  COMPLETE,
  completeElsewhere,
  ELSEWHERE,
  MALFORMED,
  putVirtioNetHeader,
  readVirtioNetHeader,
  VIRTIO_NET_HEADER,
} from "../wire/virtio-net.ts";
import { failure } from "./failure.ts";
import { disableOffloads, enableOffloads, openTap, setHardwareAddress, type TapDevice } from "./tap-device.ts";
import { TapDrops } from "./tap-drops.ts";
import { checkTapName } from "./tap-name.ts";

export class TapPort implements FramePort {
  readonly label: string;
  readonly device: TapDevice;
  readonly takesOffloads = true;
  unsendable = 0;
  readonly #libc: LinuxLibc;
  readonly #poll: Poll;
  readonly checkInterval?: number;
  readonly #inspect: () => void;
  readonly #events: LinkEvents | undefined;
  readonly #drops: TapDrops;
  #fd: number;
  #wake: Wake = () => {};
  #failure: unknown;
  #offloads = false;

  /**
   * Takes over an open TAP. `inspect` looks at what else must hold, and throws PortClosed: it is called by `check`, and
   * after each of the `events`, which the port takes over too. Without events it is called on every tick. `received`:
   * which way frames go that are received here.
   */
  constructor(
    libc: LinuxLibc,
    label: string,
    device: TapDevice,
    received: Direction,
    inspect?: () => void,
    events?: LinkEvents,
  ) {
    this.#drops = new TapDrops(libc, libc.if_nametoindex(device.name), received);
    this.label = label;
    this.device = device;
    this.#libc = libc;
    this.#fd = device.fd;
    this.#poll = new Poll(device.fd);
    this.#inspect = inspect ?? (() => {});
    this.#events = events;
    if (events !== undefined) events.onChange = this.#changed;
    // The descriptor reports that the interface is deleted.
    if (inspect === undefined || events !== undefined) this.checkInterval = Number.POSITIVE_INFINITY;
  }

  enableOffloads(ipv6: boolean): boolean {
    this.#offloads = enableOffloads(this.#libc, this.#fd, ipv6);
    return this.#offloads;
  }

  receive(batch: Batch): number {
    this.#throwFailure();
    const { bytes, offset, length, offload, most, slotSize } = batch;
    if (this.#offloads && slotSize <= LARGEST_FRAME) throw new Error(`a slot takes ${slotSize} bytes: too few`);
    let count = 0;
    let at = batch.slotOffset(0);
    // Side by side: small frames fill few pages then, whatever a slot takes.
    while (count < most && batch.hasRoom(at)) {
      const header = at - VIRTIO_NET_HEADER;
      const received = this.#libc.read(this.#fd, batch.address + header, VIRTIO_NET_HEADER + slotSize);
      if (received < 0) {
        const errno = this.#libc.errno();
        if (errno === EAGAIN || errno === ENOMEM || errno === ENOBUFS) break;
        if (errno === EINTR) continue;
        batch.count = 0;
        throw failure(this.label, "receive", errno);
      }
      offset[count] = at;
      // Nothing was to be left to do without offloads: what says so all the same does not pass.
      const left = readVirtioNetHeader(bytes, header);
      const size = Math.max(0, received - VIRTIO_NET_HEADER);
      length[count] = size;
      if (left === COMPLETE) offload[count] = COMPLETE;
      else if (!this.#offloads) offload[count] = MALFORMED;
      else offload[count] = left === ELSEWHERE ? completeElsewhere(bytes, at, size) : left;
      at = batch.behind(at, size);
      count++;
    }
    batch.count = count;
    return count;
  }

  send(batch: Batch, first: number): number {
    this.#throwFailure();
    const { bytes, offset, length, offload, count, address } = batch;
    let next = first;
    while (next < count) {
      const at = offset[next];
      putVirtioNetHeader(bytes, at, length[next], offload[next]);
      const size = VIRTIO_NET_HEADER + length[next];
      if (this.#libc.write(this.#fd, address + at - VIRTIO_NET_HEADER, size) < 0) {
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

  countDrops(count: DropCounter): void {
    this.#drops.count(count);
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#poll.close();
    this.#drops.close();
    this.#events?.close();
    // Who attaches to a TAP that stays may know no large frames.
    if (this.#offloads && !this.device.created) disableOffloads(this.#libc, this.#fd);
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
  return new TapPort(libc, `${option} ${name}`, device, EGRESS);
}
