/** What the demo says of an `ip` that fails. */
import assert from "node:assert/strict";
import test from "node:test";
import { ip, tryIp } from "../../src/demo/ip.ts";
import { needs } from "../support/tools.ts";

const NEEDS = needs("ip");
const MORE_THAN_A_PIPE = "# nobody reads this\n".repeat(100_000);

test("an ip that ends before it has read all of its input is told in its own words", NEEDS, () => {
  const { failure } = tryIp(["-batch", "-"], `link show none-of-this-name\n${MORE_THAN_A_PIPE}`);
  assert.match(failure!, /none-of-this-name/);
  assert.throws(() => ip(["-batch", "-"], `nonsense\n${MORE_THAN_A_PIPE}`), /^Error: ip -batch -: Object "nonsense"/);
});

test("an ip that needs none of its input succeeds", NEEDS, () => {
  assert.match(ip(["-V"], MORE_THAN_A_PIPE), /^ip utility, iproute2-/);
});
