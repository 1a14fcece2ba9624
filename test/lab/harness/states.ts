/**
 * The states into which a real client can be brought (RFC 2131 figure 5), one after the other, and by which message it
 * is online again in each. What is asked each time: nothing but DHCP and ARP leaves the guest until a server has
 * confirmed its address.
 */
import assert from "node:assert/strict";
import { PATIENCE } from "../../support/patience.ts";
import type { Machine } from "./machine.ts";
import { sleep, until } from "./program.ts";
import type { RealClient } from "./real-clients.ts";
import { DhcpServer, type ServerKind } from "./servers.ts";
import { GATEWAY } from "./topology.ts";
import type { Seen, Watch } from "./watch.ts";

export const STATES = ["bound", "renewed", "rebooted", "restarted", "paused", "stopped", "moved"] as const;

export type State = (typeof STATES)[number];

/** By which message the client got the ACK that put it online, and how long that took. */
export interface Outcome {
  readonly by: string;
  /** Seconds. */
  readonly after: number;
}

export type Outcomes = Partial<Record<State, Outcome>>;

const REQUEST = 3;
const ACK = 5;
const NAK = 6;
const DHCP_SERVER_PORT = 67;
const NOBODY = "0.0.0.0";

/** Milliseconds that a client may take to be online: clients ask more and more seldom where nobody answered. */
const AT_MOST = 2 * PATIENCE;

/** Seconds of the shortest lease that every client takes; dnsmasq gives none shorter than two minutes. */
export const leaseOf = (kind: ServerKind): number => (kind === "dnsmasq" ? 120 : 20);

export class Play {
  readonly machine: Machine;
  readonly #client: RealClient;
  readonly #watch: Watch;
  readonly #kind: ServerKind;
  #server: DhcpServer;

  constructor(machine: Machine, client: RealClient, watch: Watch, kind: ServerKind, server: DhcpServer) {
    this.machine = machine;
    this.#client = client;
    this.#watch = watch;
    this.#kind = kind;
    this.#server = server;
  }

  /** A server with short times for a play. */
  static server(machine: Machine, kind: ServerKind, more: { first?: number; last?: number } = {}): Promise<DhcpServer> {
    const times = kind === "dnsmasq" ? { renewal: 12, rebinding: 24, authoritative: true } : {};
    return DhcpServer.start(machine.lab, kind, { lease: leaseOf(kind), ...times, ...more });
  }

  async bring(state: State): Promise<Outcome> {
    const begin = this.#watch.frames.length;
    const from = performance.now();
    switch (state) {
      case "bound":
        this.machine.run(this.#client);
        return await this.#online(begin, from);
      case "renewed":
        await confirmation(this.#watch, begin);
        assert.ok(await this.machine.ping(GATEWAY), "a renewed guest is offline");
        return await this.#online(begin, from);
      case "rebooted":
        await this.machine.crash();
        this.machine.run(this.#client);
        return await this.#online(begin, from);
      case "restarted":
        await this.machine.restartWithoutRecord();
        return await this.#closedThenOnline();
      case "paused":
        this.machine.pause();
        await this.#overslept();
        this.machine.unplug(false);
        assert.ok(!(await this.machine.ping(GATEWAY)), "online after the lease's end");
        this.machine.resume();
        return await this.#closedThenOnline();
      case "stopped":
        this.machine.softnet.program.signal("SIGSTOP");
        await this.#overslept();
        this.machine.softnet.program.signal("SIGCONT");
        return await this.#closedThenOnline();
      case "moved": {
        await this.#server.stop();
        this.#server = await Play.server(this.machine, this.#kind, { first: 160, last: 190 });
        const { by } = await this.#online(begin, from);
        const refused = this.#watch.frames.slice(begin).some(({ dhcp }) => dhcp?.type === NAK);
        const after = Math.round((performance.now() - from) / 1000);
        return { by: `${refused ? "NAK" : "lease over"}, ${by}`, after };
      }
    }
  }

  /** Waits until whatever lease there is has ended. */
  #overslept(): Promise<void> {
    return sleep((leaseOf(this.#kind) + 3) * 1000);
  }

  async #closedThenOnline(): Promise<Outcome> {
    const begin = this.#watch.frames.length;
    const outcome = await this.#online(begin, performance.now());
    assertClosedUntilConfirmed(this.#watch.frames.slice(begin), this.machine.mac);
    return outcome;
  }

  async #online(begin: number, from: number): Promise<Outcome> {
    const by = await confirmation(this.#watch, begin);
    await until("the guest is online", () => this.machine.ping(GATEWAY), AT_MOST);
    return { by, after: Math.round((performance.now() - from) / 1000) };
  }
}

/** Waits for the first ACK from frame number `begin` on, and returns by what it was asked for. */
export async function confirmation(watch: Watch, begin: number): Promise<string> {
  const index = await until(
    "an ACK",
    () => {
      const at = watch.frames.findIndex(({ dhcp }, index) => index >= begin && dhcp?.type === ACK);
      return at < 0 ? undefined : { at };
    },
    AT_MOST,
  );
  const requests = watch.frames.slice(0, index.at).filter(({ dhcp }) => dhcp?.type === REQUEST);
  const asked = requests.at(-1);
  assert.ok(asked !== undefined, "an ACK that nobody asked for");
  const before = requests.at(-2);
  return isCopyOf(asked, before) ? `${stateOf(before)}, and softnet's own INIT-REBOOT` : stateOf(asked);
}

/** Asserts that a VM sent nothing but DHCP and ARP before a server confirmed its address. */
export function assertClosedUntilConfirmed(frames: readonly Seen[], mac: string): void {
  const confirmed = frames.findIndex(({ dhcp }) => dhcp?.type === ACK);
  const early = frames.slice(0, confirmed).filter((frame) => frame.source === mac && isTraffic(frame));
  assert.deepEqual(early, [], "traffic before a server confirmed the address");
}

function isTraffic({ ip, udp }: Seen): boolean {
  return ip !== undefined && udp?.destination !== DHCP_SERVER_PORT;
}

/** Whether softnet itself asked the client's question again (docs/guard.md, A request of softnet's own). */
function isCopyOf({ dhcp }: Seen, before: Seen | undefined): before is Seen {
  const rebinding = before?.dhcp?.ciaddr;
  return (
    rebinding !== undefined && rebinding !== NOBODY && dhcp?.xid === before?.dhcp?.xid && dhcp?.requested === rebinding
  );
}

/** RFC 2131 4.3.2: what a REQUEST is. */
function stateOf({ dhcp, ip }: Seen): string {
  if (dhcp?.server !== undefined) return "INIT";
  if (dhcp?.ciaddr === NOBODY) return "INIT-REBOOT";
  if (ip?.destination !== "255.255.255.255") return "RENEWING";
  return ip.source === NOBODY ? "REBINDING from 0.0.0.0" : "REBINDING";
}
