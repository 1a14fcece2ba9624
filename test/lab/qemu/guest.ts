/** What a system that boots in QEMU tells on its serial console, and what it must have told. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Program } from "../harness/program.ts";
import { INTERNET } from "../harness/topology.ts";
import { pattern } from "../tools/pattern.ts";
import { MARK } from "./initramfs.ts";

/** Bytes that each system downloads. */
export const SIZE = 4 << 20;
export const URL = `http://${INTERNET}/${SIZE}`;

/** Waits until the system has done its work, all of it well; answers its address. */
export async function worked(console: Program, router?: string): Promise<string> {
  await console.line(new RegExp(`${MARK} booted`));
  await console.line(new RegExp(`${MARK} end`));
  const told = (event: string): string => {
    const line = console.stdout.find((one) => one.includes(`${MARK} ${event} `));
    assert.ok(line !== undefined, `the system told of no ${event}\n${console.text()}`);
    return line;
  };
  const lease = /address=(\S+) router=(\S+)/.exec(told("lease"))!;
  if (router !== undefined) assert.equal(lease[2], router);
  assert.match(told("ping"), / 3 packets received/);
  const sha256 = createHash("sha256").update(pattern(SIZE)).digest("hex");
  assert.match(told("downloaded"), new RegExp(`bytes=${SIZE} sha256=${sha256}`));
  return lease[1]!;
}
