/**
 * Several ways from a guest to a server, compared in interleaved rounds: one and four TCP connections each way, requests of one byte,
 * small datagrams, new connections. What they are is in large-frames.ts and express-lane.ts.
 */
import { INTERNET } from "../test/lab/harness/topology.ts";
import type { Helpers } from "./paths.ts";
import { barPlot, writePlot } from "./plot.ts";
import { compile } from "./processes.ts";
import { show, spread } from "./statistics.ts";
import { machineTime } from "./throughput.ts";
import * as transfers from "./transfers.ts";

const REQUESTS = 3000;
const PORT = 7000;
const CONNECTION_PORT = 7100;
const CONNECTIONS = 2000;
/** Seconds that small datagrams are sent, and counted. */
const DATAGRAM_SECONDS = 1;
const PATIENCE = 30_000;

type Programs = Helpers & Record<"taps" | "requests" | "datagrams" | "packets" | "connections", string>;

interface Row extends transfers.Transfers {
  /** Microseconds: median and 99th percentile. */
  readonly medians: number[];
  readonly tails: number[];
  /** Thousands a second that arrived, which part of those sent, and microseconds of the machine for each that arrived. */
  readonly received: number[];
  readonly share: number[];
  readonly cost: number[];
  /** New connections a second, many at a time, and one after the other. */
  readonly together: number[];
  readonly single: number[];
}

/** What is compared, and written as plots. */
export interface Group extends transfers.Group<Programs> {
  /** Of the plots' files. */
  readonly name: string;
}

/** Plays all rounds and prints each group. */
export async function compare(compared: readonly Group[]): Promise<void> {
  const programs = compile("cable", "plain", "taps", "requests", "datagrams", "packets", "connections");
  const groups = await transfers.playGroups(compared, programs, {
    rowOf,
    start: async (rows) => {
      for (const row of rows) await startServers(row, programs);
    },
    round: (rows) => playRound(rows, programs),
  });
  for (const [index, rows] of groups.entries()) {
    report(compared[index]!.title, rows);
    plot(compared[index]!, rows);
  }
}

const rowOf = (row: transfers.Transfers): Row => ({
  ...row,
  medians: [],
  tails: [],
  received: [],
  share: [],
  cost: [],
  together: [],
  single: [],
});

async function startServers({ path }: Row, { requests, connections }: Programs): Promise<void> {
  path.guest.sysctl({ "net/ipv4/ip_local_port_range": "1024 65535" });
  await path.lab.start(path.lab.internet, connections, ["serve", INTERNET, String(CONNECTION_PORT)]).line(/^ready$/);
  await path.lab.start(path.lab.internet, requests, ["serve", INTERNET, String(PORT)]).line(/^ready$/);
}

/** Each measure over all paths, before the next one: what is compared lies close together. */
async function playRound(rows: readonly Row[], programs: Programs): Promise<void> {
  await transfers.playTransfers(rows);
  for (const row of rows) await askRequests(row, programs);
  for (const row of rows) await sendDatagrams(row, programs);
  for (const row of rows) await openConnections(row, programs);
}

async function askRequests({ path, medians, tails }: Row, { requests }: Programs): Promise<void> {
  const args = ["ask", INTERNET, String(PORT), String(REQUESTS)];
  const { code, stdout, stderr } = await path.guest.run(requests, args, PATIENCE);
  if (code !== 0) throw new Error(`${path.name}: requests: ${stderr}`);
  const [median, tail] = stdout.split(" ").map(Number);
  medians.push(median!);
  tails.push(tail!);
}

/** New connections, many at a time and one after the other: one byte there, one back, and the end of both sides. */
async function openConnections({ path, together, single }: Row, { connections }: Programs): Promise<void> {
  for (const [count, atOnce, rates] of [
    [CONNECTIONS, 16, together],
    [CONNECTIONS / 4, 1, single],
  ] as const) {
    const args = ["open", INTERNET, String(CONNECTION_PORT), String(count), String(atOnce)];
    const { code, stdout, stderr } = await path.guest.run(connections, args, PATIENCE);
    const [rate, failed, hung] = stdout.split(" ").map(Number);
    if (code !== 0 || failed !== 0 || hung !== 0) throw new Error(`${path.name}: connections: ${stdout}${stderr}`);
    rates.push(rate!);
  }
}

/** Datagrams of 60 bytes on the wire, as fast as the guest can, upwards. */
async function sendDatagrams({ path, received, share, cost }: Row, programs: Programs): Promise<void> {
  const seconds = String(DATAGRAM_SECONDS);
  const counter = path.lab.start(path.lab.internet, programs.datagrams, [INTERNET, String(PORT), seconds]);
  await counter.line(/^ready$/);
  const before = machineTime();
  const { code, stdout, stderr } = await path.guest.run(programs.packets, [INTERNET, String(PORT), seconds], PATIENCE);
  if (code !== 0) throw new Error(`${path.name}: datagrams: ${stderr}`);
  const counted = Number(await counter.line(/^\d+$/));
  const used = machineTime() - before;
  received.push(counted / DATAGRAM_SECONDS / 1000);
  share.push(counted / (Number(stdout) * DATAGRAM_SECONDS));
  cost.push((used / counted) * 1e6);
}

/** Throughput and latency as plots. */
function plot({ title, name }: Group, rows: readonly Row[]): void {
  const series = rows.map((row) => row.title);
  const groups = transfers.MEASURES.map(transfers.keyOf).map((key) => ({
    name: key.endsWith(" 1") ? `${key} connection` : `${key} connections`,
    bars: rows.map((row) => spread(row.transfers.get(key)!.map(({ rate }) => rate))),
  }));
  writePlot(`${name}-throughput`, barPlot({ title, unit: "Gbit/s", series, groups }));
  const latency = [
    { name: "median", bars: rows.map(({ medians }) => spread(medians)) },
    { name: "99th percentile", bars: rows.map(({ tails }) => spread(tails)) },
  ];
  writePlot(
    `${name}-latency`,
    barPlot({ title: `A byte and its answer: ${title}`, unit: "µs", series, groups: latency }),
  );
}

function report(title: string, rows: readonly Row[]): void {
  const [unfiltered] = rows;
  transfers.reportTransfers(title, rows);
  console.log(
    "requests of one byte       p50 µs               p99 µs               60-byte datagrams: 1,000/s; of those sent; µs each",
  );
  for (const { title: name, medians, tails, received, share, cost } of rows) {
    const columns = [
      `  ${name}`.padEnd(27),
      show(spread(medians), 1).padEnd(21),
      show(spread(tails), 0).padEnd(21),
      `${show(spread(received))}; ${show(spread(share), 2)}; ${show(spread(cost), 1)}`,
    ];
    console.log(columns.join(""));
  }
  console.log("new connections a second    16 at a time         of unfiltered  one after the other  of unfiltered");
  for (const { title: name, together, single } of rows) {
    const part = (rates: readonly number[], floor: readonly number[]) =>
      spread(rates.map((rate, round) => rate / floor[round]!)).median.toFixed(2);
    const columns = [
      `  ${name}`.padEnd(28),
      show(spread(together)).padEnd(21),
      part(together, unfiltered!.together).padEnd(15),
      show(spread(single)).padEnd(21),
      part(single, unfiltered!.single),
    ];
    console.log(columns.join(""));
  }
}
