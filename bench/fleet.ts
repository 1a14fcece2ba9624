/**
 * A fleet of up to 200 hosts with 50 VMs each on one machine: how long a change takes until it is in force at all VMs, and at one; what an
 * agent and the server need, and how that grows. One real nats-server; the real agents, many in a process but for one that
 * is measured alone; simulated VMs behind softnet's own control sockets. `node bench/fleet.ts [HOSTS[,HOSTS…]]`.
 */
import { type ChildProcess, fork } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { initialize, listVms, setDocument } from "../src/fleet/operator.ts";
import { vmKey } from "../src/fleet/places.ts";
import { type NatsServer, natsServers, operator } from "../test/fleet/nats.ts";
import { needs } from "../test/support/tools.ts";
import { type Change, documentOf, type InForce, type Usage } from "./fleet-parts.ts";
import { barPlot, linePlot, writePlot } from "./plot.ts";
import { type Spread, show, spread } from "./statistics.ts";

const HOSTS = [10, 50, 100, 200];
const VMS = 50;
/** Changes to all VMs, and to one. */
const TO_ALL = 7;
const TO_ONE = 101;
const QUIET_SECONDS = 30;
const PATIENCE = 300_000;
/** Where the agents keep their documents: one disk is not 200 hosts' disks. */
const MEMORY = "/dev/shm";

type Operator = Awaited<ReturnType<typeof operator>>;

/** Hosts whose VMs, and whose agents, are in one process. */
interface Part {
  readonly first: number;
  readonly hosts: number;
  readonly child: ChildProcess;
}

interface Figures {
  readonly hosts: number;
  readonly toAll: Spread;
  readonly toOne: Spread;
  /** Milliseconds for the list of all VMs. */
  readonly list: number;
  /** Of the agent that has a process of its own, and of the server, in megabytes. */
  readonly agentMemory: number;
  readonly serverMemory: number;
  /** Kilobytes a second of one host while nothing changes, both ways. */
  readonly quiet: number;
  /** Kilobytes of one host for a change to all its VMs, both ways, and milliseconds of its agent's CPU time. */
  readonly changed: number;
  readonly changedCpu: number;
  /** Of one core, in per cent: the agent alone, while nothing changes. */
  readonly agentCpu: number;
  readonly serverCpu: number;
}

class Scene {
  readonly folder = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "softnet-fleet-"));
  readonly #ends: (() => unknown)[] = [];

  after(end: () => unknown): void {
    this.#ends.unshift(end);
  }

  /** Starts a part of the benchmark, and waits until it is ready. */
  async part(script: string, first: number, hosts: number, ...args: readonly string[]): Promise<Part> {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const child = fork(path, [...args, this.folder, String(first), String(hosts), String(VMS)]);
    this.after(() => child.kill("SIGKILL"));
    await next(child);
    return { first, hosts, child };
  }

  async close(): Promise<void> {
    for (const end of this.#ends) await end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function next<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error("a part of the benchmark has ended"));
    const timer = setTimeout(() => reject(new Error("a part of the benchmark says nothing")), PATIENCE);
    child.once("exit", ended);
    child.once("message", (message) => {
      clearTimeout(timer);
      child.off("exit", ended);
      resolve(message as T);
    });
  });
}

let changes = 0;

/** Sets a document and waits until it is in force at all VMs that it is for. Returns the milliseconds. */
async function change(connection: Operator, key: string, vms: readonly Part[], count?: number): Promise<number> {
  const number = ++changes;
  for (const { child, hosts } of vms) {
    child.send({ number, vms: count ?? hosts * VMS } satisfies Change);
    await next(child);
  }
  const reached = Promise.all(vms.map(({ child }) => next<InForce>(child)));
  const begin = process.hrtime.bigint();
  await setDocument(connection, key, documentOf(number));
  const last = (await reached).map(({ at }) => BigInt(at)).reduce((a, b) => (a > b ? a : b));
  return Number(last - begin) / 1e6;
}

async function usage({ child }: Part): Promise<Usage> {
  child.send({});
  return await next<Usage>(child);
}

const kilobytes = ({ inBytes, outBytes }: Usage): number => (inBytes + outBytes) / 1000;

function serverUses({ pid }: NatsServer): { readonly memory: number; readonly cpu: number } {
  const resident = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /, "")
    .split(" ");
  return { memory: Number(resident) / 1000, cpu: (Number(fields[11]) + Number(fields[12])) / 100 };
}

async function measure(hosts: number): Promise<Figures> {
  const scene = new Scene();
  try {
    const [server] = await natsServers(scene);
    const connection = await operator(scene, [server!]);
    await initialize(connection, 1);
    await setDocument(connection, "all", documentOf(0)); // of an empty bucket agents wait for a second
    const half = Math.ceil(hosts / 2);
    const vms = [
      await scene.part("fleet-vms.ts", 0, half),
      await scene.part("fleet-vms.ts", half, hosts - half),
    ] as const;
    const alone = await scene.part("fleet-agents.ts", 0, 1, server!.url);
    await scene.part("fleet-agents.ts", 1, half - 1, server!.url);
    await scene.part("fleet-agents.ts", half, hosts - half, server!.url);
    await change(connection, "all", vms); // all have been met
    const toAll: number[] = [];
    const before = await usage(alone);
    for (let round = 0; round < TO_ALL; round++) {
      await sleep(2_000);
      toAll.push(await change(connection, "all", vms));
    }
    await sleep(2_000);
    const between = await usage(alone);
    const server0 = serverUses(server!);
    await sleep(QUIET_SECONDS * 1_000);
    const after = await usage(alone);
    const server1 = serverUses(server!);
    const begin = performance.now();
    const listed = (await listVms(connection)).length;
    const list = performance.now() - begin;
    if (listed !== hosts * VMS) throw new Error(`the list has ${listed} VMs of ${hosts * VMS}`);
    const toOne: number[] = [];
    for (let round = 0; round < TO_ONE; round++) {
      const host = Math.floor((round * hosts) / TO_ONE);
      const part = vms[host < half ? 0 : 1];
      toOne.push(await change(connection, vmKey(`h${host}-vm${round % VMS}`), [part], 1));
      await sleep(20);
    }
    const quiet = (kilobytes(after) - kilobytes(between)) / QUIET_SECONDS;
    return {
      hosts,
      toAll: spread(toAll),
      toOne: spread(toOne),
      list,
      agentMemory: after.memory / 1e6,
      serverMemory: server1.memory,
      quiet,
      changed: (kilobytes(between) - kilobytes(before)) / TO_ALL - quiet * 2,
      changedCpu: ((between.cpu - before.cpu) / TO_ALL) * 1000,
      agentCpu: ((after.cpu - between.cpu) / QUIET_SECONDS) * 100,
      serverCpu: ((server1.cpu - server0.cpu) / QUIET_SECONDS) * 100,
    };
  } finally {
    await scene.close();
  }
}

function tell(figures: Figures): void {
  const { hosts, toAll, toOne, list, agentMemory, serverMemory, quiet, changed, changedCpu, agentCpu, serverCpu } =
    figures;
  console.log(`  ${hosts} hosts, ${hosts * VMS} VMs:`);
  console.log(
    `    a change in force at all: ${show(toAll)} ms (goal 5000); at one: ${show(toOne, 1)} ms (goal 100); listed: ${list.toFixed(0)} ms`,
  );
  console.log(
    `    a host's agent: ${agentMemory.toFixed(0)} MB, ${agentCpu.toFixed(1)} % of a core while nothing changes`,
  );
  console.log(
    `    its traffic: ${quiet.toFixed(1)} kB/s; for a change to all its VMs ${changed.toFixed(0)} kB, ${changedCpu.toFixed(0)} ms of CPU time`,
  );
  console.log(
    `    the server: ${serverMemory.toFixed(0)} MB, ${serverCpu.toFixed(1)} % of a core while nothing changes`,
  );
}

/** Prints the section, or in one line why there is none. */
export async function fleet(counts: readonly number[] = HOSTS): Promise<void> {
  const { skip } = needs("nats-server");
  if (skip !== undefined) return console.log(`\nA fleet is left out: ${skip}`);
  const load = loadavg()[0]!.toFixed(1);
  console.log(`\nA fleet, ${VMS} VMs a host, on ${cpus().length} cores; load before: ${load}`);
  const all: Figures[] = [];
  for (const hosts of counts) {
    const figures = await measure(hosts);
    tell(figures);
    all.push(figures);
  }
  draw(all);
}

/** How long a change takes, and how everything grows with the hosts. */
function draw(all: readonly Figures[]): void {
  const points = all.map(({ hosts, toAll }) => ({ at: String(hosts), value: toAll }));
  const scale = `hosts with ${VMS} VMs each`;
  const title = "A change in force at all VMs of a fleet";
  writePlot("fleet-change", linePlot({ title, unit: "ms", scale, points }));
  const grows: readonly (readonly [series: string, of: (figures: Figures) => number])[] = [
    ["memory of a host's agent", ({ agentMemory }) => agentMemory],
    ["traffic of a host, quiet", ({ quiet }) => quiet],
    ["traffic of a host, a change", ({ changed }) => changed],
    ["memory of the server", ({ serverMemory }) => serverMemory],
  ];
  const bar = (figures: Figures, of: (figures: Figures) => number): Spread => {
    const median = of(figures) / of(all[0]!);
    return { median, lower: median, upper: median };
  };
  const groups = all.map((figures) => ({
    name: `${figures.hosts} hosts`,
    bars: grows.map(([, of]) => bar(figures, of)),
  }));
  const growth = { title: "A fleet's needs", unit: `as a multiple of those with ${all[0]!.hosts} hosts` };
  writePlot("fleet-growth", barPlot({ ...growth, series: grows.map(([series]) => series), groups }));
}

if (process.argv[1]?.endsWith("/fleet.ts")) {
  await fleet(process.argv[2]?.split(",").map(Number));
  process.exit();
}
