/** The host's registry, as far as a lab's namespaces wrote to it. */
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import type { Namespace } from "./netns.ts";

const DIRECTORY = "/run/softnet";
/** Of interfaces that softnet was attached to: their names begin with the namespace's inode. */
const ATTACHED = `${DIRECTORY}/attached`;

/** What the records say of a namespace: its inode's number. */
export function registryScope(namespace: Namespace): string {
  return `network namespace ${statSync(`/run/netns/${namespace.name}`).ino} `;
}

/** Removes the records of softnets that ran in a namespace, all of which have ended. */
export function clearRegistry(namespace: Namespace): void {
  for (const path of recordsOf(namespace)) for (const file of [`${path}.pairs`, path]) rmSync(file, { force: true });
  const own = `${statSync(`/run/netns/${namespace.name}`).ino}-`;
  for (const name of existsSync(ATTACHED) ? readdirSync(ATTACHED) : []) {
    if (name.startsWith(own)) rmSync(`${ATTACHED}/${name}`, { force: true });
  }
}

/** Paths of the records of a namespace's softnets. */
export function recordsOf(namespace: Namespace): string[] {
  const scope = registryScope(namespace);
  return records().filter((path) => read(path).includes(scope));
}

function records(): string[] {
  try {
    return readdirSync(DIRECTORY).map((name) => `${DIRECTORY}/${name}`);
  } catch {
    return []; // no softnet ran as root yet
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // another softnet has just removed it
  }
}
