/** The ports that a rule with a name means where it gives none, whose first bytes say a name: HTTP and TLS. And QUIC's. */
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.ts";

const HTTP_PORT = 80;
const HTTPS_PORT = 443;

export const WEB_PORTS: readonly number[] = Object.freeze([HTTP_PORT, HTTPS_PORT]);

export const isWeb = (protocol: number, port: number): boolean =>
  protocol === PROTOCOL_TCP && (port === HTTP_PORT || port === HTTPS_PORT);

/** HTTP/3 (RFC 9114 3.1.1): its first bytes cannot be read in order, so that clients shall fall back to TCP. */
export const isQuic = (protocol: number, port: number): boolean => protocol === PROTOCOL_UDP && port === HTTPS_PORT;
