/**
 * How much V8 compiles into one function. The walk of a frame is many small functions, and V8 joins functions up to a bound that was
 * chosen for code in general; what is beyond it is called for each frame. With these bounds the guard takes a fifth less time for a
 * frame (measured: docs/performance.md).
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
