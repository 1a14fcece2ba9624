/** A lab for rules by name: dnsmasq resolves, a web server has several names on one address, and a guest looks them up. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { ControlClient } from "../../../src/control/client.ts";
import { lease } from "./clients.ts";
import { ControlPath } from "./control.ts";
import type { Guest } from "./guest.ts";
import type { Namespace } from "./netns.ts";
import type { Program } from "./program.ts";
import { DhcpServer } from "./servers.ts";
import { DNS_SERVER, INTERNET, INTERNET_2, Lab, NEIGHBOUR, tool } from "./topology.ts";

/** Seconds after which a program that hears nothing gives up; what is refused ends at once. */
export const GIVES_UP = 20;

export interface NameScene {
  readonly lab: Lab;
  readonly guest: Guest;
  readonly client: ControlClient | undefined;
  /** Softnet's control socket. */
  readonly control: string;
  /** Runs a program of the guest's, which resolves by the lab's server. */
  run(command: string, ...args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }>;
}

/** Runs programs of a guest's, which resolve by this server; default: the lab's. */
export function runNamed(lab: Lab, guest: Guest, server: string = DNS_SERVER): NameScene["run"] {
  const resolvConf = join(lab.directory, `resolv.conf-${server}`);
  writeFileSync(resolvConf, `nameserver ${server}\n`);
  const within = [
    "-m",
    "--propagation",
    "private",
    "sh",
    "-c",
    'mount --bind "$0" /etc/resolv.conf; exec "$@"',
    resolvConf,
  ];
  return (command: string, ...words: readonly string[]) =>
    guest.namespace.run("unshare", [...within, command, ...words]);
}

/** Starts a web server with many names, and what resolves them; `resolver`: instead of dnsmasq. */
export async function startNamed(lab: Lab, resolver?: (lab: Lab) => Promise<unknown>): Promise<void> {
  const key = join(lab.directory, "key.pem");
  const certificate = join(lab.directory, "certificate.pem");
  const subject = ["-subj", "/CN=softnet lab", "-days", "2", "-keyout", key, "-out", certificate];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...subject], { stdio: "ignore" });
  for (const address of [INTERNET, NEIGHBOUR]) {
    const namespace = address === INTERNET ? lab.internet : lab.neighbour;
    await lab.start(namespace, process.execPath, [tool("named-web.ts"), address, key, certificate]).line(/^ready$/);
  }
  const records = [
    ...["good.example.com", "evil.example.com", "target.cdn.example.net"].map(
      (name) => `--host-record=${name},${INTERNET}`,
    ),
    `--host-record=rebind.example.com,${NEIGHBOUR}`,
    `--host-record=metadata.example.com,169.254.169.254`,
    `--host-record=raw.example.com,${INTERNET_2}`,
    `--host-record=pool.example.com,${INTERNET}`,
    `--host-record=pool.example.com,${INTERNET_2}`,
    `--host-record=elsewhere.example.com,${INTERNET_2}`,
    "--cname=alias.example.com,target.cdn.example.net",
  ];
  if (resolver !== undefined) await resolver(lab);
  else await startDnsmasq(lab, lab.neighbour, DNS_SERVER, records);
  await startDnsmasq(lab, lab.internet, INTERNET_2, records);
}

/** Starts dnsmasq as a DNS server that knows nothing but these records, which are options of its own. */
export async function startDnsmasq(
  lab: Lab,
  namespace: Namespace,
  address: string,
  records: readonly string[],
): Promise<Program> {
  const quiet = [
    "--keep-in-foreground",
    "--no-daemon",
    "--no-resolv",
    "--no-hosts",
    "--conf-file=/dev/null",
    "--pid-file=",
  ];
  const listens = ["--bind-interfaces", `--listen-address=${address}`, "--local-ttl=0"];
  const program = lab.start(namespace, "dnsmasq", [...quiet, ...listens, ...records]);
  await program.line(/started/);
  return program;
}

/** `resolver`: starts another announced DNS server in dnsmasq's place. `more`: more options of softnet. */
export async function openNameScene(
  t: TestContext,
  only?: string,
  resolver?: (lab: Lab) => Promise<unknown>,
  more: readonly string[] = [],
): Promise<NameScene> {
  const lab = Lab.open(t);
  await DhcpServer.start(lab, "dhcpd");
  await startNamed(lab, resolver);

  const control = new ControlPath(lab);
  const args = only === undefined ? [] : [...control.options, "--only", only, ...more];
  const guest = await lab.guest({ bare: only === undefined, args });
  await lease(guest);
  const client = only === undefined ? undefined : await control.client();
  t.after(() => client?.close());
  const run = runNamed(lab, guest);
  return { lab, guest, client, control: control.path, run };
}

export const CURL = ["-sSk", "--max-time", String(GIVES_UP), "-4"];
/** Counters of drops on the way out. */
export async function dropsOf(client: ControlClient): Promise<Record<string, number>> {
  const status = (await client.ask("softnet.status")) as unknown as {
    counters: { egress: { drops: Record<string, number> } };
  };
  return status.counters.egress.drops;
}
