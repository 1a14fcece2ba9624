/** `softnet fleet …`: the VMs of many hosts, through NATS. What each command does is in fleet/; here is what it prints. */
import { readFileSync } from "node:fs";
import type { NatsConnection } from "@nats-io/transport-node";
import { Agent } from "../fleet/agent.ts";
import { type ConnectionArguments, connectToFleet } from "../fleet/connection.ts";
import { askVm, findVm, getDocument, initialize, listVms, type StateRecord, setDocument } from "../fleet/operator.ts";
import { ALL_KEY, describeKey, groupKey, hostKey, isFleetName, nameOf, token, vmKey } from "../fleet/places.ts";
import { findVms } from "../operate/vms.ts";
import { Log, type LogFormat } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { parseQuestion } from "./ctl.ts";
import { describeExplanation, describeStatus } from "./ctl-text.ts";
import { Output, writeIfPossible } from "./output.ts";
import { hostRegistry, userRuntimesHere } from "./platform/find-registry.ts";

export interface FleetArguments extends ConnectionArguments {
  readonly json?: boolean;
  readonly host?: string;
  readonly label?: string;
  readonly state?: string;
  readonly logFormat?: LogFormat;
  readonly replicas?: number;
  readonly file?: string;
  readonly delete?: boolean;
  readonly revision?: number;
}

export type FleetCommand = "agent" | "init" | "list" | "status" | "explain" | "get" | "set" | "watch";

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (value: unknown): Fields => (typeof value === "object" && value !== null ? (value as Fields) : {});

/** Returns the exit code. Throws UserError. */
export async function fleet(
  command: FleetCommand,
  words: readonly string[],
  given: FleetArguments,
  descriptor: number,
): Promise<number> {
  if (given.host !== undefined && !isFleetName(given.host)) {
    throw new UserError(`--host ${JSON.stringify(given.host)} is no name: give letters, digits, ".", "_" and "-"`);
  }
  if (command === "agent") return await agent(given);
  const connection = await connectToFleet(given, `softnet fleet ${command}`);
  const output = new Output(descriptor);
  const print = (line: string): void => output.line(given.json ? line : printable(line));
  try {
    await run(command, words, given, connection, print, output);
    output.flush();
    return 0;
  } finally {
    await connection.close();
  }
}

async function run(
  command: Exclude<FleetCommand, "agent">,
  words: readonly string[],
  given: FleetArguments,
  connection: NatsConnection,
  print: (line: string) => void,
  output: Output,
): Promise<void> {
  switch (command) {
    case "init":
      return await initialize(connection, given.replicas ?? 1);
    case "list": {
      const wanted = (record: StateRecord): boolean =>
        (given.host === undefined || record.host === given.host) &&
        (given.label === undefined || (Array.isArray(record.labels) && record.labels.includes(given.label)));
      const records = (await listVms(connection)).filter(wanted);
      for (const line of given.json ? records.map((record) => JSON.stringify(record)) : table(records)) print(line);
      return;
    }
    case "status": {
      const { host, name } = await findVm(connection, words[0]!);
      const answer = await askVm(connection, host, name, "softnet.status");
      if (given.json) print(JSON.stringify(answer));
      else for (const line of [decidedBy(answer), ...describeStatus(fieldsOf(answer.result))]) print(line);
      return;
    }
    case "explain": {
      const { host, name } = await findVm(connection, words[0]!);
      const answer = await askVm(connection, host, name, "softnet.explain", parseQuestion(words.slice(1)));
      if (given.json) print(JSON.stringify(answer));
      else for (const line of [...describeExplanation(fieldsOf(answer.result)), decidedBy(answer)]) print(line);
      return;
    }
    case "get": {
      const key = keyOf(words);
      const found = await getDocument(connection, key);
      if (found === undefined) throw new UserError(`there is no document ${words.join(" ")}`);
      if (!given.json) print(`# revision ${found.revision}`);
      print(
        given.json
          ? JSON.stringify({ key, revision: found.revision, document: JSON.parse(found.text) })
          : found.text.trim(),
      );
      return;
    }
    case "set": {
      const key = keyOf(words);
      if ((given.file === undefined) === (given.delete === undefined)) {
        throw new UserError("fleet set needs --file PATH, or --delete");
      }
      const revision = await setDocument(connection, key, readDocument(given.file), given.revision);
      print(given.json ? JSON.stringify({ key, revision }) : `${words.join(" ")}: revision ${revision}`);
      return;
    }
    case "watch":
      return await watch(connection, given, print, output);
  }
}

/** Works until it is ended. */
async function agent(given: FleetArguments): Promise<number> {
  const host = given.host!;
  const log = new Log({
    level: "info",
    format: given.logFormat ?? "text",
    write: (line) => {
      writeIfPossible(2, line);
      return true;
    },
  });
  const registry = await hostRegistry();
  const runtimes = await userRuntimesHere();
  const ended = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, resolve);
  });
  const connection = await Promise.race([connectToFleet(given, `softnet fleet agent ${host}`, host), ended]);
  if (connection === undefined) return 0;
  const working = new Agent({
    connection,
    host,
    state: given.state ?? "/var/lib/softnet-fleet",
    find: () => findVms(registry, runtimes),
    log,
  });
  void tellConnection(connection, log);
  await working.start();
  log.info("the agent works", { host, nats: given.nats });
  await Promise.race([ended, connection.closed()]);
  working.stop();
  await connection.close();
  return 0;
}

async function tellConnection(connection: NatsConnection, log: Log): Promise<void> {
  for await (const { type } of connection.status()) {
    if (type === "disconnect") log.warn("NATS is away: every VM keeps the policy that it has");
    if (type === "reconnect") log.info("NATS is there again");
  }
}

async function watch(
  connection: NatsConnection,
  { host, json }: FleetArguments,
  print: (line: string) => void,
  output: Output,
): Promise<void> {
  const subscription = connection.subscribe(`softnet.event.${host === undefined ? "*" : token(host)}.*`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => subscription.unsubscribe());
  for await (const message of subscription) {
    const [, , where = "", vm = ""] = message.subject.split(".");
    const event = fieldsOf(parsed(message.data));
    if (json) {
      print(JSON.stringify({ ...event, host: nameOf(where), vm: nameOf(vm) }));
    } else {
      const { time, event: kind, host: _host, vm: _vm, ...rest } = event;
      const fields = Object.entries(rest).map(
        ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
      );
      print(`${time} ${nameOf(where)}/${nameOf(vm)} ${kind} ${fields.join(" ")}`);
    }
    output.flush();
    if (!output.open) return;
  }
}

function parsed(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString());
  } catch {
    return {};
  }
}

/** `all`, `host NAME`, `group LABEL`, `vm NAME`. */
function keyOf(words: readonly string[]): string {
  const [kind, name, more] = words;
  if (kind === ALL_KEY && name === undefined) return ALL_KEY;
  if (name !== undefined && more === undefined && isFleetName(name)) {
    if (kind === "host") return hostKey(name);
    if (kind === "group") return groupKey(name);
    if (kind === "vm") return vmKey(name);
  }
  throw new UserError(`${JSON.stringify(words.join(" "))} is no document: give all, host NAME, group LABEL or vm NAME`);
}

function readDocument(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (error) {
    throw new UserError(`--file ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function decidedBy({ document, revision }: Fields): string {
  if (typeof document !== "string") return "fleet      no document is for it: what its own options say holds";
  return `fleet      ${describeKey(document) ?? document} decides, revision ${revision} in force`;
}

const HEADINGS = ["HOST", "VM", "ADDRESS", "DOCUMENT", "WANTED", "IN FORCE", "SINCE", "ERROR"];

function table(records: readonly StateRecord[]): string[] {
  const rows = records.map((record) => [
    record.host,
    record.name,
    String(fieldsOf(record.binding).address ?? "-"),
    `${typeof record.document === "string" ? (describeKey(record.document) ?? "-") : "-"}${record.next === true ? " (next)" : ""}`,
    String(record.wanted),
    String(record.inForce),
    String(record.since ?? "-").replace(/\.\d+/, ""),
    record.reachable === true ? String(record.error ?? "-") : "its softnet does not answer",
  ]);
  if (rows.length === 0) return [];
  const all = [HEADINGS, ...rows];
  const widths = HEADINGS.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

/** What agents say is not softnet's own text: it must not control this terminal. */
function printable(line: string): string {
  return line.replace(/[^ -~\n]/g, "?");
}
