/**
 * Guests in front of which softnet is attached: their interface on the host was there before, as a container's is (veth) or
 * a hypervisor's (a TAP that another process holds, tools/vmm.py).
 *
 * SOFTNET_LAB_CARD makes every guest behind softnet such a one, so that every scenario of the lab can be played with it.
 */
import type { Guest } from "./guest.ts";
import type { Namespace } from "./netns.ts";
import { BRIDGE, GATEWAY, type Lab, tool } from "./topology.ts";

const PYTHON = "/usr/bin/python3";

/**
 * What the guest's card is: the other end of a veth; or behind a TAP that a stand-in for a hypervisor holds, without
 * offloads as old QEMU does, or with the virtio-net header and offloads as Firecracker does.
 */
export const CARDS = ["veth", "tap", "tap-offloads"] as const;
export type Card = (typeof CARDS)[number];

/** What SOFTNET_LAB_CARD says. */
export function cardOfAll(): Card | undefined {
  return CARDS.find((card) => card === process.env.SOFTNET_LAB_CARD);
}

export interface CardPlace {
  readonly namespace: Namespace;
  /** The card's name in the guest's namespace. */
  readonly link: string;
  readonly mac: string;
  /** Whether the interface on the host is on the lab's bridge. */
  readonly bridged: boolean;
}

/** Makes a card without softnet. Returns the name of its interface on the host. */
export async function makeCard(lab: Lab, card: Card, { namespace, link, mac, bridged }: CardPlace): Promise<string> {
  const port = `a-${link}`;
  const guest = ["type", "veth", "peer", "name", link, "address", mac, "netns", namespace.name];
  if (card === "veth") {
    lab.host.ip("link", "add", port, ...guest);
  } else {
    const within = lab.namespace("vmm");
    within.ip("link", "add", "card", ...guest);
    if (card === "tap") await namespace.run(PYTHON, [tool("plain_card.py"), link]);
    const args = [port, within.name, "card", ...(card === "tap" ? [] : ["--offloads"])];
    await lab.start(lab.host, PYTHON, [tool("vmm.py"), ...args], { label: "vmm" }).line(/^ready$/);
  }
  lab.host.ipBatch([`link set ${port} ${bridged ? `master ${BRIDGE} ` : ""}up`]);
  return port;
}

/** A guest on the bridge with a static address that softnet knows, attached to the interface `port`. */
export async function attachedGuest(
  lab: Lab,
  address: string,
  card: Card = "veth",
  args: readonly string[] = [],
): Promise<Guest & { readonly port: string }> {
  const known = ["--vm-ip-address", address, "--gateway", GATEWAY];
  const guest = await lab.guest({ card, bare: false, address: `${address}/24`, args: [...known, ...args] });
  return Object.assign(guest, { port: `a-${guest.link}` });
}

/** The bridge that an interface of the host is on. */
export function masterOf(host: Namespace, link: string): string | undefined {
  return host.ipJson<{ master?: string }>("link", "show", link)[0]?.master;
}
