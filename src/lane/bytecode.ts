/** Written by scripts/bytecode.ts from src/lane/bpf/ ("npm run bytecode"): change the C source, not this. */
import type { MapDefinition } from "../native/linux/bpf.ts";
import type { Bytecode } from "./load.ts";

export const INTERFACES: MapDefinition = {
  name: "interfaces",
  type: 2,
  keySize: 4,
  valueSize: 8,
  entries: 1,
  flags: 128,
};

export const FROM_VM: Bytecode = {
  name: "from_vm",
  code: `
    b701000000000000 631afcff00000000 bfa2000000000000 07020000fcffffff 1801000000000000 0000000000000000
    8500000001000000 bf01000000000000 b700000002000000 1501030000000000 6111040000000000 b702000000000000
    8500000017000000 9500000000000000
  `,
  maps: [{ at: 4, map: "interfaces" }],
};

export const TO_VM: Bytecode = {
  name: "to_vm",
  code: `
    bf16000000000000 b701000000000000 631afcff00000000 bfa2000000000000 07020000fcffffff 1801000000000000
    0000000000000000 8500000001000000 bf01000000000000 b700000002000000 1501050000000000 6111040000000000
    6162240000000000 b7000000ffffffff 1d12010000000000 b700000002000000 9500000000000000
  `,
  maps: [{ at: 5, map: "interfaces" }],
};

export const FROM_RELAY: Bytecode = {
  name: "from_relay",
  code: `
    b701000000000000 631afcff00000000 bfa2000000000000 07020000fcffffff 1801000000000000 0000000000000000
    8500000001000000 bf01000000000000 b700000002000000 1501030000000000 6111000000000000 b702000000000000
    8500000017000000 9500000000000000
  `,
  maps: [{ at: 4, map: "interfaces" }],
};
