/**
 * Follows the bucket of documents: first all that stand there, then each change. What NATS pushes is fast, but it may stop without a word:
 * the server that pushed was killed, or its disk is full, and NATS' client looks for another one after a minute or more (it
 * misses two heartbeats of 30 s). So every LOOK milliseconds the bucket itself is asked for its last revision, and where that has not come
 * by the next time, the watch ends, to be begun again.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { textOfEntry } from "./document-store.ts";
import type { KeptEntry } from "./kept-documents.ts";
import { POLICY_BUCKET } from "./places.ts";

/** Milliseconds between two questions for the last revision. */
const LOOK = 2_000;
/** Milliseconds without a document until all that are there have come. */
const SILENCE = 1_000;

export interface BucketReader {
  take(key: string, entry: KeptEntry): void;
  /** All that were there have been taken. */
  whole(): void;
}

/**
 * Resolves with "behind" where it was not told of a revision, else when NATS has ended it. Rejects with NATS' error, also after
 * `patience` milliseconds without an answer.
 */
export async function followBucket(
  connection: NatsConnection,
  patience: number,
  reader: BucketReader,
): Promise<"behind" | "ended"> {
  const streams = (await jetstreamManager(connection, { checkAPI: false, timeout: patience })).streams;
  const last = async (): Promise<number> => (await streams.info(`KV_${POLICY_BUCKET}`)).state.last_seq;
  const atBegin = await last();
  const entries = await (await new Kvm(jetstream(connection, { timeout: patience })).open(POLICY_BUCKET)).watch();
  let seen = 0;
  let isWhole = false;
  let isBehind = false;
  const whole = (): void => {
    isWhole = true;
    reader.whole();
  };
  const silence = setTimeout(whole, SILENCE);
  let due = 0;
  let looking: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    if (due > seen) {
      isBehind = true;
      entries.stop();
      return;
    }
    due = await last().catch(() => due); // NATS is away: that is known elsewhere
    if (looking !== undefined) looking = setTimeout(look, LOOK);
  };
  looking = setTimeout(look, LOOK);
  try {
    for await (const { key, revision, operation, value, delta } of entries) {
      silence.refresh();
      seen = Math.max(seen, revision);
      reader.take(key, operation === "PUT" ? { revision, text: textOfEntry(value) } : { revision });
      if (delta !== 0 || isWhole) continue;
      clearTimeout(silence);
      seen = Math.max(seen, atBegin); // the last one may have been removed
      whole();
    }
  } finally {
    clearTimeout(silence);
    clearTimeout(looking);
    looking = undefined;
  }
  return isBehind ? "behind" : "ended";
}
