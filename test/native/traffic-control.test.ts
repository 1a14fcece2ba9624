/** Programs by clsact, as on kernels before 6.6, beside queueing disciplines of others. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, test } from "node:test";
import { loadPrograms } from "../../src/lane/relay-tap.ts";
import { programId } from "../../src/native/linux/bpf.ts";
import { attachFilter, filterProgram, hasClsact, removeEmptyClsact } from "../../src/native/linux/traffic-control.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsRoot } from "../support/tools.ts";

const skip = { ...needsRoot(), ...needs("ip", "tc") };

let leave = (): void => {};
beforeEach(() => {
  if (skip.skip !== undefined) return;
  leave = enterFreshNamespace();
  ip("link", "add", "card", "type", "veth", "peer", "name", "peer");
});
afterEach(() => leave());

const index = (): number => libc.if_nametoindex("card");
const tc = (...words: readonly string[]): string => execFileSync("tc", words, { encoding: "utf8" });
const programs = () => loadPrograms(libc, { vm: index(), relay: 77, network: 78 }, false, () => "not asked for").vm;

test("a clsact that is there already is used: each end has its own program", skip, () => {
  assert.equal(hasClsact(libc, index()), false);
  tc("qdisc", "add", "dev", "card", "clsact");
  assert.equal(hasClsact(libc, index()), true);
  const { ingress, egress } = programs();
  attachFilter(libc, index(), "egress", egress);
  attachFilter(libc, index(), "ingress", ingress);
  assert.equal(filterProgram(libc, index(), "egress"), programId(libc, egress));
  assert.equal(filterProgram(libc, index(), "ingress"), programId(libc, ingress));
});

// It has the handle of clsact, but what comes in alone passes its filters: those for the other end would land there, too.
test(
  "an ingress discipline, as libvirt's <bandwidth> puts one, is no clsact: nothing is attached, and it stays",
  skip,
  () => {
    tc("qdisc", "add", "dev", "card", "ingress");
    assert.equal(hasClsact(libc, index()), false);
    const { ingress, egress } = programs();
    for (const [hook, program] of [
      ["egress", egress],
      ["ingress", ingress],
    ] as const) {
      assert.throws(() => attachFilter(libc, index(), hook, program), /the queueing discipline "ingress" is there/);
    }
    assert.equal(tc("filter", "show", "dev", "card", "parent", "ffff:"), "");
    removeEmptyClsact(libc, index());
    assert.match(tc("qdisc", "show", "dev", "card"), /^qdisc ingress ffff: /m);
  },
);
