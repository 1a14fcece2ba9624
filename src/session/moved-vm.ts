/**
 * Whether the VM has moved to another host: live migration. The address goes with it, so giving it back to the DHCP server,
 * as softnet does when its VM goes away, would take it from a running VM.
 *
 * Where a VM is started again after a migration, its hypervisor sends announcements from the VM's MAC address there (QEMU:
 * RARP, or gratuitous ARP), for the switches to learn the new place; only then does the old one end. So a frame from the VM's
 * own MAC that comes from the network shortly before the VM goes away says that it lives on elsewhere. The guard drops such
 * frames (ethernet.source); what they carry does not matter. Who forges one keeps an address taken until its lease is over,
 * no more.
 */
import type { FrameView } from "../wire/frame-view.ts";

/** Microseconds: from the announcement to the end of the VM's old place, with a slow manager of both. */
const RECENT = 60_000_000;

export class MovedVm {
  readonly #mac: number;
  #lastSeen = Number.NEGATIVE_INFINITY;

  /** `mac`: the VM's, 48 bits. */
  constructor(mac: number) {
    this.#mac = mac;
  }

  /** A frame from the network that the guard dropped for its source; `time` in microseconds. */
  note(time: number, view: FrameView): void {
    if (view.sourceMac === this.#mac) this.#lastSeen = time;
  }

  /** Whether a frame of the VM's came from the network's side just before `time`. */
  hasMoved(time: number): boolean {
    return time - this.#lastSeen <= RECENT;
  }
}
