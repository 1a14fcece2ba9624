/** `softnet metrics`: the counters of every VM of this host, printed, written to a file, or served by HTTP. */

import type { DomainsCards } from "../operate/libvirt-cards.ts";
import { parseListenAddress } from "../operate/metrics/address.ts";
import { addDomains, gatherMetrics } from "../operate/metrics/gather.ts";
import { writeTextfile } from "../operate/metrics/textfile.ts";
import { findVms, type Runtime } from "../operate/vms.ts";
import { UntrustedRegistry } from "../registry/files.ts";
import type { RegistrySystem } from "../registry/system.ts";
import type { Exposition, ExpositionFormat } from "../telemetry/exposition.ts";
import type { ServiceManager } from "../telemetry/service-manager.ts";
import { UserError } from "../user-error.ts";
import { Output } from "./output.ts";

export interface MetricsArguments {
  readonly format?: ExpositionFormat;
  readonly textfile?: string;
  readonly listen?: string;
  readonly user?: string;
}

/** Where VMs are looked for. */
export interface MetricsHost {
  readonly registry: RegistrySystem;
  runtimes(): Promise<readonly Runtime[]>;
  domains(): Promise<DomainsCards>;
  /** Gives all of root's rights up for good. Throws UserError. */
  drop(): void;
  /** To be called afterwards; undefined where there is none. */
  serviceManager(): ServiceManager | undefined;
}

/** Prints to `descriptor` (stdout). Resolves at the end: with `listen`, when a signal has ended it. Throws UserError. */
export async function metrics(host: MetricsHost, given: MetricsArguments, descriptor: number): Promise<void> {
  const { format, textfile, listen, user } = given;
  if (listen !== undefined && (textfile ?? format) !== undefined) {
    throw new UserError("--listen: leave --textfile and --format out; who asks says which format it reads");
  }
  if (user !== undefined && listen === undefined) throw new UserError("--user is for --listen: leave it out");
  if (listen !== undefined) return serve(host, listen);
  const exposition = await gather(host);
  // The collector reads the older format alone.
  if (textfile !== undefined) return writeTextfile(textfile, exposition.render(format ?? "prometheus"));
  const output = new Output(descriptor);
  output.add(exposition.render(format ?? "openmetrics"));
  output.flush();
}

async function serve(host: MetricsHost, text: string): Promise<void> {
  const address = parseListenAddress(text);
  const { serveMetrics } = await import("../operate/metrics/serve.ts");
  host.drop();
  const service = host.serviceManager();
  const ended = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  const server = await serveMetrics(address, () => gather(host));
  process.stderr.write(`softnet: metrics at ${text}, GET /metrics\n`);
  service?.ready(`GET /metrics at ${text}`);
  await ended;
  service?.stopping();
  await server.close();
}

async function gather({ registry, runtimes, domains }: MetricsHost): Promise<Exposition> {
  try {
    const exposition = await gatherMetrics(findVms(registry, await runtimes()));
    addDomains(exposition, await domains());
    return exposition;
  } catch (error) {
    if (!(error instanceof UntrustedRegistry)) throw error;
    throw new UserError(`${error.message}, so it cannot be trusted: let root remove it`);
  }
}
