/** Waits for a DHCP acknowledgement that an accomplice was asked to send, as a dishonest guest's DHCP client does. */
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { openPacketSocket } from "../../native/linux/packet-socket.ts";
import { DHCP_ACK, DHCP_CLIENT_PORT, DhcpMessage } from "../../wire/dhcp.ts";
import { readUdp } from "../frames.ts";
import { type LeaseGiven, leaseOf } from "./dhcp-client.ts";

export interface AwaitedLease {
  readonly link: string;
  readonly xid: number;
  /** Milliseconds. */
  readonly timeout: number;
}

export function awaitLease(libc: LinuxLibc, awaited: AwaitedLease): Promise<LeaseGiven | null> {
  const socket = openPacketSocket(libc, awaited.link);
  const message = new DhcpMessage();
  return new Promise((resolve) => {
    const end = (given: LeaseGiven | null) => {
      clearTimeout(giveUp);
      socket.close();
      resolve(given);
    };
    const giveUp = setTimeout(end, awaited.timeout, null);
    socket.listen((frame) => {
      const udp = readUdp(frame);
      if (udp?.destinationPort !== DHCP_CLIENT_PORT || !message.read(frame, udp.at, udp.length)) return;
      if (message.xid === awaited.xid && message.messageType === DHCP_ACK) end(leaseOf(message));
    });
  });
}
