/** A network that depends on the VM's addresses is told of them. */
import type { Binding, BindingChange } from "../guard/types.ts";
import type { Network } from "../networks/network.ts";

/** At the start: what the VM has from before. */
export function tellBinding(network: Network, binding: Binding): void {
  if (binding.ipv4 !== undefined) network.followAddress?.(binding.ipv4.address);
  if (binding.ipv6.length > 0) tellAll(network, binding);
}

/** `binding`: as it is after the change. */
export function tellChange(network: Network, { kind, bound }: BindingChange, binding: Binding): void {
  if (bound.family === "ipv6") tellAll(network, binding);
  else network.followAddress?.(kind === "lost" ? 0 : bound.address);
}

function tellAll(network: Network, { ipv6 }: Binding): void {
  network.followAddresses6?.(ipv6.map(({ address }) => address));
}
