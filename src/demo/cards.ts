/** A guest's network card, and what is behind it: the three ways in which the demo shows its guests. */

import type { Cleanup } from "./cleanup.ts";
import { Guest } from "./guest.ts";
import type { Machine } from "./machine.ts";
import type { Namespace } from "./namespace.ts";
import * as plan from "./plan.ts";
import { Softnet } from "./softnet.ts";

/**
 * bare     a veth pair to the bridge
 * bridge   softnet, and behind it the bridge
 * nat      softnet, and behind it a private network of the guest's own
 */
export type Way = "bare" | "bridge" | "nat";

const ON_BRIDGE = { address: plan.GATEWAY, mac: plan.GATEWAY_MAC };

export interface Network {
  readonly way: Way;
  readonly ipv6: boolean;
  /** More options of softnet. */
  readonly more?: readonly string[];
}

/** Gives a guest its card: the end of a veth pair to the bridge, or the TAP of a softnet. */
export async function connect(
  name: string,
  home: Machine,
  host: Namespace,
  mac: string,
  { way, ipv6, more = [] }: Network,
  cleanup: Cleanup,
): Promise<Guest> {
  const link = `card-${name.toLowerCase()}`;
  const parts = { name, ...home, link, mac };
  if (way === "bare") {
    const port = `port-${name.toLowerCase()}`;
    host.batch([
      `link add ${port} type veth peer name ${link} address ${mac} netns ${home.namespace.name}`,
      `link set ${port} master ${plan.BRIDGE} up`,
    ]);
    home.namespace.ip("link", "set", link, "address", mac, "up");
    return new Guest({ ...parts, gateway: ON_BRIDGE });
  }
  const network =
    way === "bridge"
      ? ["--bridge", plan.BRIDGE, ...(ipv6 ? ["--ipv6"] : [])]
      : ["--vm-net-type", "nat", "--dns", plan.GATEWAY];
  const softnet = await Softnet.start(host, { tap: link, mac, network: [...network, ...more] }, cleanup);
  host.ip("link", "set", link, "netns", home.namespace.name);
  home.namespace.ip("link", "set", link, "address", mac, "up");
  const gateway = way === "bridge" ? ON_BRIDGE : { address: softnet.gateway, mac: host.ownMac(softnet.gateway) };
  return new Guest({ ...parts, gateway, softnet });
}
