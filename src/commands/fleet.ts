/** `softnet fleet …`: the VMs of many hosts, through NATS. What each command does is in fleet/; here is what it prints. */
import { readFileSync } from "node:fs";
import type { NatsConnection } from "@nats-io/transport-node";
import { connectToFleet } from "../fleet/connection.ts";
import { parseDocument } from "../fleet/document.ts";
import { askVm, findVm, getDocument, initialize, listVms, NoAgent, setDocument } from "../fleet/operator.ts";
import { ALL_KEY, groupKey, hostKey, isFleetName, vmKey } from "../fleet/places.ts";
import { type ListedVm, labelsOf } from "../fleet/state-record.ts";
import { type Fields, fieldsOf, printable } from "../operate/fields.ts";
import { jsonLine } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { parseQuestion } from "./ctl.ts";
import { describeExplanation, describeStatus } from "./ctl-text.ts";
import type { FleetAgentArguments } from "./fleet-agent.ts";
import { claimsOf, conflictLines, decisionLines, lastToldLines, vmTable } from "./fleet-text.ts";
import { Output } from "./output.ts";

const STDIN = 0;

export interface FleetArguments extends FleetAgentArguments {
  readonly json?: boolean;
  readonly label?: string;
  readonly replicas?: number;
  readonly file?: string;
  readonly delete?: boolean;
  readonly revision?: number;
}

export type FleetCommand = "agent" | "init" | "list" | "status" | "explain" | "get" | "set" | "watch";

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
  if (given.label !== undefined && !isFleetName(given.label)) {
    throw new UserError(`--label ${JSON.stringify(given.label)} is no name: give letters, digits, ".", "_" and "-"`);
  }
  if (command === "agent") return await (await import("./fleet-agent.ts")).fleetAgent(given);
  const connection = await connectToFleet(given, `softnet fleet ${command}`);
  const output = new Output(descriptor);
  try {
    await run(command, words, given, connection, output);
    return 0;
  } finally {
    output.flush();
    await connection.close();
  }
}

async function run(
  command: Exclude<FleetCommand, "agent">,
  words: readonly string[],
  given: FleetArguments,
  connection: NatsConnection,
  output: Output,
): Promise<void> {
  // What agents say is not softnet's own text: it must not control this terminal.
  const print = (...lines: readonly string[]): void => {
    for (const line of lines) output.line(printable(line));
  };
  const printObject = (value: object): void => output.line(jsonLine(value));
  switch (command) {
    case "init":
      return await initialize(connection, given.replicas ?? 1);
    case "list": {
      const all = await listVms(connection);
      const records = all.filter(isMeant(given));
      const claims = claimsOf(all);
      if (!given.json) return print(...vmTable(records, claims));
      for (const record of records) printObject({ ...record, conflicts: claims.of(record.host, record.name) });
      return;
    }
    case "status": {
      const { host, name } = await findVm(connection, words[0]!);
      const all = await listVms(connection);
      const conflicts = claimsOf(all).of(host, name);
      let answer: Fields;
      try {
        answer = await askVm(connection, host, name, "softnet.status");
      } catch (error) {
        const last = all.find((record) => record.host === host && record.name === name);
        if (!(error instanceof NoAgent) || last === undefined) throw error;
        if (given.json) printObject({ away: true, last, conflicts });
        else print(...lastToldLines(last), ...conflictLines(conflicts));
        throw error;
      }
      if (given.json) return printObject({ ...answer, conflicts });
      return print(...decisionLines(answer), ...conflictLines(conflicts), ...describeStatus(fieldsOf(answer.result)));
    }
    case "explain": {
      const question = parseQuestion(words.slice(1));
      const { host, name } = await findVm(connection, words[0]!);
      const answer = await askVm(connection, host, name, "softnet.explain", question);
      if (given.json) return printObject(answer);
      return print(...describeExplanation(fieldsOf(answer.result)), ...decisionLines(answer));
    }
    case "get": {
      const key = keyOf(words);
      const found = await getDocument(connection, key);
      if (found === undefined) {
        throw new UserError(`there is no document ${words.join(" ")}; fleet list names those that decide`);
      }
      const { revision, text } = found;
      if (given.json) return printObject({ key, revision, document: parsedOr(text) });
      return print(`# revision ${revision}`, ...text.trim().split("\n"));
    }
    case "set": {
      const key = keyOf(words);
      if ((given.file === undefined) === (given.delete === undefined)) {
        throw new UserError("fleet set needs --file PATH, or --delete");
      }
      const revision = await setDocument(connection, key, readDocument(given.file), given.revision);
      return given.json ? printObject({ key, revision }) : print(`${words.join(" ")}: revision ${revision}`);
    }
    case "watch": {
      const { watchFleet } = await import("./fleet-watch.ts");
      return await watchFleet(connection, given, output);
    }
  }
}

function isMeant({ host, label }: FleetArguments): (record: ListedVm) => boolean {
  return (record) =>
    (host === undefined || record.host === host) && (label === undefined || labelsOf(record).includes(label));
}

/** A document's JSON; the text of one that is none, which somebody put there by another way. */
function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
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

/** The text of a document that holds. Throws UserError, which names the file. */
function readDocument(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const option = `--file ${path}`;
  let text: string;
  try {
    text = readFileSync(path === "-" ? STDIN : path, "utf8");
  } catch (error) {
    throw new UserError(`${option} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    parseDocument(text);
    return text;
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${option}: ${error.message}`);
    throw error;
  }
}
