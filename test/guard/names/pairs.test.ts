/** Pairs of name and address: which are over, and which make room (docs/guard-names.md, Pairs). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_OF_ONE_NAME, MOST_PAIRS, Pairs } from "../../../src/guard/names/pairs.ts";
import { SECOND } from "../support.ts";
import { labels } from "./world.ts";

const HOUR = 3600 * SECOND;
const DAY = 86_400;

function learn(pairs: Pairs, name: string, address: number, ttl: number, now: number): boolean {
  const wire = labels(name);
  return pairs.learn(wire, wire.length, address, ttl, now);
}

const nameOf = (index: number): string => `n${index % 1000}.example.com`;

test("pairs that are over make room before one that lives, wherever they stand", () => {
  const pairs = new Pairs();
  learn(pairs, "long.example.com", 1, DAY, 0);
  for (let index = 1; index < MOST_PAIRS; index++) learn(pairs, nameOf(index), 1 + index, 60, 0);
  const [long] = pairs.at(1)!;
  assert.equal(learn(pairs, "next.example.com", 99_999, 60, HOUR + 1), true);
  assert.deepEqual([...pairs.at(1)!], [long]);
  assert.equal(pairs.size, 2);
});

test("a pair with a flow is not over, and a pair that is over counts for nothing", () => {
  const pairs = new Pairs();
  learn(pairs, "a.example.com", 1, 60, 0);
  const wire = labels("a.example.com");
  assert.equal(pairs.has(wire, wire.length, HOUR), true);
  assert.equal(pairs.has(wire, wire.length, HOUR + 1), false);
  assert.deepEqual([...pairs.notOver(HOUR + 1)], []);
  const [pair] = pairs.at(1)!;
  pair!.flows = 1;
  assert.equal(pairs.has(wire, wire.length, HOUR + 1), true);
});

test("of a full name the pair whose answer is the oldest goes, but none with a flow", () => {
  const pairs = new Pairs();
  for (let address = 1; address <= MOST_OF_ONE_NAME; address++) learn(pairs, "a.example.com", address, 60, address);
  for (const pair of pairs.at(1)!) pair.flows = 1;
  assert.equal(learn(pairs, "a.example.com", 5000, 60, 1000), true);
  assert.ok(pairs.at(1));
  assert.equal(pairs.at(2), undefined);
  for (const pair of pairs.notOver(1000)) pair.flows = 1;
  assert.equal(learn(pairs, "a.example.com", 5001, 60, 1000), false);
});
