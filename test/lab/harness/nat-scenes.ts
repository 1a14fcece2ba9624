/** Scenes of the tests of nat: a lab, servers in it, and what a machine gets from them. */
import assert from "node:assert/strict";
import { LIMIT } from "../../support/patience.ts";
import type { Guest } from "./guest.ts";
import type { Namespace } from "./netns.ts";
import { softnetCommand } from "./softnet.ts";
import { INTERNET, Lab, labNeeds, tool } from "./topology.ts";

export const NEEDS = { ...labNeeds("nft", "udhcpc"), ...LIMIT };
export const MEGABYTE = 1 << 20;
/** The host's address on its uplink: what the internet sees. */
export const UPLINK = "100.64.0.1";
export const PYTHON = "/usr/bin/python3";
/** Of ping(8)'s frames as ping() in guest.ts has it send them. */
export const PING_LENGTH = 98;

export function openLab(t: Parameters<typeof Lab.open>[0], forwarding = "0"): Lab {
  const lab = Lab.open(t);
  lab.host.sysctl({ "net/ipv4/ip_forward": forwarding, "net/ipv4/conf/all/accept_redirects": "1" });
  return lab;
}

export async function listen(lab: Lab, namespace: Namespace, address: string, port: number) {
  const server = lab.start(namespace, PYTHON, [tool("port.py"), "listen", address, String(port)]);
  await server.line(/^ready$/);
  return server;
}

/** What the listener saw as the client's address, or "no: …". */
export async function ask(from: Namespace, address: string, port: number): Promise<string> {
  return (await from.run(PYTHON, [tool("port.py"), "ask", address, String(port)])).stdout.trim();
}

/** What softnet says when it does not start. */
export async function refusal(lab: Lab, ...args: string[]): Promise<string> {
  const all = ["--vm-tap", "refused0", "--vm-mac-address", "7e:1a:00:00:03:01", ...args];
  if (!args.includes("--dns") && !args.includes("host") && !args.includes("--bridge")) all.push("--dns", INTERNET);
  const [command, ...rest] = softnetCommand(all);
  const { code, stderr } = await lab.host.run(command!, rest);
  assert.equal(code, 1, stderr);
  return stderr.trim();
}

/** Whether softnet's log has such a line. */
export function hasLogged(guest: Guest, wanted: RegExp): boolean {
  return guest.softnet!.records.some(({ message }) => wanted.test(String(message)));
}
