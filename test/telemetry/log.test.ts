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

test("the first drop of a reason is described, later ones are counted once a second", () => {
  const { log, lines } = collecting("info", "json");
  const totals = new Map<number, number>();
  const drops = new DropLog({ log, reasons: DROP_REASONS, dropsOf: (verdict) => totals.get(verdict) ?? 0 });
  const probe = verdictOf("arp.probe");
  totals.set(probe, 1);
  assert.equal(drops.isFirst(probe), true);
  drops.first(probe, "egress", "ARP probe 10.0.0.1");
  assert.equal(drops.isFirst(probe), false);
  drops.summarize();
  assert.equal(lines.length, 1, "the first one is not told twice");
  totals.set(probe, 100_001);
  drops.summarize();
  drops.summarize();
  assert.equal(lines.length, 2);
  assert.equal(JSON.parse(lines[0]!).reason, "arp.probe");
  assert.equal(JSON.parse(lines[1]!)["arp.probe"], 100_000);
});

test("what every guest sends at boot is told at debug level only", () => {
  for (const [level, expected] of [
    ["info", 0],
    ["debug", 2],
  ] as const) {
    const { log, lines } = collecting(level, "json");
    let total = 0;
    const ipv6 = verdictOf("ethernet.ipv6");
    const drops = new DropLog({ log, reasons: DROP_REASONS, dropsOf: (verdict) => (verdict === ipv6 ? total : 0) });
    total = 1;
    drops.first(ipv6, "egress", "IPv6");
    total = 5;
    drops.summarize();
    assert.equal(lines.length, expected, level);
  }
});
