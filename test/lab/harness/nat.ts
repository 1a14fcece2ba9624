/** Guests on networks of their own: `--vm-net-type nat` and `host` on the lab's host. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { type Card, cardOfAll, makeCard } from "./attached.ts";
import { Guest } from "./guest.ts";
import type { Namespace } from "./netns.ts";
import { until } from "./program.ts";
import { offloadArguments, Softnet } from "./softnet.ts";
import { INTERNET, type Lab } from "./topology.ts";

let created = 0;

/** Starts softnet with a network of the VM's own and moves its TAP into a guest. */
export async function natGuest(lab: Lab, args: readonly string[] = [], dns = INTERNET): Promise<Guest> {
  const number = ++created;
  const link = `nvm${number}`;
  const mac = `7e:1a:00:00:01:${number.toString(16).padStart(2, "0")}`;
  const servers = [...offloadArguments(), ...(args.includes("host") ? [] : ["--dns", dns])];
  const card = cardOfAll();
  if (card !== undefined) return await attachedNatGuest(lab, card, { link, mac, args: [...servers, ...args] });
  const softnet = Softnet.start(lab, lab.host, ["--vm-tap", link, "--vm-mac-address", mac, ...servers, ...args]);
  await softnet.ready();
  const namespace = lab.namespace(link);
  lab.host.ip("link", "set", link, "netns", namespace.name);
  namespace.ip("link", "set", link, "up");
  return Guest.at(lab, namespace, link, mac, softnet);
}

/** The same, with softnet attached to a card that was there before. */
export async function attachedNatGuest(
  lab: Lab,
  card: Card,
  { link, mac, args }: { readonly link: string; readonly mac: string; readonly args: readonly string[] },
): Promise<Guest> {
  const namespace = lab.namespace(link);
  const port = await makeCard(lab, card, { namespace, link, mac, bridged: false });
  const type = args.includes("--vm-net-type") ? [] : ["--vm-net-type", "nat"];
  const softnet = Softnet.start(lab, lab.host, ["attach", port, "--vm-mac-address", mac, ...type, ...args]);
  await softnet.ready();
  namespace.ip("link", "set", link, "up");
  return Guest.at(lab, namespace, link, mac, softnet);
}

/** What a started softnet tells about itself. */
export function started(guest: Guest): Readonly<Record<string, unknown>> {
  return guest.softnet!.records.find(({ message }) => message === "started")!;
}

/** The name of the TAP on the host. */
export function tapOf(guest: Guest): string {
  return String(started(guest).port).replace(/^TAP (\S+).*$/, "$1");
}

/** The process that helps all softnets of a host; undefined where there is none. */
export function helperOf(host: Namespace): number | undefined {
  const inode = statSync(`/run/netns/${host.name}`).ino;
  return readdirSync("/proc")
    .map(Number)
    .find((pid) => {
      try {
        const isHelper = readFileSync(`/proc/${pid}/comm`, "latin1").trim() === "softnet-helper";
        return isHelper && statSync(`/proc/${pid}/ns/net`).ino === inode;
      } catch {
        return false; // no process, or none any more
      }
    });
}

/** Everything on a host that softnet touches: links, addresses, routes, rules, forwarding. */
export async function hostState(host: Namespace): Promise<Readonly<Record<string, unknown>>> {
  const all = ["-a", "-r", String.raw`^net\.ipv4\.(ip_forward|conf\..*\.(forwarding|accept_redirects))$`];
  const { code, stdout: rules } = await host.run("nft", ["list", "ruleset"]);
  const settings = (await host.run("sysctl", all)).stdout;
  return {
    links: host.links().filter((name) => !CARD.test(name)),
    addresses: withoutCards(host.ip("-brief", "address")),
    routes: host.ip("route", "show", "table", "all"),
    neighbours: host.ip("rule", "show"),
    rules: code === 0 ? rules : `nft ended with ${code}`, // 1.0.6 may crash over a table that has an owner
    settings: withoutCards(settings),
  };
}

/** Interfaces of attached guests (attached.ts), which were there before softnet and are there afterwards. */
const CARD = /(^|[ .])a-[a-z]+\d+/;

/** A listing of links without theirs. */
export function withoutCards(text: string): string {
  return text
    .split("\n")
    .filter((line) => !CARD.test(line))
    .join("\n");
}

/** Waits until the host is as it was; throws with the difference. */
export async function asBefore(host: Namespace, before: unknown): Promise<void> {
  const wanted = JSON.stringify(before, null, 1);
  let now = "";
  try {
    await until("the host is as it was", async () => {
      now = JSON.stringify(await hostState(host), null, 1);
      return now === wanted;
    });
  } catch {
    throw new Error(`the host is not as it was:\n${wanted}\n${now}`);
  }
}
