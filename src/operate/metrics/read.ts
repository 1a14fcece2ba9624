/**
 * Reads the text that one softnet answered `softnet.metrics` with. Who answers may be a program of another user's: only
 * families that softnet has, with their labels and the words that these may have, are taken; all else is left out. So one
 * answer cannot spoil the text about all VMs, and its size is bounded.
 */
import { familyOf, type MetricFamily } from "../../telemetry/metric-families.ts";

export interface Sample {
  readonly family: MetricFamily;
  /** Of the family's labels, in their order. */
  readonly values: readonly string[];
  /** As it was written. */
  readonly value: string;
}

/** Characters of an answer, and samples of one VM. */
const LONGEST_TEXT = 262_144;
const MOST_SAMPLES = 1_000;

const LINE = /^([a-z_]{1,64})\{([^\n]{1,2048})\} (\d{1,20}(?:\.\d{1,9})?(?:e\+\d{1,2})?)$/;
const LABEL = /([a-z_]{1,32})="((?:[^"\\\n]|\\["\\n]){0,512})"(,|$)/y;

/** Samples without the label `vm`, each once. */
export function readExposition(text: string): Sample[] {
  const samples: Sample[] = [];
  const seen = new Set<string>();
  if (text.length > LONGEST_TEXT) return samples;
  for (const line of text.split("\n")) {
    const sample = line.startsWith("#") ? undefined : readSample(line);
    if (sample === undefined) continue;
    const key = JSON.stringify([sample.family.name, ...sample.values]);
    if (seen.has(key)) continue;
    seen.add(key);
    if (samples.push(sample) === MOST_SAMPLES) break;
  }
  return samples;
}

function readSample(line: string): Sample | undefined {
  const [, name, labels, value] = LINE.exec(line) ?? [];
  const family = familyOf(name ?? "");
  if (family === undefined) return undefined;
  if (family.type === "info" && value !== "1") return undefined;
  const values = readLabels(labels!, ["vm", ...family.labels.map((label) => label.name)])?.slice(1);
  if (values === undefined) return undefined;
  const known = family.labels.every(({ words }, index) => words?.includes(values[index]!) ?? true);
  return known ? { family, values, value: value! } : undefined;
}

/** The labels' values, where they have just these names in this order. */
function readLabels(text: string, names: readonly string[]): string[] | undefined {
  const values: string[] = [];
  LABEL.lastIndex = 0;
  for (const [index, name] of names.entries()) {
    const [, found, value, end] = LABEL.exec(text) ?? [];
    if (found !== name || (end === "") !== (index === names.length - 1)) return undefined;
    values.push(value!.replaceAll(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character)));
  }
  return LABEL.lastIndex === text.length ? values : undefined;
}
