/** The options that a DHCP server's answers carry, the honest one's as the forger's. */
import { put32 } from "../wire/bytes.ts";
import {
  OPTION_DNS_SERVER,
  OPTION_LEASE_TIME,
  OPTION_MESSAGE_TYPE,
  OPTION_ROUTER,
  OPTION_SERVER_IDENTIFIER,
  OPTION_SUBNET_MASK,
} from "../wire/dhcp.ts";

/** Addresses are numbers in host order. */
export interface ServerAnswer {
  readonly server: number;
  readonly netmask: number;
  readonly router: number;
  readonly dns: number;
  readonly leaseSeconds: number;
}

export function serverOptions(type: number, answer: ServerAnswer): [code: number, value: Uint8Array][] {
  return [
    [OPTION_MESSAGE_TYPE, Uint8Array.of(type)],
    [OPTION_SERVER_IDENTIFIER, fourBytes(answer.server)],
    [OPTION_LEASE_TIME, fourBytes(answer.leaseSeconds)],
    [OPTION_SUBNET_MASK, fourBytes(answer.netmask)],
    [OPTION_ROUTER, fourBytes(answer.router)],
    [OPTION_DNS_SERVER, fourBytes(answer.dns)],
  ];
}

/** A 32-bit option value: an address, or seconds. */
export function fourBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  put32(bytes, 0, value);
  return bytes;
}
