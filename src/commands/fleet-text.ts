/** What `softnet fleet` prints. Agents' answers are read as strangers': nothing of them is relied upon. */
import { Claims, type Conflict, describeConflict } from "../fleet/claims.ts";
import { describeKey } from "../fleet/places.ts";
import type { ListedVm } from "../fleet/state-record.ts";
import { columns } from "../operate/columns.ts";
import { type Fields, fieldsOf, numberOf, textOf } from "../operate/fields.ts";

const HEADINGS = ["HOST", "VM", "ADDRESS", "DOCUMENT", "WANTED", "IN FORCE", "SINCE", "ERROR"];

/** Addresses that VMs of several hosts have, of all VMs of the fleet. */
export function claimsOf(records: readonly ListedVm[]): Claims {
  const claims = new Claims();
  for (const record of records) claims.set(record.host, record.name, record);
  return claims;
}

/** A line for each VM, with a heading. */
export function vmTable(records: readonly ListedVm[], claims: Claims): string[] {
  const rows = records.map((record) => [
    record.host,
    record.name,
    textOf(fieldsOf(record.binding).address) ?? "-",
    `${documentText(record.document) ?? "-"}${record.next === true ? " (next)" : ""}`,
    String(numberOf(record.wanted) ?? "-"),
    String(numberOf(record.inForce) ?? "-"),
    timeText(record.since) ?? "-",
    problemsOf(record, claims).join("; ") || "-",
  ]);
  return columns([HEADINGS, ...rows]);
}

function problemsOf(record: ListedVm, claims: Claims): string[] {
  const { host, name, reachable, error } = record;
  const told = textOf(error);
  const own = told ?? (reachable === true ? undefined : "its softnet does not answer");
  return [
    ...(own === undefined ? [] : [own]),
    ...claims.of(host, name).map((conflict) => describeConflict(conflict, host, name)),
  ];
}

/** Which document decides for a VM, and which one should. */
export function decisionLines({ document, revision, since, wanted }: Fields): string[] {
  const { document: due, revision: dueRevision, error } = fieldsOf(wanted);
  const from = timeText(since);
  const key = documentText(document);
  const inForce = numberOf(revision) ?? 0;
  const lines =
    key === undefined
      ? ["fleet      no document is in force: what its own options say holds"]
      : [`fleet      ${key} decides, revision ${inForce} in force${from === undefined ? "" : ` since ${from}`}`];
  const isDue = numberOf(dueRevision) ?? inForce;
  if (isDue === inForce) return lines;
  const why = textOf(error) ?? "it is not in force yet";
  return [...lines, `           ${documentText(due) ?? "no document"} is wanted, revision ${isDue}: ${why}`];
}

/** What an agent that does not answer told last. */
export function lastToldLines(record: ListedVm): string[] {
  const { host, told, document, wanted, error, inForce, inForceDocument, since, binding } = record;
  return [
    `fleet      the agent of ${host} does not answer; it told this last, at ${told}:`,
    `           the VM keeps the policy that it has`,
    ...decisionLines({
      document: inForceDocument,
      revision: inForce,
      since,
      wanted: { document, revision: wanted, error },
    }),
    `VM         ${textOf(record.mac) ?? "unknown"}, ${textOf(fieldsOf(binding).address) ?? "no address"}`,
  ];
}

export function conflictLines(conflicts: readonly Conflict[]): string[] {
  return conflicts.map(({ address, network, claims }) => {
    const whose = claims.map(({ host, vm }) => `${host}/${vm}`).join(", ");
    return `conflict   ${address} on ${network} is claimed by ${whose}`;
  });
}

/** `group web` for a document's key; undefined for what is none. */
function documentText(key: unknown): string | undefined {
  return typeof key === "string" ? describeKey(key) : undefined;
}

function timeText(value: unknown): string | undefined {
  return textOf(value)?.replace(/\.\d+/, "");
}
