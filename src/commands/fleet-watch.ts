/** `softnet fleet watch`: drops and bindings of VMs as they happen, and addresses that VMs on two hosts claim, until Ctrl-C. */
import type { NatsConnection } from "@nats-io/transport-node";
import type { Changed, Conflict } from "../fleet/claims.ts";
import { KnownVms } from "../fleet/known-vms.ts";
import { followVms } from "../fleet/operator.ts";
import { token } from "../fleet/places.ts";
import { readStateKey } from "../fleet/state-record.ts";
import { type Fields, fieldsOf, printable } from "../operate/fields.ts";
import { jsonLine } from "../telemetry/log.ts";
import type { Output } from "./output.ts";

/** Bytes of an event, characters of a line that is shown, and milliseconds between two looks for VMs that are gone. */
const LONGEST_EVENT = 65_536;
const LONGEST_LINE = 4_000;
const FORGET_INTERVAL = 5_000;

export interface WatchArguments {
  readonly host?: string;
  readonly label?: string;
  readonly json?: boolean;
}

/** Prints until a signal ends it, or nobody reads any more. Throws UserError. */
export async function watchFleet(connection: NatsConnection, given: WatchArguments, output: Output): Promise<void> {
  const vms = new KnownVms();
  const state = await followVms(connection);
  const events = connection.subscribe(`softnet.event.${given.host === undefined ? "*" : token(given.host)}.*`);
  const end = (): void => {
    events.unsubscribe();
    state.stop();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, end);
  const print = (fields: Fields): void => {
    output.line(given.json ? jsonLine(fields) : eventLine(fields));
    output.flush();
    if (!output.open) end();
  };
  const isMeant = (host: string, vm: string): boolean =>
    (given.host === undefined || given.host === host) &&
    (given.label === undefined || vms.labels(host, vm).includes(given.label));
  const tell = ({ began, ended }: Changed): void => {
    for (const conflict of began) printConflict(conflict, "began");
    for (const conflict of ended) printConflict(conflict, "ended");
  };
  const printConflict = ({ network, address, claims }: Conflict, change: string): void => {
    if (!claims.some(({ host, vm }) => isMeant(host, vm))) return;
    print({ event: "conflict", time: new Date().toISOString(), change, network, address, claims });
  };
  const forgetting = setInterval(() => tell(vms.forgetOld()), FORGET_INTERVAL);
  try {
    const states = (async () => {
      for await (const change of state.changes) tell(vms.take(change));
    })();
    for await (const { subject, data } of events) {
      const place = readStateKey(subject.split(".").slice(2).join("."));
      if (place === undefined || data.length > LONGEST_EVENT || !isMeant(place.host, place.name)) continue;
      print({ ...fieldsOf(parsed(data)), host: place.host, vm: place.name });
    }
    await states;
  } finally {
    clearInterval(forgetting);
    end();
  }
}

function eventLine({ time, event, host, vm, ...rest }: Fields): string {
  const whose = typeof host === "string" ? [`${host}/${vm}`] : [];
  const fields = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return printable([time, ...whose, event, ...fields].join(" ").slice(0, LONGEST_LINE));
}

function parsed(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString());
  } catch {
    return {};
  }
}
