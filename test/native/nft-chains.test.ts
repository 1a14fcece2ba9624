import assert from "node:assert/strict";
import { test } from "node:test";
import { readFirewalls } from "../../src/host/firewalls/firewalls.ts";
import { listBaseChains } from "../../src/native/linux/nft-chains.ts";
import { enterFreshNamespace } from "../support/namespace.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsRoot, run } from "../support/tools.ts";

const skip = { ...needsRoot(), ...needs("nft") };

test("the kernel lists the base chains of all families, and no other chains", skip, async () => {
  const leave = enterFreshNamespace();
  try {
    assert.deepEqual(listBaseChains(libc), []);
    assert.deepEqual((await readFirewalls(libc)).tables, []);
    const hooked = (family: string, table: string, hook: string) =>
      `add table ${family} ${table}; add chain ${family} ${table} c_${hook} { type filter hook ${hook} priority 0; }; add chain ${family} ${table} plain`;
    run("nft", hooked("ip", "one", "forward"));
    run("nft", hooked("inet", "softnet_2", "forward"));
    run("nft", hooked("inet", "two", "postrouting"));
    run("nft", hooked("ip6", "three", "input"));
    run("nft", hooked("bridge", "four", "prerouting"));
    run("nft", "add table netdev five; add chain netdev five c { type filter hook ingress device lo priority 0; }");
    assert.deepEqual(
      listBaseChains(libc)!
        .map(({ family, table, hook }) => `${family} ${table} ${hook}`)
        .toSorted(),
      [
        "bridge four prerouting",
        "inet softnet_2 forward",
        "inet two postrouting",
        "ip one forward",
        "ip6 three input",
        "netdev five ingress",
      ],
    );
    assert.equal((await readFirewalls(libc)).tables.length, 1, "the one of others with a chain for forwarded packets");
  } finally {
    leave();
  }
});
