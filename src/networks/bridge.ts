/**
 * `--bridge NAME`: a TAP put on a bridge that is there already (libvirt's, LXD's, one with the LAN's card on it). Who
 * serves DHCP there and who is the gateway is learned from the VM's own traffic.
 *
 * - Isolation (bridge(8), `isolated on`) and the separation from open ports (separation.ts) stand before the interface goes
 *   up, so that no frame passes without them.
 * - The TAP's own MAC address begins with fe:ff: a bridge without a fixed address takes the lowest one among its ports,
 *   and must not change its address because a VM comes or goes.
 * - The TAP has no IPv6 address of its own: the host would otherwise talk to the VM through it.
 * - Nothing has to be undone: the TAP, and with it all of this, goes with the descriptor, also after SIGKILL.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { changeLinks, type LinkChanges } from "../native/linux/link-changes.ts";
import { LinkEvents } from "../native/linux/link-events.ts";
import { type Link, Links } from "../native/linux/links.ts";
import { TapPort } from "../ports/tap.ts";
import { createTap, setHardwareAddress, type TapDevice } from "../ports/tap-device.ts";
import { INGRESS } from "../relay/direction.ts";
import { PortClosed } from "../relay/port.ts";
import { UserError } from "../user-error.ts";
import { warnOfFilteredBridge } from "./bridge-filter.ts";
import type { Network } from "./network.ts";
import { type OnPortState, PortState } from "./port-state.ts";
import { separate } from "./separation.ts";

export interface BridgeOptions {
  /** The bridge's name. */
  readonly bridge: string;
  /** Whether this port may exchange frames with ports that are not isolated alone. */
  readonly isolated: boolean;
  /** IPv6, too. */
  readonly ipv6?: boolean;
  /** The TAP's own MAC address, six bytes in hexadecimal, where it matters. */
  readonly address?: string;
  /** The number that the TAP shall have, where it matters. */
  readonly tapIndex?: number;
  /** Called when frames can pass between TAP and bridge, or cannot, for reasons of the bridge's. */
  readonly onPortState?: OnPortState;
  /** Tells what the user should know. */
  readonly warn: (message: string) => void;
}

/** Puts a new TAP on the bridge. Rejects with UserError when there is no such bridge, no permission, or no `ip`. */
export async function openBridge(libc: LinuxLibc, options: BridgeOptions): Promise<Network> {
  const { bridge: name, isolated, ipv6 = false, warn } = options;
  const links = new Links(libc);
  let device: TapDevice | undefined;
  try {
    const bridge = findBridge(links, name);
    device = createTap(libc, `--bridge ${name}`, options.tapIndex);
    attach(libc, device, bridge, options);
    await warnOfFilteredBridge({ tap: device.name, bridge: bridge.name, ipv6 }, warn);
    const index = libc.if_nametoindex(device.name);
    const label = `TAP ${device.name} on bridge ${name}`;
    const state = new PortState(device.name, bridge.name, options.onPortState);
    const look = (): void => state.note(inspect(links, label, index, bridge));
    const port = new TapPort(libc, label, device, INGRESS, look, LinkEvents.open(libc, index));
    look(); // what was before the first event
    const close = (): void => {
      port.close();
      links.close();
    };
    const identity = `bridge ${name}`;
    return { label: identity, identity, port, isolated, mtu: bridge.mtu, close: once(close) };
  } catch (error) {
    if (device !== undefined) libc.close(device.fd);
    links.close();
    throw error;
  }
}

function findBridge(links: Links, name: string): Link {
  const bridge = /^[^\s/:%]{1,15}$/.test(name) ? links.byName(name) : undefined;
  if (bridge === undefined) {
    throw new UserError(`--bridge ${name}: there is no such bridge; "ip link show type bridge" lists those there are`);
  }
  if (bridge.kind !== "bridge") {
    throw new UserError(
      `--bridge ${name}: this interface is not a bridge; "ip link show type bridge" lists those there are`,
    );
  }
  return bridge;
}

function attach(libc: LinuxLibc, device: TapDevice, bridge: Link, { address, isolated }: BridgeOptions): void {
  setHardwareAddress(libc, device, address === undefined ? highAddress() : Buffer.from(address, "hex"));
  const index = libc.if_nametoindex(device.name);
  const change = (changes: (links: LinkChanges) => void): void => {
    try {
      changeLinks(libc, changes);
    } catch (error) {
      const why = (error as Error).message;
      throw new UserError(`--bridge ${bridge.name}: the TAP cannot be put on the bridge: ${why}; run softnet as root`);
    }
  };
  change((links) => {
    if (existsSync("/proc/sys/net/ipv6")) links.withoutIPv6Address(index);
    links.setMtu(index, bridge.mtu);
    links.setMaster(index, bridge.index);
    links.setIsolated(index, isolated);
  });
  try {
    separate(libc, index, isolated);
  } catch (error) {
    const why = `${(error as Error).message}; it needs a kernel with CONFIG_NET_CLS_BPF (module cls_bpf)`;
    throw new UserError(`--bridge ${bridge.name}: the VM cannot be kept apart from others: ${why}`);
  }
  change((links) => links.up(index));
}

function highAddress(): Uint8Array {
  const address = randomBytes(6);
  address[0] = 0xfe;
  address[1] = 0xff; // above libvirt's, too, which begin with fe:54:00
  return address;
}

/** Returns what the TAP is now. Throws PortClosed unless it is still a port of that bridge. */
function inspect(links: Links, label: string, index: number, bridge: Link): Link {
  const tap = links.byIndex(index);
  if (tap === undefined) throw new PortClosed(label, "the TAP was deleted, or moved to another network namespace");
  if (tap.master === bridge.index) return tap;
  const gone = links.byIndex(bridge.index) === undefined;
  throw new PortClosed(label, gone ? `bridge ${bridge.name} is gone` : `the TAP was taken off bridge ${bridge.name}`);
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}
