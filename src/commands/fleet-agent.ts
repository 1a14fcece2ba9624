/** `softnet fleet agent`: the agent of this host (fleet/agent.ts) as a process, until it is ended. */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { Agent } from "../fleet/agent.ts";
import { agentExposition } from "../fleet/agent-metrics.ts";
import { type ConnectionArguments, keepConnected } from "../fleet/connection.ts";
import { prepareState } from "../fleet/kept-documents.ts";
import { isFleetName } from "../fleet/places.ts";
import { parseListenAddress } from "../operate/metrics/address.ts";
import { serveMetrics } from "../operate/metrics/serve.ts";
import { writeTextfile } from "../operate/metrics/textfile.ts";
import { findVms } from "../operate/vms.ts";
import { Log, type LogFormat } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { writeIfPossible } from "./output.ts";
import { hostRegistry, userRuntimesHere } from "./platform/find-registry.ts";

export interface FleetAgentArguments extends ConnectionArguments {
  readonly host?: string;
  readonly state?: string;
  readonly sharedNetwork?: readonly string[];
  readonly metrics?: string;
  readonly textfile?: string;
  readonly logFormat?: LogFormat;
}

const STDERR = 2;
/** Milliseconds between two times that the text file is written. */
const TEXTFILE_INTERVAL = 15_000;

/** Works until it is ended. Throws UserError. */
export async function fleetAgent(given: FleetAgentArguments): Promise<number> {
  const host = given.host ?? hostname().split(".", 1)[0]!;
  if (!isFleetName(host))
    throw new UserError(`this host's name ${JSON.stringify(host)} is none for a fleet: give --host`);
  const address = given.metrics === undefined ? undefined : parseListenAddress(given.metrics, "--metrics");
  const state = given.state ?? "/var/lib/softnet-fleet";
  prepareState(state);
  const write = (line: string): boolean => {
    writeIfPossible(STDERR, line);
    return true;
  };
  const log = new Log({ level: "info", format: given.logFormat ?? "text", write });
  const registry = await hostRegistry();
  const runtimes = await userRuntimesHere();
  const ended = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  const manager = await managerHere();
  const agent = new Agent({
    host,
    state,
    find: () => findVms(registry, runtimes),
    sharedNetworks: sharedNetworksOf(given.sharedNetwork ?? []),
    log,
  });
  const exposition = () => Promise.resolve(agentExposition(host, agent.counts));
  const server = address && (await serveMetrics(address, exposition, "--metrics"));
  const writing = given.textfile === undefined ? undefined : writeAgain(agent, host, given.textfile, log);
  let trouble: string | undefined;
  const disconnect = keepConnected(
    withCredentials(given),
    host,
    (connection) => {
      trouble = undefined;
      void agent.use(connection);
      log.info("connected", { nats: connection.getServer() });
    },
    (why) => {
      if (why !== trouble) log.warn("there is no connection to NATS: every VM keeps the policy that it has", { why });
      trouble = why;
    },
  );
  await agent.start();
  // Ready, whether NATS answers or not: VMs are looked for, and get what is known.
  manager?.ready(agent.connectionText);
  agent.onConnection = (text) => manager?.status(text);
  log.info("the agent works", { host, nats: given.nats });
  await ended;
  manager?.stopping();
  clearInterval(writing);
  agent.stop();
  await disconnect();
  await server?.close();
  return 0;
}

/** systemd, where it started this process. */
async function managerHere() {
  if (process.platform !== "linux" || process.env.NOTIFY_SOCKET === undefined) return undefined;
  const { loadLibc } = await import("../native/linux/libc.ts");
  const { serviceManager } = await import("../telemetry/service-manager.ts");
  return serviceManager(loadLibc(), process.env);
}

/** What is not given is what systemd gave (LoadCredential=fleet:FOLDER makes a file of each file in the folder). */
function withCredentials(given: FleetAgentArguments): ConnectionArguments {
  const folder = process.env.CREDENTIALS_DIRECTORY;
  const found = (name: string): string | undefined => {
    const path = folder === undefined ? undefined : join(folder, `fleet_${name}`);
    return path !== undefined && existsSync(path) ? path : undefined;
  };
  const isGiven = given.creds !== undefined || given.login !== undefined;
  const [creds, login] = isGiven ? [given.creds, given.login] : [found("creds"), found("login")];
  const ca = given.ca ?? found("ca");
  return {
    nats: given.nats,
    ...(creds !== undefined && { creds }),
    ...(login !== undefined && { login }),
    ...(ca !== undefined && { ca }),
  };
}

/** `NAME=BRIDGE`: names by bridges. Throws UserError. */
function sharedNetworksOf(given: readonly string[]): Map<string, string> {
  const names = new Map<string, string>();
  for (const text of given) {
    const [, name = "", bridge = ""] = /^([^=]*)=([^\s/]{1,15})$/.exec(text) ?? [];
    if (!isFleetName(name) || names.has(bridge)) {
      throw new UserError(
        `--shared-network ${JSON.stringify(text)}: give NAME=BRIDGE, such as lan=br0, once for a bridge`,
      );
    }
    names.set(bridge, name);
  }
  return names;
}

/** The first time at once: a mistake in the path ends the agent. Throws UserError. */
function writeAgain(agent: Agent, host: string, path: string, log: Log): NodeJS.Timeout {
  const write = (): void => writeTextfile(path, agentExposition(host, agent.counts).render("prometheus"));
  write();
  return setInterval(() => {
    try {
      write();
    } catch (error) {
      log.warn("metrics are not written", { why: (error as Error).message });
    }
  }, TEXTFILE_INTERVAL);
}
