/**
 * Asks many softnets the same at once, through their control sockets. One that cannot be asked, or does not answer in time,
 * does not keep the others waiting.
 */
import { type Answer, ControlClient, NoSoftnet } from "../control/client.ts";
import { UserError } from "../user-error.ts";

/** How many are asked at a time. */
export const AT_ONCE = 32;

/** Milliseconds that each of them has. */
export const ANSWER_WITHIN = 2_000;

/** The answer of one, or why there is none. */
export type Asked =
  | { readonly path: string; readonly answer: Answer }
  | {
      readonly path: string;
      readonly error: string;
      /** Nothing listens there: its softnet has ended. */
      readonly gone: boolean;
    };

/** Resolves with one item for each path, in their order. Rejects only for an error in softnet itself. */
export async function askAll(
  paths: readonly string[],
  method: string,
  params: object = {},
  within = ANSWER_WITHIN,
): Promise<Asked[]> {
  const results: Asked[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < paths.length) {
      const index = next++;
      results[index] = await askOne(paths[index]!, method, params, within);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, paths.length) }, worker));
  return results;
}

/** As `askAll`, of one. */
export async function askOne(path: string, method: string, params: object, within: number): Promise<Asked> {
  let client: ControlClient | undefined;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    client?.close();
  }, within);
  try {
    client = await ControlClient.connect(path);
    return { path, answer: await client.ask(method, params) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const why = late ? `${path}: no answer within ${within / 1000} s` : error.message;
    return { path, error: why, gone: error instanceof NoSoftnet };
  } finally {
    clearTimeout(timer);
    client?.close();
  }
}
