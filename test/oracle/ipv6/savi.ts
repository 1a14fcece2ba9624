/** How an address may become the VM's, and what softnet asks about it (RFC 6620). */
import { be16, ethernet, join } from "../build.ts";
import { PASS } from "../bytes.ts";
import { ALL_ROUTERS, addressBytes, isLinkLocal, multicastMac, solicitedNode, sum6 } from "./bytes.ts";
import { ICMPV6 } from "./form.ts";
import type { State6 } from "./state.ts";

const SECOND = 1_000_000;
const MOST_WAITING = 4;
const NOBODY = "02:00:00:00:00:00";

/** What keeps an address that may be the VM's from becoming tentative; nothing is taken yet. */
export function mayBecome(six: State6, address: bigint): string {
  if (six.isHeldElsewhere(address)) return "nd.address-held";
  if (!six.addressBucket.has(six.now)) return "nd.address-rate";
  if (!hasPlace(six, address)) return "nd.address-full";
  return PASS;
}

/** A frame from an address that is not the VM's dropped. */
export function askAbout(six: State6, address: bigint): void {
  if (!six.asks || six.find(address) !== undefined || !six.mayBe(address)) return;
  if (six.waiting.length >= MOST_WAITING) {
    six.reach("too many questions wait");
    return;
  }
  if (!hasPlace(six, address) || !six.addressBucket.take(six.now)) return;
  if (six.isHeldElsewhere(address)) return;
  six.add(address, { askedOnly: true, since: Number.POSITIVE_INFINITY });
  six.waiting.push(address);
}

const hasPlace = (six: State6, address: bigint): boolean => isLinkLocal(address) || six.hasPlaces(1);

/** The question that is due now, if there is one. */
export function takeQuestion6(six: State6): Uint8Array | undefined {
  if (!six.asks) return undefined;
  const isKnown = six.router?.end !== undefined || (six.router !== undefined && six.router.found !== "given");
  if (!isKnown && six.ownPrefix === undefined && six.solicitations < 3) {
    if (six.now >= six.nextSolicitation) {
      six.solicitations += 1;
      six.nextSolicitation = six.now + 4 * SECOND;
      six.reach("a question for a router");
      return solicitation(six.state.vmMac, ALL_ROUTERS, join([133, 0, 0, 0, 0, 0, 0, 0]));
    }
  }
  const address = six.waiting.shift();
  if (address !== undefined) {
    six.find(address)!.since = six.now;
    six.reach("a question about an address");
    return neighbourSolicitation(six.state.vmMac, address);
  }
  if (six.fault("no probe before an address ends")) return undefined;
  const probed = six.owned.find(
    ({ valid, origin, used, probes }) =>
      valid && origin === "slaac" && probes < 3 && six.now >= used + (300 + probes) * SECOND,
  );
  if (probed === undefined) return undefined;
  probed.probes += 1;
  six.reach("a probe to the VM");
  return neighbourSolicitation(NOBODY, probed.address);
}

function neighbourSolicitation(mac: string, target: bigint): Uint8Array {
  return solicitation(mac, solicitedNode(target), join([135, 0, 0, 0, 0, 0, 0, 0], addressBytes(target)));
}

function solicitation(mac: string, destination: bigint, body: Uint8Array): Uint8Array {
  body.set(be16(0xffff - sum6(0n, destination, ICMPV6, body)), 2);
  const header = join([0x60, 0, 0, 0], be16(body.length), [ICMPV6, 255], addressBytes(0n), addressBytes(destination));
  return ethernet(multicastMac(destination), mac, 0x86dd, header, body);
}
