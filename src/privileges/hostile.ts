/**
 * What a caller can do to a program that has more rights than he, before its first statement: his environment, his
 * descriptors, his signals. libc and Node themselves refuse most of it where the real and the effective ids differ
 * (LD_PRELOAD, NODE_OPTIONS, NODE_EXTRA_CA_CERTS …; Node opens /dev/null for a closed descriptor 0, 1 or 2). The rest:
 *
 * - NODE_V8_COVERAGE: at the exit Node writes files into a folder of the caller's choice, with softnet's rights.
 * - NODE_CHANNEL_FD: Node speaks its own protocol with whoever holds the other end.
 * - SIGUSR1: Node opens its debugger on a port of 127.0.0.1, through which anybody on the machine runs code in softnet.
 *   The caller may send it, since the real user is he; after the drop, all of his programs may.
 */
import { stopCoverage } from "node:v8";

/** To be called first. Does nothing where no rights are gained or held. */
export function disarm(): void {
  const mixed = process.getuid?.() !== process.geteuid?.() || process.getgid?.() !== process.getegid?.();
  if (!mixed && process.geteuid?.() !== 0) return;
  process.on("SIGUSR1", () => {});
  if (!mixed) return;
  if (process.env.NODE_V8_COVERAGE !== undefined) stopCoverage();
  delete process.env.NODE_V8_COVERAGE;
  delete process.env.NODE_CHANNEL_FD;
  if (process.channel) process.disconnect?.();
}
