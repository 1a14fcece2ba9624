/**
 * The queueing disciplines of libvirt's <bandwidth> at an interface that softnet is attached to, under the kernels that hosts with
 * Debian run, in QEMU. What runs there is inside/bandwidth.ts, with the packaged executable.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { labNeeds } from "../lab/harness/topology.ts";
import { executable } from "../support/executable.ts";
import { LONG_LIMIT } from "../support/patience.ts";
import { DEBIANS, debianKernel, needsDebianKernel } from "./harness/debian-kernel.ts";
import { onEmulatedHost } from "./harness/emulated-host.ts";

const INSIDE = fileURLToPath(new URL("inside/bandwidth.ts", import.meta.url));
/** By Debian's number. */
const OUTBOUND = { 12: "refused", 13: "passed by" } as const;

for (const debian of DEBIANS) {
  test(`libvirt's <bandwidth> under the kernel of Debian ${debian.number}`, {
    ...needsDebianKernel(debian),
    ...labNeeds("qemu-system-x86_64", "busybox", "tc"),
    ...LONG_LIMIT,
  }, async (t) => {
    const kernel = debianKernel(debian);
    const environment = `SOFTNET_TEST_ALL=1 SOFTNET_LAB_PROGRAM='${executable()}'`;
    const command = `${environment} exec '${process.execPath}' --test-reporter=tap '${INSIDE}'`;
    const lines = await onEmulatedHost(t, kernel, command);
    const figures = lines.filter((line) => line.startsWith(`# Linux ${kernel.release}, `));
    for (const line of figures) t.diagnostic(line);
    assert.ok(figures.includes(`# Linux ${kernel.release}, outbound: ${OUTBOUND[debian.number]}`), lines.join("\n"));
    assert.ok(lines.includes("# pass 2"), lines.join("\n"));
  });
}
