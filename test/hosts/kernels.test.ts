/**
 * `softnet attach` under the kernels that hosts with Debian run, in QEMU: that of Debian 12 has no tcx, so clsact is used;
 * both have vhost-net. What runs there is inside/attached.ts, with the packaged executable.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { labNeeds } from "../lab/harness/topology.ts";
import { executable } from "../support/executable.ts";
import { LONG_LIMIT } from "../support/patience.ts";
import { DEBIANS, debianKernel, needsDebianKernel } from "./harness/debian-kernel.ts";
import { onEmulatedHost } from "./harness/emulated-host.ts";

const INSIDE = fileURLToPath(new URL("inside/attached.ts", import.meta.url));
const HOOKS = { 12: "tcx 0 clsact 2", 13: "tcx 2 clsact 0" } as const;
const LANES = {
  12: "the kernel has no bpf_cast_to_kern_ctx (it is older than Linux 6.2)",
  13: "passed frames both ways",
} as const;
const CARDS = ["veth", "tap-offloads", "vhost"];

for (const debian of DEBIANS) {
  test(`attached under the kernel of Debian ${debian.number}: a veth, a TAP with offloads, one served by vhost-net; DHCP`, {
    ...needsDebianKernel(debian),
    ...labNeeds("qemu-system-x86_64", "busybox", "udhcpc", "dnsmasq", "nft"),
    ...LONG_LIMIT,
  }, async (t) => {
    const kernel = debianKernel(debian);
    const environment = `SOFTNET_TEST_ALL=1 SOFTNET_LAB_PROGRAM='${executable()}'`;
    const command = `${environment} exec '${process.execPath}' --test-reporter=tap '${INSIDE}'`;
    const lines = await onEmulatedHost(t, kernel, command);
    for (const card of CARDS) {
      for (const what of [HOOKS[debian.number], `lane ${LANES[debian.number]}`]) {
        const line = `Linux ${kernel.release}, ${card}: ${what}`;
        assert.ok(lines.includes(`# ${line}`), `no line ${line}\n${lines.join("\n")}`);
        t.diagnostic(line);
      }
    }
    assert.ok(lines.includes("# pass 4"), lines.join("\n"));
  });
}
