/** Which /30 a VM gets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseSubnet } from "../../src/host/choose.ts";
import { type Cidr, formatCidr, parseCidr } from "../../src/policy/rule.ts";
import { UserError } from "../../src/user-error.ts";

const NOTHING = { networks: [], routes: [] };
const free = (_subnet: Cidr): boolean => false;
const isTaken =
  (...texts: string[]) =>
  (subnet: Cidr): boolean =>
    texts.includes(formatCidr(subnet));

test("two hundred choices that all begin at the same place are two hundred subnets", () => {
  const chosen = new Set<string>();
  for (let round = 0; round < 200; round++) {
    const { subnet } = chooseSubnet(NOTHING, { avoid: [] }, isTaken(...chosen), () => 0.5);
    chosen.add(formatCidr(subnet));
  }
  assert.equal(chosen.size, 200);
});

test("--subnet: taken, overlapping, or none at all is one line", () => {
  const choose = (chosen: string, taken = free) => chooseSubnet(NOTHING, { chosen, avoid: [] }, taken);
  assert.deepEqual(choose("10.250.0.4/30").subnet, parseCidr("10.250.0.4/30"));
  assert.throws(() => choose("10.250.0.4/30", isTaken("10.250.0.4/30")), {
    name: UserError.name,
    message: /another softnet/,
  });
  const state = { networks: [parseCidr("10.250.0.0/16")!], routes: [] };
  assert.throws(() => chooseSubnet(state, { chosen: "10.250.0.4/30", avoid: [] }, free), {
    name: UserError.name,
    message: /--subnet 10\.250\.0\.4\/30 overlaps 10\.250\.0\.0\/16/,
  });
  assert.throws(() => choose("10.250.0.5/30"), { name: UserError.name, message: /^--subnet "10\.250\.0\.5\/30"/ });
  const wide = { networks: [], routes: [parseCidr("10.0.0.0/8")!] };
  assert.deepEqual(chooseSubnet(wide, { chosen: "10.250.0.4/30", avoid: [] }, free).inside, parseCidr("10.0.0.0/8"));
});

test("H11 a VM gets the subnet of before, unless another has it or the host does", () => {
  const preferred = "172.20.0.8/30";
  const wish = { preferred, avoid: [] };
  assert.equal(formatCidr(chooseSubnet(NOTHING, wish, free).subnet), preferred);
  assert.notEqual(formatCidr(chooseSubnet(NOTHING, wish, isTaken(preferred)).subnet), preferred);
  const state = { networks: [parseCidr("172.20.0.0/16")!], routes: [] };
  assert.notEqual(formatCidr(chooseSubnet(state, wish, free).subnet), preferred);
  assert.notEqual(formatCidr(chooseSubnet(NOTHING, { preferred: "nonsense", avoid: [] }, free).subnet), preferred);
});
