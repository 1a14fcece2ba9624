/** DHCP clients in guests: Debian's udhcpc and dhclient, with event scripts that touch only the guest's card. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Guest } from "./guest.ts";
import type { Program } from "./program.ts";
import { tool } from "./topology.ts";

/** What a client's script told about a lease. */
export interface LeaseEvent {
  /** udhcpc: bound, renew, nak, deconfig, leasefail; dhclient: BOUND, RENEW, REBIND, REBOOT, EXPIRE, RELEASE … */
  readonly event: string;
  readonly address: string;
  readonly router: string;
  readonly dns: string;
  /** Seconds. */
  readonly lease: number;
  readonly server: string;
}

export class DhcpClient {
  readonly program: Program;

  constructor(program: Program) {
    this.program = program;
  }

  /** Every event so far. */
  get events(): LeaseEvent[] {
    return this.program.lines.filter((line) => line.startsWith("EVENT ")).map(parseEvent);
  }

  /** Waits for the next event of one of these names, counted from event number `from` on. */
  async event(names: RegExp, timeout?: number, from = 0): Promise<LeaseEvent> {
    const pattern = new RegExp(`^EVENT (?:${names.source}) `);
    const seen = this.program.lines.flatMap((line, index) => (line.startsWith("EVENT ") ? [index] : []));
    const first = from === 0 ? 0 : (seen[from] ?? this.program.lines.length);
    return parseEvent(await this.program.line(pattern, timeout, first));
  }
}

function parseEvent(line: string): LeaseEvent {
  const match = /^EVENT (\S+) address=(.*) router=(.*) dns=(.*) lease=(.*) server=(.*)$/.exec(line);
  if (match === null) throw new Error(`not an event: ${line}`);
  const [, event, address, router, dns, lease, server] = match as unknown as string[];
  return { event: event!, address: address!, router: router!, dns: dns!, lease: Number(lease), server: server! };
}

/** Starts udhcpc in the foreground; it stays and renews unless `args` have `-q`. */
export function udhcpc(guest: Guest, ...args: readonly string[]): DhcpClient {
  const fixed = ["-f", "-i", guest.link, "-s", tool("udhcpc.sh"), "-t", "8", "-T", "1", "-A", "1"];
  return new DhcpClient(guest.start("udhcpc", [...fixed, ...args]));
}

/** Gets a lease with udhcpc, which then ends and leaves the address on the card. */
export async function lease(guest: Guest, ...args: readonly string[]): Promise<LeaseEvent> {
  const client = udhcpc(guest, "-q", "-n", ...args);
  const bound = await client.event(/bound/);
  await client.program.ended();
  return bound;
}

/** True when udhcpc gets no lease within `tries` seconds. */
export async function noLease(guest: Guest, tries = 3): Promise<boolean> {
  const fixed = ["-f", "-i", guest.link, "-s", tool("udhcpc.sh"), "-q", "-n", "-T", "1", "-t", String(tries)];
  const client = new DhcpClient(guest.start("udhcpc", fixed));
  await client.program.ended();
  return !client.events.some(({ event }) => event === "bound");
}

/** Starts dhclient in the foreground, with its files in the lab's directory. */
export function dhclient(guest: Guest, ...args: readonly string[]): DhcpClient {
  const config = join(guest.lab.directory, "dhclient.conf");
  writeFileSync(
    config,
    "timeout 20;\nretry 2;\nreboot 10;\ninitial-interval 1;\nbackoff-cutoff 2;\n" +
      "request subnet-mask, routers, domain-name-servers, dhcp-lease-time, dhcp-server-identifier;\n",
  );
  return new DhcpClient(
    guest.start("dhclient", ["-4", "-d", "-v", "-cf", config, ...dhclientFiles(guest), ...args, guest.link]),
  );
}

/** dhclient's options for its own lease file, process id file and script. */
export function dhclientFiles(guest: Guest): string[] {
  const pidFile = join(guest.lab.directory, `dhclient-${guest.link}.pid`);
  return ["-lf", guest.leaseFile, "-pf", pidFile, "-sf", tool("dhclient.sh")];
}
