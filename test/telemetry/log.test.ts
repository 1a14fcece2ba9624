import assert from "node:assert/strict";
import { test } from "node:test";
import { DROP_REASONS, verdictOf } from "../../src/guard/reasons.ts";
import { DropLog } from "../../src/telemetry/drop-log.ts";
import { Log, type LogFormat, type LogLevel } from "../../src/telemetry/log.ts";

function collecting(level: LogLevel, format: LogFormat) {
  const lines: string[] = [];
  const log = new Log({
    level,
    format,
    write: (line) => {
      lines.push(line);
      return true;
    },
  });
  return { log, lines };
}

test("a line is key=value, quoted where it must be", () => {
  const { log, lines } = collecting("info", "text");
  log.info("two words", { plain: "a-b_c/1.2", number: 7, spaced: "a b", equals: "a=b", quote: 'a"b', empty: "" });
  assert.match(
    lines[0]!,
    /^time=\S+ level=info message="two words" plain=a-b_c\/1\.2 number=7 spaced="a b" equals="a=b" quote="a\\"b" empty=""\n$/,
  );
});

test("nothing unprintable reaches the terminal, in either format", () => {
  for (const format of ["text", "json"] as const) {
    const { log, lines } = collecting("info", format);
    log.info("x", { hostile: "\u001b[2J\n\r\u0007\u009b" });
    assert.match(lines[0]!, /^[ -~]+\n$/, format);
  }
});

test("json lines are objects with the same fields", () => {
  const { log, lines } = collecting("debug", "json");
  log.debug("hello", { count: 3, yes: true });
  const { time, ...rest } = JSON.parse(lines[0]!);
  assert.deepEqual(rest, { level: "debug", message: "hello", count: 3, yes: true });
  assert.ok(!Number.isNaN(Date.parse(time)));
});

test("levels below the threshold are not written", () => {
  const { log, lines } = collecting("warn", "text");
  log.debug("a");
  log.info("b");
  log.warn("c");
  log.error("d");
  assert.deepEqual(
    lines.map((line) => /message=(.)/.exec(line)![1]),
    ["c", "d"],
  );
});

test("a reader that does not keep up costs lines, which are counted, not frames", () => {
  const lines: string[] = [];
  let open = false;
  const log = new Log({
    level: "info",
    format: "json",
    write: (line) => {
      if (open) lines.push(line);
      return open;
    },
  });
  log.info("lost 1");
  log.info("lost 2");
  open = true;
  log.info("told");
  log.info("again");
  assert.equal(JSON.parse(lines[0]!)["lines-left-out"], 2);
  assert.equal(JSON.parse(lines[1]!)["lines-left-out"], undefined);
});

const SECOND = 1_000_000;
const HOUR = 3600 * SECOND;

/** A drop log with one reason's total in the test's hand. */
function dropping(level: LogLevel, name: Parameters<typeof verdictOf>[0]) {
  const { log, lines } = collecting(level, "json");
  const verdict = verdictOf(name);
  const state = { total: 0 };
  const drops = new DropLog({ log, reasons: DROP_REASONS, dropsOf: (one) => (one === verdict ? state.total : 0) });
  return { drops, lines, verdict, state };
}

test("the first drop of a reason is described, later ones are counted a second later", () => {
  const { drops, lines, verdict, state } = dropping("info", "arp.probe");
  state.total = 1;
  assert.equal(drops.isFirst(verdict), true);
  drops.first(verdict, "egress", "ARP probe 10.0.0.1", 0);
  assert.equal(drops.isFirst(verdict), false);
  drops.summarize(2 * SECOND);
  assert.equal(lines.length, 1, "the first one is not told twice");
  assert.equal(drops.deadline, Number.POSITIVE_INFINITY);
  state.total = 51;
  drops.summarize(2 * SECOND);
  drops.summarize(2 * SECOND);
  assert.equal(lines.length, 2);
  assert.equal(JSON.parse(lines[0]!).reason, "arp.probe");
  assert.equal(JSON.parse(lines[1]!)["arp.probe"], 50);
});

test("drops that wait to be told have a deadline, and are told then", () => {
  const { drops, lines, verdict, state } = dropping("info", "arp.probe");
  drops.first(verdict, "egress", "x", 5 * SECOND);
  state.total = 2;
  drops.summarize(5 * SECOND + 50_000);
  assert.equal(lines.length, 1);
  assert.equal(drops.deadline, 6 * SECOND);
  drops.summarize(drops.deadline);
  assert.equal(lines.length, 2);
  assert.equal(drops.deadline, Number.POSITIVE_INFINITY);
});

test("a reason that goes on for a day is told ever more seldom, and nothing of it is lost", () => {
  const { drops, lines, verdict, state } = dropping("info", "ethernet.type");
  state.total = 1;
  drops.first(verdict, "ingress", "STP", 0);
  for (let time = 2 * SECOND; time <= 24 * HOUR; time += 2 * SECOND) {
    state.total++;
    drops.summarize(time);
  }
  assert.ok(lines.length > 24 && lines.length < 24 + 16, `${lines.length} lines`);
  const told = lines.slice(1).reduce((sum, line) => sum + Number(JSON.parse(line)["ethernet.type"]), 1);
  assert.ok(state.total - told <= 1800, "what waits is an hour's worth");
});

test("a surge of a reason that the log has grown tired of is told within a second", () => {
  const { drops, lines, verdict, state } = dropping("info", "ethernet.type");
  state.total = 1;
  drops.first(verdict, "ingress", "STP", 0);
  let time = 0;
  for (; time <= 12 * HOUR; time += 2 * SECOND) {
    state.total++;
    drops.summarize(time);
  }
  const { length } = lines;
  state.total += 100_000;
  drops.summarize(time + 50_000);
  assert.equal(lines.length, length + 1);
  assert.ok(Number(JSON.parse(lines.at(-1)!)["ethernet.type"]) >= 100_000);
});

test("a flood writes one line a second at the most, whatever it consists of", () => {
  const { log, lines } = collecting("info", "json");
  const totals = new Float64Array(DROP_REASONS.length + 1);
  const drops = new DropLog({ log, reasons: DROP_REASONS, dropsOf: (verdict) => totals[verdict]! });
  for (let verdict = 1; verdict <= DROP_REASONS.length; verdict++) drops.first(verdict, "egress", "x", 0);
  lines.length = 0;
  let growth = 1;
  for (let tick = 1; tick <= 200; tick++) {
    if (tick % 7 === 0) growth *= 10;
    for (let verdict = 1; verdict <= DROP_REASONS.length; verdict++) totals[verdict]! += growth * verdict;
    drops.summarize(tick * 50_000);
  }
  assert.ok(lines.length <= 10, `${lines.length} lines in 10 s`);
});

test("what every guest sends at boot is told at debug level only", () => {
  for (const [level, expected] of [
    ["info", 0],
    ["debug", 2],
  ] as const) {
    const { drops, lines, verdict, state } = dropping(level, "ethernet.ipv6");
    state.total = 1;
    drops.first(verdict, "egress", "IPv6", 0);
    state.total = 5;
    drops.summarize(SECOND);
    assert.equal(lines.length, expected, level);
  }
});
