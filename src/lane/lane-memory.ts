/** The memory that the lane's programs share with softnet: three maps, made and mapped while the process is root. */
import { createMap } from "../native/linux/bpf.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { type SharedMemory, shareMemory } from "../native/linux/shared-memory.ts";
import { FLOWS_SIZE } from "./admitted-flows.ts";
import { COUNTS, FLOWS, VM_STATE } from "./bytecode.ts";
import { COUNTS_SIZE, possibleProcessors } from "./lane-counts.ts";

export interface LaneMemory {
  /** Descriptors of the maps, by name, until `closeMaps`. */
  readonly maps: Readonly<Record<string, number>>;
  readonly vm: SharedMemory;
  readonly flows: SharedMemory;
  readonly counts: SharedMemory;
  readonly processors: number;
  /** Closes the descriptors; the memory stays. */
  closeMaps(): void;
  /** Gives the memory back. Harmless when called twice. */
  free(): void;
}

/** Throws Error when the kernel refuses. */
export function makeLaneMemory(libc: LinuxLibc): LaneMemory {
  const open: number[] = [];
  const shared: SharedMemory[] = [];
  const closeMaps = (): void => {
    for (const fd of open.splice(0)) libc.close(fd);
  };
  const free = (): void => {
    closeMaps();
    for (const memory of shared.splice(0)) memory.free();
  };
  try {
    const processors = possibleProcessors();
    const make = (definition: typeof FLOWS, size: number): [number, SharedMemory] => {
      const fd = createMap(libc, definition);
      open.push(fd);
      const memory = shareMemory(libc, fd, size);
      shared.push(memory);
      return [fd, memory];
    };
    const [vmMap, vm] = make(VM_STATE, VM_STATE.valueSize);
    const [flowMap, flows] = make(FLOWS, FLOWS_SIZE);
    const [countMap, counts] = make({ ...COUNTS, entries: processors }, processors * COUNTS_SIZE);
    const maps = { [VM_STATE.name]: vmMap, [FLOWS.name]: flowMap, [COUNTS.name]: countMap };
    return { maps, vm, flows, counts, processors, closeMaps, free };
  } catch (error) {
    free();
    throw error;
  }
}
