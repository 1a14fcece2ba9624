/** A network that depends on the VM's addresses: what it is told of them, and when. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Binding, BoundIPv4Address, BoundIPv6Address } from "../../src/guard/types.ts";
import type { Network } from "../../src/networks/network.ts";
import { tellBinding, tellChange } from "../../src/session/network-followers.ts";

const IPV4 = { family: "ipv4", address: 0x0a010206 } as BoundIPv4Address;
const IPV6: BoundIPv6Address = {
  family: "ipv6",
  address: 0xfd00n << 112n,
  origin: "slaac",
  expiry: Number.POSITIVE_INFINITY,
};
const OTHER: BoundIPv6Address = { ...IPV6, address: IPV6.address + 1n };

function follower() {
  const told: unknown[] = [];
  const network = {
    followAddress: (address: number) => told.push(address),
    followAddresses6: (addresses: readonly bigint[]) => told.push([...addresses]),
  } as unknown as Network;
  return { told, network };
}

const bindingOf = (ipv6: readonly BoundIPv6Address[], ipv4?: BoundIPv4Address): Binding => ({
  addresses: ipv4 === undefined ? ipv6 : [ipv4, ...ipv6],
  ipv4,
  ipv6,
});

test("at the start it is told what the VM has from before, and nothing where it has nothing", () => {
  const { told, network } = follower();
  tellBinding(network, bindingOf([]));
  assert.deepEqual(told, []);
  tellBinding(network, bindingOf([IPV6, OTHER], IPV4));
  assert.deepEqual(told, [IPV4.address, [IPV6.address, OTHER.address]]);
});

test("each change is told for its family alone: IPv4's address or 0, all of IPv6's", () => {
  const { told, network } = follower();
  tellChange(network, { kind: "learned", bound: IPV4 }, bindingOf([IPV6], IPV4));
  tellChange(network, { kind: "lost", bound: IPV4, why: "expired" }, bindingOf([IPV6]));
  tellChange(network, { kind: "learned", bound: OTHER }, bindingOf([IPV6, OTHER]));
  tellChange(network, { kind: "lost", bound: IPV6, why: "expired" }, bindingOf([OTHER]));
  assert.deepEqual(told, [IPV4.address, 0, [IPV6.address, OTHER.address], [OTHER.address]]);
});

test("a network that follows neither is told nothing", () => {
  const network = {} as Network;
  tellBinding(network, bindingOf([IPV6], IPV4));
  tellChange(network, { kind: "lost", bound: IPV6, why: "expired" }, bindingOf([]));
});
