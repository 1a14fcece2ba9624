/**
 * How much V8 compiles into one function. A frame's walk is some fifty small functions, and V8 stops to join them at a bound that
 * was chosen for code in general: what is beyond it is called, one frame after the other. With these bounds a whole walk is one
 * piece, and the guard takes a fifth less time for a frame (docs/performance.md).
 */
import { setFlagsFromString } from "node:v8";

/** V8's options and their values, in units of bytecode; its own are 920 and 460. */
export const INLINING = [
  ["--max-inlined-bytecode-size-cumulative", 6000],
  ["--max-inlined-bytecode-size", 2000],
] as const;

/** Sets them for functions that this process compiles from now on. V8 reads them when it does. */
export function inlineMore(): void {
  for (const [name, value] of INLINING) setFlagsFromString(`${name}=${value}`);
}
