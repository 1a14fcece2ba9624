/** What the demo's attacks by IPv6 need: IPv6 in the kernel. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { whyNoIPv6 } from "../../src/demo/ipv6-requirements.ts";
import { linkLocalOf } from "../../src/demo/plan.ts";
import { formatIPv6 } from "../../src/wire/ipv6-address.ts";
import { temporaryFolder } from "../support/folder.ts";

test("a kernel without IPv6's settings has none; one in which they are off has", (t) => {
  const folder = temporaryFolder(t);
  assert.equal(whyNoIPv6(folder), "this kernel has no IPv6: start it without ipv6.disable=1");
  mkdirSync(join(folder, "conf", "all"), { recursive: true });
  writeFileSync(join(folder, "conf", "all", "disable_ipv6"), "1\n");
  assert.equal(whyNoIPv6(folder), undefined);
});

test("a card's link-local address is the one that the kernel makes of its MAC address", () => {
  assert.equal(formatIPv6(linkLocalOf("7e:1a:00:00:00:0a")), "fe80::7c1a:ff:fe00:a");
  assert.equal(formatIPv6(linkLocalOf("00:00:5e:00:53:01")), "fe80::200:5eff:fe00:5301");
});
