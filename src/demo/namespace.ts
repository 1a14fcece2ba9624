/**
 * A network namespace, which is a machine of its own as far as the network goes. Its name carries the demo's process id,
 * so that two demos do not meet, and so that what a killed one left behind is recognised and removed by the next.
 */
import { statSync } from "node:fs";
import { loadLibc } from "../native/linux/libc.ts";
import { linuxRegistry } from "../registry/linux.ts";
import { forgetNetworks } from "../registry/sweep.ts";
import { sweepControlPaths } from "./control-path.ts";
import { ip } from "./ip.ts";

const PREFIX = "softnet-demo";
const NAME = /^softnet-demo-(\d+)-/;

/** As `ip -json address` tells it. */
interface Link {
  /** The MAC address. */
  readonly address?: string;
  readonly addr_info?: readonly { readonly local?: string }[];
}

export class Namespace {
  readonly name: string;

  constructor(role: string) {
    this.name = `${PREFIX}-${process.pid}-${role}`;
    ip(["netns", "add", this.name]);
  }

  /** `ip -n NAME …`. */
  ip(...args: readonly string[]): string {
    return ip(["-n", this.name, ...args]);
  }

  /** Many `ip` commands in one go; the first that fails throws. */
  batch(commands: readonly string[]): void {
    ip(["-n", this.name, "-batch", "-"], `${commands.join("\n")}\n`);
  }

  /** The MAC address that the kernel here believes an IPv4 address to have. */
  macOf(address: string): string | undefined {
    const text = this.ip("-json", "neighbour", "show", address).trim();
    return text === "" ? undefined : (JSON.parse(text) as { lladdr?: string }[])[0]?.lladdr;
  }

  /** The MAC address of the link here that has an IPv4 address. */
  ownMac(address: string): string {
    const links: Link[] = JSON.parse(this.ip("-json", "address", "show"));
    const mac = links.find((link) => link.addr_info?.some(({ local }) => local === address))?.address;
    if (mac === undefined) throw new Error(`${this.name}: no link has the address ${address}`);
    return mac;
  }

  /** Deletes it, and with its last process every link in it; no softnet runs in it any more. */
  delete(): void {
    const scope = `network namespace ${statSync(`/run/netns/${this.name}`).ino}`;
    forgetNetworks(linuxRegistry(loadLibc()), (network) => `${network} `.includes(`${scope} `));
    ip(["netns", "delete", this.name]);
  }
}

/** Removes the namespaces and sockets of demos that are no more, and ends what still runs in them. */
export function sweep(): void {
  sweepControlPaths(isAlive);
  for (const line of ip(["netns", "list"]).split("\n")) {
    const name = line.split(" ")[0]!;
    const owner = NAME.exec(name)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    try {
      for (const pid of ip(["netns", "pids", name]).split("\n")) if (pid !== "") process.kill(Number(pid), "SIGKILL");
      ip(["netns", "delete", name]);
    } catch {
      // Another demo was quicker.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
