/**
 * The TAP between an attached interface and the relay (bpf/attach.bpf.c), with the programs that lead one to the other.
 * Whether large frames and partial checksums come through it, the session decides, as for any other TAP.
 */
import { randomInt } from "node:crypto";
import { createMap, freezeMap, setElement } from "../native/linux/bpf.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { FROM_RELAY, FROM_VM, INTERFACES, TO_VM } from "./bytecode.ts";
import type { Programs } from "./hooks.ts";
import { loadBytecode } from "./load.ts";

/** The upper half of what is possible: the kernel counts from 1, and no other program chooses such numbers. */
const FIRST_INDEX = 2 ** 30;
const LAST_INDEX = 2 ** 31 - 1;

/** A number for the TAP that no interface of this or another network namespace has, or will get. */
export function randomIndex(): number {
  return randomInt(FIRST_INDEX, LAST_INDEX);
}

export interface Loaded {
  /** For the VM's interface. */
  readonly vm: Programs;
  /** For the TAP: where what the relay sends comes in. */
  readonly fromRelay: number;
  /** Closes the descriptors. What is attached stays. */
  close(): void;
}

/** Loads the programs for the interface `vm` and the TAP `relay`, by number. Throws Error when the kernel refuses. */
export function loadPrograms(libc: LinuxLibc, vm: number, relay: number): Loaded {
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
    setElement(libc, interfaces, 0, new Uint8Array(Uint32Array.of(vm, relay).buffer));
    freezeMap(libc, interfaces);
    const load = (program: typeof FROM_VM): number => keep(loadBytecode(libc, program, { interfaces }));
    return { vm: { ingress: load(FROM_VM), egress: load(TO_VM) }, fromRelay: load(FROM_RELAY), close };
  } catch (error) {
    close();
    throw error;
  }
}
