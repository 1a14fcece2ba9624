/**
 * Answers from exposed ports (docs/guard.md, Policy). Clients to which policy would not let the VM send appear to it as
 * the gateway; so that those are answered also where a rule blocks the gateway, TCP from an exposed port to the
 * gateway passes as long as it opens no connection. That the host's own kernel takes such a segment only for a
 * connection that was led to the VM, is the network's part (networks/nat/rules.ts).
 */
import { OptionError } from "../user-error.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { PROTOCOL_TCP } from "../wire/ipv4.ts";
import { isBareSyn } from "../wire/tcp.ts";

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

  /** Whether the packet is an answer to the gateway, an address in host order. */
  isAnswer(view: FrameView, gateway: number): boolean {
    return this.isFromExposed(view) && view.destination === gateway;
  }

  /** Whether the packet is TCP from an exposed port that opens no connection, of either family. */
  isFromExposed(view: FrameView): boolean {
    if (this.#ports.size === 0 || view.protocol !== PROTOCOL_TCP || view.fragmentBits !== 0) return false;
    return !isBareSyn(view.tcpFlags) && this.#ports.has(view.sourcePort);
  }
}
