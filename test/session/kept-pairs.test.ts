/** How often the addresses of names are written for the next softnet. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NamePair } from "../../src/guard/types.ts";
import { KEEPING_INTERVAL, KeptPairs } from "../../src/session/kept-pairs.ts";
import { Log } from "../../src/telemetry/log.ts";

class Bench {
  readonly guard = { namePairs: [] as NamePair[], namePairChanges: 0 };
  readonly lines: string[] = [];
  written = 0;
  fails = false;

  readonly kept = new KeptPairs(
    {
      keepPairs: () => {
        if (this.fails) throw new Error("ENOSPC");
        this.written++;
      },
    },
    this.guard,
    new Log({ level: "warn", format: "text", write: (line) => this.lines.push(line) > 0 }),
  );
}

test("pairs are written when they change, at most every 5 s, and what came since at the end", () => {
  const bench = new Bench();
  const { kept, guard } = bench;
  kept.tick(0);
  assert.equal(bench.written, 0, "nothing was looked up");
  assert.equal(kept.deadline, Number.POSITIVE_INFINITY);
  guard.namePairChanges++;
  kept.tick(1);
  assert.equal(bench.written, 1);
  for (let time = 2; time <= 1000; time++) {
    guard.namePairChanges++;
    kept.tick(time);
  }
  assert.equal(bench.written, 1);
  assert.equal(kept.deadline, 1 + KEEPING_INTERVAL);
  kept.tick(1 + KEEPING_INTERVAL);
  assert.equal(bench.written, 2);
  guard.namePairChanges++;
  kept.close();
  kept.close();
  assert.equal(bench.written, 3);
});

test("a full disk is said once and ends nothing", () => {
  const bench = new Bench();
  bench.fails = true;
  for (let turn = 0; turn < 3; turn++) {
    bench.guard.namePairChanges++;
    bench.kept.tick(turn * KEEPING_INTERVAL);
  }
  bench.kept.close();
  assert.equal(bench.lines.length, 1);
  assert.match(bench.lines[0]!, /ENOSPC/);
});
