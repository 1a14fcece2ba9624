/** A lab's host that learns its own IPv6 route from a router's advertisements, for tests of networks of the VM's own with IPv6. */
import assert from "node:assert/strict";
import type { Guest } from "./guest.ts";
import { hostState, natGuest, started, withoutCards } from "./nat.ts";
import { openLab, PYTHON } from "./nat-scenes.ts";
import type { Namespace } from "./netns.ts";
import { type Program, until } from "./program.ts";
import { type Lab, tool } from "./topology.ts";

/** The link between host and internet: the host makes itself an address there. */
const LINK = "2001:db8:1::";
/** A machine in the internet. */
export const INTERNET6 = "2620:fe::fe";

interface Scene {
  readonly lab: Lab;
  /** The router of the host's uplink. */
  readonly router: Program;
}

/** A host with IPv6 of its own; `lifetime` 0: its router is none. */
export async function scene(t: Parameters<typeof openLab>[0], lifetime = 1800): Promise<Scene> {
  const lab = openLab(t);
  for (const namespace of [lab.host, lab.internet]) {
    namespace.sysctl({ "net/ipv6/conf/all/disable_ipv6": "0", "net/ipv6/conf/default/disable_ipv6": "0" });
  }
  lab.internet.sysctl({ "net/ipv6/conf/all/forwarding": "1" });
  lab.internet.ipBatch([`address add ${LINK}1/64 dev up0 nodad`, `address add ${INTERNET6}/128 dev lo nodad`]);
  const router = lab.start(lab.internet, PYTHON, [tool("router.py"), "up0", LINK], { input: true });
  if (lifetime !== 1800) router.write(`${lifetime}\n`);
  await until("the host has an address", () => uplinkOf(lab) !== undefined);
  if (lifetime > 0) await until("the host has a route", () => hasRoute(lab.host));
  return { lab, router };
}

interface Address {
  readonly addr_info?: readonly {
    readonly family: string;
    readonly local?: string;
    readonly scope: string;
    readonly tentative?: boolean;
  }[];
}

/** The global addresses of a link that are ready. */
export function addresses(namespace: Namespace, link: string): string[] {
  return namespace
    .ipJson<Address>("-6", "address", "show", "dev", link)
    .flatMap(({ addr_info = [] }) => addr_info)
    .flatMap(({ local, scope, tentative }) => (scope === "global" && !tentative && local ? local : []));
}

/** The host's own address on its uplink. */
export const uplinkOf = (lab: Lab): string | undefined => addresses(lab.host, "up0")[0];

export const hasRoute = (namespace: Namespace): boolean =>
  namespace.ip("-6", "route", "show", "default").includes("proto ra");

/** hostState with IPv6's settings and routes, which count their seconds down. */
export async function state(host: Namespace): Promise<unknown> {
  const all = ["-a", "-r", String.raw`^net\.ipv6\.conf\..*\.(forwarding|accept_ra|disable_ipv6)$`];
  const routes = host.ip("-6", "route", "show", "table", "all").replace(/ expires \d+sec/g, "");
  return {
    ...(await hostState(host)),
    settings6: withoutCards((await host.run("sysctl", all)).stdout),
    routes6: withoutCards(routes),
  };
}

export async function asBefore6(host: Namespace, before: unknown): Promise<void> {
  const wanted = JSON.stringify(before, null, 1);
  let now = "";
  const isAsBefore = async (): Promise<boolean> => {
    now = JSON.stringify(await state(host), null, 1);
    return now === wanted;
  };
  await until("the host is as it was", isAsBefore).catch(() => assert.equal(now, wanted));
}

/** A guest on a network of its own, with a real softnet with `--ipv6`. */
export const guest6 = (lab: Lab, ...args: string[]): Promise<Guest> => natGuest(lab, ["--ipv6", ...args]);

/** The guest's prefix, `fdXX:X:X:X::`, and its router's address in it. */
export const prefixOf = (guest: Guest): string => String(started(guest).prefix6).replace("/64", "");
export const routerOf = (guest: Guest): string => `${prefixOf(guest)}1`;

/** The address that the guest makes itself by softnet's advertisement (RFC 4862); `prefix`: in that one only. */
export async function addressIn(guest: Guest, prefix = "fd00::"): Promise<string> {
  const begin = prefix === "fd00::" ? "fd" : prefix.replace(/::$/, ":");
  let own: string | undefined;
  await until("the guest has an address and a route", () => {
    own = addresses(guest.namespace, guest.link).find((address) => address.startsWith(begin));
    return own !== undefined && hasRoute(guest.namespace);
  });
  return own!;
}

export async function ping6(from: Namespace, to: string, count = 5): Promise<boolean> {
  const { stdout } = await from.run("ping", ["-6", "-c", String(count), "-i", "0.3", "-W", "1", to]);
  return / [1-9]\d* received/.test(stdout);
}
