/** What happens a second: the difference of two samples. */
import { fieldsOf, numberOf } from "../fields.ts";
import { dropsOf, type HostVm } from "../host-vms.ts";
import { keyOf, type Sample } from "./sample.ts";

/** One direction: totals, and how much a second where there was a sample before. */
export interface Traffic {
  readonly frames: number;
  readonly bytes: number;
  readonly framesRate?: number;
  readonly bitsRate?: number;
}

export interface DropCount {
  readonly reason: string;
  readonly count: number;
  readonly rate?: number;
}

/** One VM as the screen shows it. */
export interface Row {
  readonly key: string;
  readonly vm: HostVm;
  readonly fromVm?: Traffic;
  readonly toVm?: Traffic;
  readonly flows?: number;
  /** Of all reasons together. */
  readonly dropRate?: number;
  /** Those that happen most often now first, then those that happened most often. */
  readonly drops: readonly DropCount[];
}

/** Rates are absent without a sample before, and where a softnet counts anew because it was started again. */
export function rowsOf(sample: Sample, before: Sample | undefined): Row[] {
  const earlier = new Map(before?.vms.map((vm) => [keyOf(vm), vm]));
  const seconds = before === undefined ? 0 : (sample.at - before.at) / 1000;
  return sample.vms.map((vm) => rowOf(vm, earlier.get(keyOf(vm)), seconds));
}

function rowOf(vm: HostVm, before: HostVm | undefined, seconds: number): Row {
  const key = keyOf(vm);
  const { status } = vm;
  if (status === undefined) return { key, vm, drops: [] };
  const last = isContinued(vm, before) ? before?.status : undefined;
  const rate = (now: number, then: number | undefined): number | undefined =>
    last === undefined || then === undefined || seconds <= 0 || now < then ? undefined : (now - then) / seconds;
  const traffic = (direction: "egress" | "ingress"): Traffic => {
    const [now, then] = [totals(status, direction), last && totals(last, direction)];
    const framesRate = rate(now.frames, then?.frames);
    const bytesRate = rate(now.bytes, then?.bytes);
    return {
      ...now,
      ...(framesRate !== undefined && { framesRate }),
      ...(bytesRate !== undefined && { bitsRate: bytesRate * 8 }),
    };
  };
  const then = last && dropsOf(last);
  const drops = [...dropsOf(status)].map(([reason, count]) => {
    const one = rate(count, then && (then.get(reason) ?? 0));
    return { reason, count, ...(one !== undefined && { rate: one }) };
  });
  drops.sort((a, b) => (b.rate ?? 0) - (a.rate ?? 0) || b.count - a.count || (a.reason < b.reason ? -1 : 1));
  const flows = numberOf(fieldsOf(status.flows).inUse);
  return {
    key,
    vm,
    fromVm: traffic("egress"),
    toVm: traffic("ingress"),
    drops,
    ...(flows !== undefined && { flows }),
    ...(then !== undefined && { dropRate: drops.reduce((sum, one) => sum + (one.rate ?? 0), 0) }),
  };
}

/** The same softnet as before: it is up for no shorter time. */
function isContinued({ uptime = 0 }: HostVm, before: HostVm | undefined): boolean {
  return before?.status !== undefined && uptime >= (before.uptime ?? 0);
}

function totals(status: NonNullable<HostVm["status"]>, direction: "egress" | "ingress") {
  const counts = fieldsOf(fieldsOf(status.counters)[direction]);
  return { frames: numberOf(counts.frames) ?? 0, bytes: numberOf(counts.bytes) ?? 0 };
}
