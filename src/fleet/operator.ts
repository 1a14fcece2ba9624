/** What an operator does with a fleet, from any machine with credentials: each function is one command (commands/fleet.ts). */
import { JetStreamApiError, jetstream } from "@nats-io/jetstream";
import { type KV, type KvEntry, Kvm, KvWatchInclude } from "@nats-io/kv";
import { type NatsConnection, RequestError } from "@nats-io/transport-node";
import { type Fields, fieldsOf } from "../operate/fields.ts";
import { UserError } from "../user-error.ts";
import { parseDocument } from "./document.ts";
import { MOST_OF_A_HOST, MOST_RECORDS } from "./known-vms.ts";
import {
  askSubject,
  describeKey,
  HISTORY,
  isFleetName,
  POLICY_BUCKET,
  STATE_BUCKET,
  STATE_INTERVAL,
  STATE_LIFE,
} from "./places.ts";
import { type ListedVm, readRecord, readStateKey, type StateChange } from "./state-record.ts";

/** Milliseconds without a further value of a bucket that is read, after which those that are missing have ended. */
const SILENCE = 5_000;
/** Milliseconds until an agent must have answered. */
const PATIENCE = 3_000;

/** Makes both buckets where they are missing; `replicas`: 1, 3 or 5. Throws UserError. */
export async function initialize(connection: NatsConnection, replicas: number): Promise<void> {
  const kvm = new Kvm(jetstream(connection));
  const remedy = "; it needs the right to make streams, and a cluster of so many servers as --replicas says";
  await explained(
    "the buckets cannot be made",
    async () => {
      for (const bucket of [
        await kvm.create(POLICY_BUCKET, { history: HISTORY, replicas }),
        await kvm.create(STATE_BUCKET, { history: 1, ttl: STATE_LIFE, replicas }),
      ]) {
        const { bucket: name, replicas: there } = await bucket.status(); // one that was there stays as it is
        if (there !== replicas) {
          throw new UserError(
            `--replicas ${replicas}: the bucket ${name} is there already, on ${there}; NATS' own program changes that: nats stream edit KV_${name} --replicas ${replicas}`,
          );
        }
      }
    },
    remedy,
  );
}

/** What agents told last of each VM, sorted by host and name. Throws UserError. */
export async function listVms(connection: NatsConnection): Promise<ListedVm[]> {
  return await explained("the VMs' state cannot be read", async () => {
    const bucket = await new Kvm(jetstream(connection)).open(STATE_BUCKET);
    const records = await current(bucket);
    return records.sort((a, b) => (`${a.host}\0${a.name}` < `${b.host}\0${b.name}` ? -1 : 1));
  });
}

/** Follows the VMs' state, at first what is there, until `stop`. Throws UserError. */
export async function followVms(
  connection: NatsConnection,
): Promise<{ readonly changes: AsyncIterable<StateChange>; stop(): void }> {
  return await explained("the VMs' state cannot be read", async () => {
    const entries = await (await new Kvm(jetstream(connection)).open(STATE_BUCKET)).watch();
    async function* changes(): AsyncGenerator<StateChange> {
      for await (const entry of entries) {
        const place = readStateKey(entry.key);
        if (place !== undefined) yield { ...place, record: recordOf(entry) };
      }
    }
    return { changes: changes(), stop: () => entries.stop() };
  });
}

function recordOf({ key, operation, value, created }: KvEntry): ListedVm | undefined {
  const record = operation === "PUT" ? readRecord(key, value) : undefined;
  return record === undefined ? undefined : { ...record, told: created.toISOString() };
}

/** The text of a document and its revision; undefined where there is none. Throws UserError. */
export async function getDocument(
  connection: NatsConnection,
  key: string,
): Promise<{ readonly text: string; readonly revision: number } | undefined> {
  return await explained("the document cannot be read", async () => {
    const entry = await (await new Kvm(jetstream(connection)).open(POLICY_BUCKET)).get(key);
    if (entry === null || entry.operation !== "PUT") return undefined;
    return { text: entry.string(), revision: entry.revision };
  });
}

/**
 * Puts a document in force, or takes it away (undefined). `revision`: the one that it replaces, 0 = none; where another is there, somebody
 * else was faster, and nothing changes. Returns the new revision. Throws UserError.
 */
export async function setDocument(
  connection: NatsConnection,
  key: string,
  text: string | undefined,
  revision?: number,
): Promise<number> {
  if (text !== undefined) parseDocument(text);
  return await explained("the document is not set", async () => {
    const bucket = await new Kvm(jetstream(connection)).open(POLICY_BUCKET);
    const before = await bucket.get(key);
    const there = before === null || before.operation !== "PUT" ? 0 : before.revision;
    if (revision !== undefined && revision !== there) throw overtaken(key, revision, there);
    try {
      if (text === undefined) {
        if (there !== 0) await bucket.delete(key, { previousSeq: before!.revision });
        return (await bucket.get(key))?.revision ?? 0;
      }
      return before === null ? await bucket.create(key, text) : await bucket.update(key, text, before.revision);
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) throw overtaken(key, there);
      throw error;
    }
  });
}

/** NATS' own code: the entry has another revision than was said. */
const WRONG_LAST_SEQUENCE = 10_071;

function overtaken(key: string, revision: number, there?: number): UserError {
  const now = there === undefined ? "it is another one now" : there === 0 ? "there is none now" : `it is ${there} now`;
  return new UserError(
    `${describeKey(key)}: revision ${revision} was to be replaced, and ${now}: somebody else was faster; look at it and set it again`,
  );
}

/** The agent of a host does not answer. */
export class NoAgent extends UserError {}

/** Asks one VM's softnet through its host's agent. Throws UserError. */
export async function askVm(
  connection: NatsConnection,
  host: string,
  vm: string,
  method: string,
  params: object = {},
): Promise<Fields> {
  try {
    const message = await connection.request(askSubject(host, vm), JSON.stringify({ method, params }), {
      timeout: PATIENCE,
    });
    const answer = fieldsOf(message.json());
    if (typeof answer.error === "string") throw new UserError(answer.error);
    return answer;
  } catch (error) {
    if (error instanceof UserError) throw error;
    const isNobody = error instanceof RequestError && error.isNoResponders();
    throw new NoAgent(`${host}: ${isNobody ? "no agent of this host is connected" : (error as Error).message}`);
  }
}

/** The host of a VM; `vm` may be HOST/NAME. Throws UserError where there is none, or several. */
export async function findVm(connection: NatsConnection, vm: string): Promise<{ host: string; name: string }> {
  const [host, name = "", more] = vm.includes("/") ? vm.split("/") : [undefined, vm];
  if (more !== undefined || !isFleetName(name) || (host !== undefined && !isFleetName(host))) {
    throw new UserError(`${JSON.stringify(vm.slice(0, 80))} is no VM: give NAME or HOST/NAME`);
  }
  if (host !== undefined) return { host, name };
  const found = (await listVms(connection)).filter((record) => record.name === name);
  if (found.length === 1) return { host: found[0]!.host, name };
  const where = found.map((record) => `${record.host}/${name}`).join(", ");
  throw new UserError(
    found.length === 0
      ? `${vm}: no agent has told of a VM of this name within ${STATE_LIFE / 1000} s`
      : `${vm}: there are several: give one of ${where}`,
  );
}

/**
 * The latest state of each VM. Agents tell it anew all the time: what is replaced while the bucket is read comes later, with a number
 * beyond those that there were at the beginning. So all keys of then are waited for, as long as a living VM may be silent (STATE_INTERVAL).
 */
async function current(bucket: KV): Promise<ListedVm[]> {
  const records = new Map<string, ListedVm>();
  const seen = new Set<string>();
  const ofHost = new Map<string, number>();
  const { values } = await bucket.status();
  const wanted = Math.min(values, MOST_RECORDS);
  if (wanted === 0) return [];
  const entries = await bucket.watch({ include: KvWatchInclude.LastValue });
  const silence = setTimeout(() => entries.stop(), SILENCE);
  const patience = setTimeout(() => entries.stop(), SILENCE + STATE_INTERVAL);
  try {
    for await (const entry of entries) {
      silence.refresh();
      const record = recordOf(entry);
      if (record === undefined) records.delete(entry.key);
      else if (records.has(entry.key)) records.set(entry.key, record);
      else {
        // An agent may write as many keys as it likes, but only its host's.
        const count = ofHost.get(record.host) ?? 0;
        if (count < MOST_OF_A_HOST && records.size < MOST_RECORDS) records.set(entry.key, record);
        ofHost.set(record.host, count + 1);
      }
      if (seen.add(entry.key).size >= wanted) break;
    }
  } finally {
    clearTimeout(silence);
    clearTimeout(patience);
  }
  return [...records.values()];
}

const NOT_SET_UP = "; is the fleet set up (softnet fleet init), and may you?";

async function explained<T>(what: string, work: () => Promise<T>, remedy = NOT_SET_UP): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${what}: ${(error as Error).message}${remedy}`);
  }
}
