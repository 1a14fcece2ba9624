/**
 * Answers from exposed ports (docs/guard.md, Policy). Clients to which policy would not let the VM send appear to it as
 * the gateway; so that those are answered also where a rule blocks the gateway, TCP from an exposed port to the
 * gateway passes as long as it opens no connection. That the host's own kernel takes such a segment only for a
 * connection that was led to the VM, is the network's part (networks/nat/rules.ts).
 */
import { OptionError } from "../user-error.ts";
import { destinationAddress, fragmentBits, IPV4_HEADER, ipProtocol, PROTOCOL_TCP } from "../wire/ipv4.ts";
import { TCP_ACK, TCP_SYN, tcpFlags, tcpSourcePort } from "../wire/tcp.ts";

export class ExposedPorts {
  readonly #ports: ReadonlySet<number>;

  /** Throws OptionError for what is no port. */
  constructor(ports: readonly number[]) {
    for (const port of ports) {
      if (!Number.isInteger(port) || port < 1 || port > 65_535) {
        throw new OptionError("SOFTNET_ERR_EXPOSED_PORT", `the exposed port ${port} is out of range: give 1 to 65535`);
      }
    }
    this.#ports = new Set(ports);
  }

  /** Whether the well-formed packet without options is an answer to the gateway, an address in host order. */
  isAnswer(bytes: Uint8Array, packet: number, gateway: number): boolean {
    if (this.#ports.size === 0 || ipProtocol(bytes, packet) !== PROTOCOL_TCP) return false;
    if (destinationAddress(bytes, packet) !== gateway || fragmentBits(bytes, packet) !== 0) return false;
    const segment = packet + IPV4_HEADER;
    const opens = (tcpFlags(bytes, segment) & (TCP_SYN | TCP_ACK)) === TCP_SYN;
    return !opens && this.#ports.has(tcpSourcePort(bytes, segment));
  }
}
