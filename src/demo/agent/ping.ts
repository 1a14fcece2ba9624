/** An ICMP echo through the kernel's own stack: the kernel resolves the address and routes, as for any program. */
import { randomInt } from "node:crypto";
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { openIcmpSocket } from "../../native/linux/packet-socket.ts";
import {
  emitIcmpEcho,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_HEADER,
  icmpIdentifier,
  icmpType,
} from "../../wire/icmp.ts";
import { headerLength, IPV4_HEADER } from "../../wire/ipv4.ts";

const REPEAT = 200; // milliseconds
const PAYLOAD = new TextEncoder().encode("are you there?");

/** True as soon as one echo request is answered; false when none is within `timeout` milliseconds. */
export function ping(libc: LinuxLibc, address: number, timeout: number): Promise<boolean> {
  const socket = openIcmpSocket(libc, address);
  const identifier = randomInt(0x10000);
  let sequence = 0;
  const transmit = () => socket.send(emitIcmpEcho(ICMP_ECHO_REQUEST, identifier, sequence++, PAYLOAD));
  return new Promise((resolve) => {
    const repeat = setInterval(transmit, REPEAT);
    const end = (answered: boolean) => {
      clearInterval(repeat);
      clearTimeout(giveUp);
      socket.close();
      resolve(answered);
    };
    const giveUp = setTimeout(end, timeout, false);
    socket.listen((packet) => {
      if (packet.length < IPV4_HEADER) return;
      const message = headerLength(packet, 0);
      if (packet.length < message + ICMP_HEADER) return;
      if (icmpType(packet, message) === ICMP_ECHO_REPLY && icmpIdentifier(packet, message) === identifier) end(true);
    });
    transmit();
  });
}
