/** What becomes of the VM's addresses when its softnet ends in order: their servers get them back (docs/registry.md). */
import type { Guard } from "../guard/guard.ts";
import type { BoundIPv4Address, BoundIPv6Address } from "../guard/types.ts";
import { isReleasable, sendFrame, sendRelease } from "../networks/dhcp/release.ts";
import { leasedOf, releasesOf6 } from "../networks/dhcp/release-6.ts";
import type { Network } from "../networks/network.ts";
import type { Registration } from "../registry/registration.ts";
import type { Batch } from "../relay/batch.ts";
import type { Log } from "../telemetry/log.ts";
import { formatIPv4, parseMac } from "../wire/address.ts";
import { formatIPv6 } from "../wire/ipv6-address.ts";

const MOVED = "the address is not given back: the VM was heard from elsewhere on the network, so it has moved";
const NOT_GIVEN_BACK = "the address could not be given back";

export interface AddressRelease {
  readonly registration: Registration | undefined;
  readonly guard: Guard;
  readonly network: Network;
  /** Free to be overwritten: no relay runs any more. */
  readonly batch: Batch;
  readonly vmMac: string;
  /** The VM lives on elsewhere, with its addresses (moved-vm.ts). */
  readonly movedAway: boolean;
  readonly log: Log;
}

/** Gives the VM's addresses back to the servers that gave them, but those that the VM gave back, and leases that are over. */
export function releaseAddresses(release: AddressRelease): void {
  const { ipv4, ipv6 } = release.guard.binding;
  if (isReleasable(ipv4)) releaseIPv4(release, ipv4);
  if (leasedOf(ipv6).length > 0) releaseIPv6(release, ipv6);
}

function releaseIPv4({ registration, network, batch, vmMac, movedAway, log }: AddressRelease, ipv4: BoundIPv4Address) {
  const address = formatIPv4(ipv4.address);
  if (movedAway) {
    log.info(MOVED, { address });
    return;
  }
  try {
    sendRelease(network.port, batch, parseMac(vmMac) ?? 0, ipv4);
  } catch (error) {
    log.debug(NOT_GIVEN_BACK, { address, why: (error as Error).message });
    return;
  }
  registration?.released();
  log.info("address given back", { address, server: formatIPv4(ipv4.server) });
}

function releaseIPv6({ network, batch, vmMac, movedAway, log }: AddressRelease, ipv6: readonly BoundIPv6Address[]) {
  const leased = leasedOf(ipv6).map(({ address }) => formatIPv6(address));
  if (movedAway) {
    for (const address of leased) log.info(MOVED, { address });
    return;
  }
  const releases = releasesOf6(parseMac(vmMac) ?? 0, ipv6);
  if (releases.length === 0) {
    for (const address of leased) log.debug(NOT_GIVEN_BACK, { address, why: "the VM has no link-local address" });
  }
  for (const { frame, addresses } of releases) {
    const why = whyUnsent(network, batch, frame);
    for (const address of addresses.map(formatIPv6)) {
      if (why === undefined) log.info("address given back", { address });
      else log.debug(NOT_GIVEN_BACK, { address, why });
    }
  }
}

function whyUnsent({ port }: Network, batch: Batch, frame: Uint8Array): string | undefined {
  try {
    return sendFrame(port, batch, frame) ? undefined : "the message is longer than the MTU";
  } catch (error) {
    return (error as Error).message;
  }
}
