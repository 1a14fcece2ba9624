/** ARP for IPv4 over Ethernet (RFC 826). Offsets count from the packet's first byte, behind the Ethernet header. */
import { getMac, putMac } from "./address.ts";
import { get16, get32, put16, put32 } from "./bytes.ts";

const HARDWARE_TYPE = 0;
const PROTOCOL_TYPE = 2;
const HARDWARE_LENGTH = 4;
const PROTOCOL_LENGTH = 5;
const OPERATION = 6;
const SENDER_HARDWARE = 8;
const SENDER_PROTOCOL = 14;
const TARGET_HARDWARE = 18;
const TARGET_PROTOCOL = 24;

/** Bytes of an ARP packet with these address lengths; what follows is padding. */
export const ARP_LENGTH = 28;

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

/** Whether `length` bytes contain an ARP packet for Ethernet and IPv4: then all other functions here stay in bounds. */
export function isArpForIPv4(bytes: Uint8Array, packet: number, length: number): boolean {
  return (
    length >= ARP_LENGTH &&
    get16(bytes, packet + HARDWARE_TYPE) === 1 &&
    get16(bytes, packet + PROTOCOL_TYPE) === 0x0800 &&
    bytes[packet + HARDWARE_LENGTH] === 6 &&
    bytes[packet + PROTOCOL_LENGTH] === 4
  );
}

export const arpOperation = (bytes: Uint8Array, packet: number): number => get16(bytes, packet + OPERATION);
export const senderHardwareAddress = (bytes: Uint8Array, packet: number): number =>
  getMac(bytes, packet + SENDER_HARDWARE);
export const senderProtocolAddress = (bytes: Uint8Array, packet: number): number =>
  get32(bytes, packet + SENDER_PROTOCOL);
export const targetHardwareAddress = (bytes: Uint8Array, packet: number): number =>
  getMac(bytes, packet + TARGET_HARDWARE);
export const targetProtocolAddress = (bytes: Uint8Array, packet: number): number =>
  get32(bytes, packet + TARGET_PROTOCOL);

export interface ArpFields {
  readonly operation: number;
  readonly senderHardware: number;
  readonly senderProtocol: number;
  readonly targetHardware: number;
  readonly targetProtocol: number;
}

export function emitArp(fields: ArpFields): Uint8Array {
  const packet = new Uint8Array(ARP_LENGTH);
  put16(packet, HARDWARE_TYPE, 1);
  put16(packet, PROTOCOL_TYPE, 0x0800);
  packet[HARDWARE_LENGTH] = 6;
  packet[PROTOCOL_LENGTH] = 4;
  put16(packet, OPERATION, fields.operation);
  putMac(packet, SENDER_HARDWARE, fields.senderHardware);
  put32(packet, SENDER_PROTOCOL, fields.senderProtocol);
  putMac(packet, TARGET_HARDWARE, fields.targetHardware);
  put32(packet, TARGET_PROTOCOL, fields.targetProtocol);
  return packet;
}
