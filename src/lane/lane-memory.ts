/**
 * The memory that the lane's programs share with softnet: three maps, and two more for IPv6, made and mapped while the process
 * is root.
 */
import { createMap } from "../native/linux/bpf.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { type SharedMemory, shareMemory } from "../native/linux/shared-memory.ts";
import { COUNTS, FLOWS, FLOWS6, OWN6, VM_STATE } from "./bytecode.ts";
import { FLOWS_SIZE } from "./flows-4.ts";
import { FLOWS6_SIZE } from "./flows-6.ts";
import type { IPv6Memory } from "./ipv6-lane.ts";
import { COUNTS_SIZE, possibleProcessors } from "./lane-counts.ts";
import { OWN6_SIZE } from "./own-places.ts";

export interface LaneMemory {
  /** Descriptors of the maps, by name, until `closeMaps`. */
  readonly maps: Readonly<Record<string, number>>;
  readonly vm: SharedMemory;
  readonly flows: SharedMemory;
  readonly counts: SharedMemory;
  /** Where the lane passes IPv6, too. */
  readonly ipv6?: IPv6Memory;
  readonly processors: number;
  /** Closes the descriptors; the memory stays. */
  closeMaps(): void;
  /** Gives the memory back. Harmless when called twice. */
  free(): void;
}

/** `ipv6`: for programs that pass IPv6, too. Throws Error when the kernel refuses. */
export function makeLaneMemory(libc: LinuxLibc, ipv6: boolean): LaneMemory {
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
    if (!ipv6) return { maps, vm, flows, counts, processors, closeMaps, free };
    const [ownMap, own] = make(OWN6, OWN6_SIZE);
    const [flowMap6, flows6] = make(FLOWS6, FLOWS6_SIZE);
    return {
      maps: { ...maps, [OWN6.name]: ownMap, [FLOWS6.name]: flowMap6 },
      ...{ vm, flows, counts, processors, closeMaps, free },
      ipv6: { own, flows: flows6 },
    };
  } catch (error) {
    free();
    throw error;
  }
}
