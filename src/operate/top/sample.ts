/** What all softnets of the host said at one moment: totals. Two of them make rates (rates.ts). */
import { askAll } from "../ask.ts";
import { fieldsOf, listOf, numberOf, textOf } from "../fields.ts";
import { type HostVm, readHostVms } from "../host-vms.ts";
import type { FoundVm } from "../vms.ts";

/** Names of one VM that are kept from an answer: softnet itself counts no more. */
const MOST_NAMES = 4_097;

/** What was asked for by one name. `name` is ready to be printed. */
export interface NameTotal {
  readonly name: string;
  readonly asked: number;
  readonly denied: number;
  readonly passed: number;
  readonly refused: number;
}

export interface Sample {
  /** Milliseconds on a clock that only goes forward. */
  readonly at: number;
  readonly vms: readonly HostVm[];
  /** By the path of the control socket; only of those that were asked for it. */
  readonly names: ReadonlyMap<string, readonly NameTotal[]>;
}

/** What stays the same for one VM while its softnet runs. */
export function keyOf({ found: { control, network = "", mac = "" } }: HostVm): string {
  return control ?? `${network} ${mac}`;
}

/** Asks all for their status, and those that `wanted` chooses for their names. */
export async function takeSample(found: readonly FoundVm[], wanted: (control: string) => boolean): Promise<Sample> {
  const vms = await readHostVms(found);
  const at = performance.now();
  const paths = vms.flatMap(({ status, found: { control } }) =>
    status !== undefined && control !== undefined && wanted(control) ? [control] : [],
  );
  const names = new Map<string, readonly NameTotal[]>();
  for (const one of await askAll(paths, "softnet.names")) {
    if ("answer" in one) names.set(one.path, listOf(one.answer.names).slice(0, MOST_NAMES).flatMap(nameTotal));
  }
  return { at, vms, names };
}

function nameTotal(value: unknown): NameTotal[] {
  const fields = fieldsOf(value);
  const name = textOf(fields.name);
  const [asked = 0, denied = 0, passed = 0, refused = 0] = [
    fields.asked,
    fields.denied,
    fields.passed,
    fields.refused,
  ].map(numberOf);
  return name === undefined ? [] : [{ name, asked, denied, passed, refused }];
}
