/** Of the system itself: the clock and the log. */
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { continuousClock } from "../../src/native/darwin/clock.ts";
import type { DarwinLibc } from "../../src/native/darwin/libc.ts";
import { syslogWriter } from "../../src/telemetry/syslog.ts";
import { type Finding, failed, ok, type Point } from "./points.ts";

export function systemPoints(libc: DarwinLibc): Point[] {
  return [
    { name: "clock: microseconds since boot", run: () => clock(libc) },
    { name: "log: what syslog is told is in the unified log", run: () => log(libc) },
  ];
}

async function clock(libc: DarwinLibc): Promise<Finding> {
  const now = continuousClock(libc);
  const [before, start] = [now(), performance.now()];
  await sleep(500);
  const [ours, nodes] = [(now() - before) / 1000, performance.now() - start];
  const details = `${ours.toFixed(1)} ms by it, ${nodes.toFixed(1)} ms by Node`;
  return Math.abs(ours - nodes) < 50 ? ok(details) : failed(details);
}

async function log(libc: DarwinLibc): Promise<Finding> {
  const token = randomUUID();
  syslogWriter(libc)(`verify-on-a-mac ${token}`, "info");
  await sleep(2000);
  const predicate = `eventMessage CONTAINS "${token}"`;
  const { stdout } = spawnSync("/usr/bin/log", ["show", "--last", "1m", "--predicate", predicate], {
    encoding: "utf8",
  });
  const line = stdout?.split("\n").find((each) => each.includes(`verify-on-a-mac ${token}`));
  return line === undefined ? failed("log show does not show it") : ok(line.trim());
}
