/** Whose counts are kept where a VM asks for more names than there are places (docs/guard-names.md, What people see). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_DENIED, MOST_PASSED, NameCounts, OTHER_NAMES } from "../../../src/guard/names/name-counts.ts";
import { PASS, verdictOf } from "../../../src/guard/reasons.ts";
import { labels } from "./world.ts";

const DENIED = verdictOf("dns.denied");
const TYPE = verdictOf("dns.type");

class Bench {
  readonly counts = new NameCounts(undefined);

  ask(name: string, verdict: number): void {
    const wire = labels(name);
    this.counts.question(wire, wire.length, 1, verdict);
  }

  connect(name: string, verdict: number): void {
    const wire = labels(name);
    this.counts.connection(1, 443, wire, wire.length, verdict);
  }

  of = (name: string) => [...this.counts].find((one) => one.name === name);
}

test("N11 however many names are denied, those that pass keep their places and the newest denial has one", () => {
  const bench = new Bench();
  bench.ask("good.example.com", PASS);
  bench.ask("first.evil.example", DENIED);
  for (let index = 0; index < 20_000; index++) bench.ask(`n${index}.evil.example`, DENIED);
  bench.ask("newest.evil.example", DENIED);
  const all = [...bench.counts];
  assert.equal(all.length, 1 + MOST_DENIED + 1, "bounded");
  assert.equal(bench.of("good.example.com")?.asked, 1);
  assert.equal(bench.of("newest.evil.example")?.denied, 1);
  assert.equal(bench.of("first.evil.example"), undefined);
  const others = bench.of(OTHER_NAMES)!;
  assert.equal(others.denied, 20_002 - MOST_DENIED, "none is lost from the sums");
  assert.equal(all.at(-1)?.name, OTHER_NAMES);
});

test("N11 questions that get an empty answer, and names said in first bytes that are denied, take no place of names that pass", () => {
  const bench = new Bench();
  bench.ask("good.example.com", PASS);
  for (let index = 0; index < MOST_PASSED + MOST_DENIED; index++) {
    bench.ask(`n${index}.example.com`, TYPE);
    bench.connect(`m${index}.example.com`, DENIED);
  }
  assert.equal(bench.of("good.example.com")?.asked, 1);
});

test("a name that is asked for again keeps its place, and so does one that passes after it was denied", () => {
  const bench = new Bench();
  bench.ask("again.example", DENIED);
  bench.ask("later.example", DENIED);
  for (let index = 0; index < MOST_DENIED - 2; index++) bench.ask(`n${index}.example`, DENIED);
  bench.ask("again.example", DENIED);
  bench.connect("later.example", PASS);
  for (let index = 0; index < MOST_DENIED - 1; index++) bench.ask(`m${index}.example`, DENIED);
  assert.deepEqual([bench.of("again.example")?.asked, bench.of("n5.example")], [2, undefined]);
  assert.deepEqual([bench.of("later.example")?.denied, bench.of("later.example")?.passed], [1, 1]);
});

test("of names that pass the one that was counted least recently goes", () => {
  const bench = new Bench();
  for (let index = 0; index < MOST_PASSED; index++) bench.ask(`n${index}.example.com`, PASS);
  bench.ask("n0.example.com", DENIED);
  bench.ask("next.example.com", PASS);
  assert.equal(bench.of("n0.example.com")?.asked, 2);
  assert.equal(bench.of("n1.example.com"), undefined);
  assert.equal(bench.of(OTHER_NAMES)?.asked, 1);
});
