import assert from "node:assert/strict";
import { test } from "node:test";
import { NameLog } from "../../src/session/name-log.ts";
import { Log } from "../../src/telemetry/log.ts";

test("each denied name is logged once until the policy changes; a type that is answered with nothing is no denial", () => {
  const lines: string[] = [];
  const told: unknown[] = [];
  const write = (line: string): boolean => lines.push(line) > 0;
  const log = new NameLog(new Log({ level: "info", format: "json", write }), (fields) => void told.push(fields));
  log.note({ kind: "question", name: "good.example.com", type: 28, decision: "dns.type" });
  assert.deepEqual(told, []);
  for (let again = 0; again < 3; again++) {
    log.note({ kind: "question", name: "evil.example.com", type: 1, decision: "dns.denied" });
  }
  assert.deepEqual(told, [{ name: "evil.example.com", reason: "dns.denied", type: 1 }]);
  log.policyChanged();
  log.note({ kind: "question", name: "evil.example.com", type: 1, decision: "dns.denied" });
  assert.equal(lines.length, 2);
});
