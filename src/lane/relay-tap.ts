/**
 * The programs of an attached interface: those that lead it to softnet's TAP and back (bpf/attach.bpf.c), or, where the
 * kernel can do that, those with the express lane (bpf/lane.bpf.c). Whether large frames and partial checksums come through
 * the TAP, the session decides, as for any other TAP.
 */
import { randomInt } from "node:crypto";
import { createMap, freezeMap, setElement } from "../native/linux/bpf.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import {
  FROM_RELAY,
  FROM_VM,
  INTERFACES,
  LANE_FROM_NETWORK,
  LANE_FROM_NETWORK_6,
  LANE_FROM_VM,
  LANE_FROM_VM_6,
  LANE_TO_VM,
  LANE_TO_VM_6,
  TO_VM,
} from "./bytecode.ts";
import type { Programs } from "./hooks.ts";
import { type LaneMemory, makeLaneMemory } from "./lane-memory.ts";
import { type Bytecode, type KernelTypes, loadBytecode } from "./load.ts";

/** The upper half of what is possible: the kernel counts from 1, and no other program chooses such numbers. */
const FIRST_INDEX = 2 ** 30;
const LAST_INDEX = 2 ** 31 - 1;

/** A number for a TAP that no interface of this or another network namespace has, or will get. */
export function randomIndex(): number {
  return randomInt(FIRST_INDEX, LAST_INDEX);
}

/** Interfaces by number. */
export interface Places {
  readonly vm: number;
  /** The TAP that the relay reads. */
  readonly relay: number;
  /** Softnet's TAP on the VM's network; there may be none. */
  readonly network: number;
}

/** What makes the lane out of loaded programs. */
export interface LoadedLane {
  readonly memory: LaneMemory;
  /** For the egress of the TAP on the network: a descriptor of its own, which `close` of the programs leaves open. */
  readonly fromNetwork: number;
}

export interface Loaded {
  /** For the VM's interface. */
  readonly vm: Programs;
  /** For the TAP: where what the relay sends comes in. */
  readonly fromRelay: number;
  /** Or why there is none, in a few words. */
  readonly lane: LoadedLane | string;
  /** Closes the descriptors. What is attached stays. */
  close(): void;
}

/** The lane's programs. */
export interface LaneCode {
  readonly fromVm: Bytecode;
  readonly fromNetwork: Bytecode;
  readonly toVm: Bytecode;
}

/** Those that pass IPv4 alone, and those that pass IPv6, too. */
export const IPV4_LANE: LaneCode = { fromVm: LANE_FROM_VM, fromNetwork: LANE_FROM_NETWORK, toVm: LANE_TO_VM };
export const BOTH_LANE: LaneCode = { fromVm: LANE_FROM_VM_6, fromNetwork: LANE_FROM_NETWORK_6, toVm: LANE_TO_VM_6 };

/**
 * Loads the programs. `ipv6`: the lane passes IPv6, too. `kernelTypes` returns what the lane needs to know of the kernel, or why there shall be no lane. Throws
 * Error when the kernel refuses those without it.
 */
export function loadPrograms(
  libc: LinuxLibc,
  { vm, relay, network }: Places,
  ipv6: boolean,
  kernelTypes: () => KernelTypes | string,
): Loaded {
  const open: number[] = [];
  const close = (): void => {
    for (const fd of open.splice(0)) libc.close(fd);
  };
  const keep = (fd: number): number => {
    open.push(fd);
    return fd;
  };
  try {
    const interfaces = keep(createMap(libc, INTERFACES));
    setElement(libc, interfaces, 0, new Uint8Array(Uint32Array.of(vm, relay, network).buffer));
    freezeMap(libc, interfaces);
    const load = (program: Bytecode): number => keep(loadBytecode(libc, program, { interfaces }));
    const fromRelay = load(FROM_RELAY);
    const lane = loadLane(libc, interfaces, ipv6, kernelTypes());
    if (typeof lane !== "string") {
      const { ingress, egress, fromNetwork, memory } = lane;
      return { vm: { ingress: keep(ingress), egress: keep(egress) }, fromRelay, lane: { memory, fromNetwork }, close };
    }
    return { vm: { ingress: load(FROM_VM), egress: load(TO_VM) }, fromRelay, lane, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Gives a lane's memory and program back, where there is one. */
export function discardLane(libc: LinuxLibc, lane: LoadedLane | string): void {
  if (typeof lane === "string") return;
  libc.close(lane.fromNetwork);
  lane.memory.free();
}

/** The programs of the lane, or why this kernel does not take them. */
function loadLane(
  libc: LinuxLibc,
  interfaces: number,
  ipv6: boolean,
  types: KernelTypes | string,
): (Programs & LoadedLane) | string {
  if (typeof types === "string") return types;
  const opened: number[] = [];
  let memory: LaneMemory | undefined;
  try {
    memory = makeLaneMemory(libc, ipv6);
    const code = ipv6 ? BOTH_LANE : IPV4_LANE;
    const maps = { ...memory.maps, interfaces };
    const load = (program: Bytecode): number => {
      const fd = loadBytecode(libc, program, maps, types);
      opened.push(fd);
      return fd;
    };
    const ingress = load(code.fromVm);
    const egress = load(code.toVm);
    const fromNetwork = load(code.fromNetwork);
    memory.closeMaps();
    return { ingress, egress, fromNetwork, memory };
  } catch (error) {
    for (const fd of opened) libc.close(fd);
    memory?.free();
    return (error as Error).message;
  }
}
