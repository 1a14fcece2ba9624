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

export interface Expected {
  /** The gateway's address; any by default. */
  readonly router?: string;
  /** Whether policy closes the gateway. */
  readonly isGatewayClosed?: boolean;
}

/** Waits until the system has done its work, all of it as expected; returns its address. */
export async function worked(console: Program, { router, isGatewayClosed }: Expected = {}): Promise<string> {
  await console.line(new RegExp(`${MARK} booted`));
  await console.line(new RegExp(`${MARK} end`));
  const told = (event: string): string => {
    const line = console.stdout.find((one) => one.includes(`${MARK} ${event} `));
    assert.ok(line !== undefined, `the system told of no ${event}\n${console.text()}`);
    return line;
  };
  const lease = /address=(\S+) router=(\S+)/.exec(told("lease"))!;
  if (router !== undefined) assert.equal(lease[2], router);
  if (isGatewayClosed)
    assert.ok(
      console.stdout.some((line) => line.includes(`${MARK} no-ping`)),
      console.text(),
    );
  else assert.match(told("ping"), / 3 packets received/);
  const sha256 = createHash("sha256").update(pattern(SIZE)).digest("hex");
  assert.match(told("downloaded"), new RegExp(`bytes=${SIZE} sha256=${sha256}`));
  return lease[1]!;
}
