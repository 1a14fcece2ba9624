/** The stand-ins for Apple's libraries, as tests use them: one set a process, since they share one state. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import koffi from "koffi";
import { loadVmnetNative, type VmnetNative } from "../../src/networks/vmnet/native.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { type MacOS, type TwinControl, type TwinLibraries, twinControl, twinLibraries } from "../twin/build.ts";

export { needsTwin } from "../twin/build.ts";

export interface Twin {
  readonly libraries: TwinLibraries;
  readonly control: TwinControl;
  readonly native: VmnetNative;
}

let loaded: Twin | undefined;

/** The stand-ins of this process. */
export function twin(macos: MacOS = 26): Twin {
  if (loaded === undefined) {
    const libraries = twinLibraries({ macos, sanitized: process.env.LD_PRELOAD?.includes("asan") ?? false });
    koffi.load(libraries.system); // the others are linked with these two by names that they have once they are loaded
    koffi.load(libraries.coreFoundation);
    loaded = { libraries, control: twinControl(libraries), native: loadVmnetNative(libraries) };
  }
  return loaded;
}

/** What a test injects is taken back when it ends; then nothing may be held. */
export function inject(t: TestContext, what: string, value: number): void {
  const { control } = twin();
  control.inject(what, value);
  t.after(() => control.inject(what, 0));
}

/** Asserts that objects, blocks and interfaces are all given back; waits for threads that are just doing so. */
export async function assertNothingHeld(): Promise<void> {
  // A thread may still wait for the event loop, which asking keeps from turning.
  let held = 1;
  for (let round = 0; held > 0 && round < 3; round++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    held = twin().control.reportLeaks();
  }
  assert.equal(held, 0);
}

/** The frames of a batch, copied. */
export function frames(batch: Batch): Buffer[] {
  return Array.from({ length: batch.count }, (_, index) =>
    Buffer.from(batch.bytes.subarray(batch.offset[index], batch.offset[index]! + batch.length[index]!)),
  );
}

/** Fills a batch. */
export function put(batch: Batch, all: readonly Uint8Array[]): void {
  for (const [index, one] of all.entries()) {
    batch.offset[index] = batch.slotOffset(index);
    batch.length[index] = one.length;
    batch.bytes.set(one, batch.offset[index]);
  }
  batch.count = all.length;
}
