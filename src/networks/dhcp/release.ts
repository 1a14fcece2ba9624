/**
 * A DHCPRELEASE in the VM's name (RFC 2131 4.4.4, 4.4.6), so that the server has its address back at once when the VM
 * ends, and not only when the lease is over. Servers look a lease up by the client identifier where there is one, else by
 * hardware type and address, so the message carries exactly those with which the VM asked.
 */
import { randomBytes } from "node:crypto";
import type { BoundIPv4Address } from "../../guard/types.ts";
import type { Batch } from "../../relay/batch.ts";
import type { FramePort } from "../../relay/port.ts";
import { BROADCAST_MAC, isGroupMac } from "../../wire/address.ts";
import { put32 } from "../../wire/bytes.ts";
import {
  BOOT_REQUEST,
  DHCP_CLIENT_PORT,
  DHCP_RELEASE,
  DHCP_SERVER_PORT,
  emitDhcp,
  OPTION_CLIENT_IDENTIFIER,
  OPTION_MESSAGE_TYPE,
  OPTION_SERVER_IDENTIFIER,
} from "../../wire/dhcp.ts";
import { emitEthernet, TYPE_IPV4 } from "../../wire/ethernet.ts";
import { emitUdp } from "../../wire/udp.ts";
import { COMPLETE } from "../../wire/virtio-net.ts";

/** Whether there is something to give back: an address that was learned from the network's own server. */
export function isReleasable(bound: BoundIPv4Address | undefined): bound is BoundIPv4Address {
  return bound?.origin === "snooped" && bound.server !== 0;
}

/** The frame that gives the address of the VM with this MAC address back to its server. `xid`: 32 bits. */
export function releaseFrame(mac: number, bound: BoundIPv4Address, xid: number): Uint8Array {
  const { address, server, acknowledged } = bound;
  const identifier = acknowledged?.clientIdentifier;
  const message = emitDhcp({
    op: BOOT_REQUEST,
    xid,
    chaddr: mac,
    ciaddr: address,
    options: [
      [OPTION_MESSAGE_TYPE, Uint8Array.of(DHCP_RELEASE)],
      [OPTION_SERVER_IDENTIFIER, word(server)],
      ...(identifier === undefined ? [] : [[OPTION_CLIENT_IDENTIFIER, identifier] as const]),
    ],
  });
  const ports = { sourcePort: DHCP_CLIENT_PORT, destinationPort: DHCP_SERVER_PORT };
  const packet = emitUdp({ source: address, destination: server, ...ports }, message);
  return emitEthernet(nextHop(bound), mac, TYPE_IPV4, packet);
}

/** From where the last ACK came: the server, or the router or relay before it. */
function nextHop({ acknowledged }: BoundIPv4Address): number {
  const mac = acknowledged?.sourceMac ?? 0;
  return mac === 0 || isGroupMac(mac) ? BROADCAST_MAC : mac;
}

/** Sends the RELEASE through the network's port, once: it has no answer. The batch's frames are overwritten. */
export function sendRelease(port: FramePort, batch: Batch, mac: number, bound: BoundIPv4Address): void {
  sendFrame(port, batch, releaseFrame(mac, bound, randomBytes(4).readUInt32BE()));
}

/** Sends one frame through a port; false where it is too long for the batch's slots, whose frames are overwritten. */
export function sendFrame(port: FramePort, batch: Batch, frame: Uint8Array): boolean {
  if (frame.length > batch.slotSize) return false; // an MTU below what DHCP needs
  const at = batch.slotOffset(0);
  batch.bytes.set(frame, at);
  batch.offset[0] = at;
  batch.length[0] = frame.length;
  batch.offload[0] = COMPLETE;
  batch.count = 1;
  port.send(batch, 0);
  return true;
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  put32(bytes, 0, value);
  return bytes;
}
