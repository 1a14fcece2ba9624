/** `--expose 2222:22,8080:80`: which TCP ports of the host lead to which ports of the VM. */
import { UserError } from "../user-error.ts";

export interface Exposure {
  /** TCP port of the host, 1 … 65,535. */
  readonly external: number;
  /** TCP port of the VM. */
  readonly internal: number;
}

export const MOST_EXPOSURES = 256;

/** Parses the whole list. Throws UserError. */
export function parseExposures(text: string): Exposure[] {
  const words = text.trim() === "" ? [] : text.split(",").map((word) => word.trim());
  if (words.length > MOST_EXPOSURES) {
    throw new UserError(`--expose: ${words.length} ports are too many: at most ${MOST_EXPOSURES}`);
  }
  const exposures = words.map(parseExposure);
  const seen = new Set<number>();
  for (const { external } of exposures) {
    if (seen.has(external)) throw new UserError(`--expose: port ${external} is exposed twice; name it once`);
    seen.add(external);
  }
  return exposures;
}

function parseExposure(word: string): Exposure {
  const match = /^(\d{1,5}):(\d{1,5})$/.exec(word);
  const [external, internal] = match ? [Number(match[1]), Number(match[2])] : [0, 0];
  if (isPort(external) && isPort(internal)) return { external, internal };
  throw new UserError(
    `--expose ${JSON.stringify(word)} is not valid: give EXTERNAL:INTERNAL, two TCP ports from 1 to 65535, such as 2222:22`,
  );
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535;
}
