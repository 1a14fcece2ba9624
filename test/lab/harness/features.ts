/** Turns offloads of interfaces off and on, for scenes with each combination of them. */
import assert from "node:assert/strict";
import type { Feature } from "../tools/features.ts";
import type { Namespace } from "./netns.ts";
import { tool } from "./topology.ts";

export type Settings = Readonly<Partial<Record<Feature, boolean>>>;

/** Returns those that are on then: one may need another. */
export async function setFeatures(namespace: Namespace, link: string, settings: Settings): Promise<string[]> {
  const words = Object.entries(settings).map(([feature, on]) => `${feature}=${on ? "on" : "off"}`);
  const { code, stdout, stderr } = await namespace.run(process.execPath, [tool("features.ts"), link, ...words]);
  assert.equal(code, 0, stderr);
  const on = stdout.trim().split(" ");
  for (const [feature, wanted] of Object.entries(settings)) assert.ok(wanted || !on.includes(feature), feature);
  return on;
}

const ROWS = 6;

/**
 * Rows of up to 15 switches, in which any two of them stand in all four ways: all on, all off, and then each is on in four of
 * six rows, no two in the same four (Kleitman and Spencer's construction). On is the more frequent one, because what needs
 * another offload is off without it.
 */
export function pairwise(switches: number): boolean[][] {
  const columns = Array.from({ length: 2 ** ROWS }, (_, bits) => bits).filter((bits) => weight(bits) === 4);
  assert.ok(switches <= columns.length, `${switches} switches`);
  const all = (on: boolean) => Array.from({ length: switches }, () => on);
  const rows = Array.from({ length: ROWS }, (_, row) =>
    columns.slice(0, switches).map((bits) => ((bits >>> row) & 1) === 1),
  );
  return [all(true), all(false), ...rows];
}

const weight = (bits: number): number => bits.toString(2).replaceAll("0", "").length;
