/** docs/metrics.md has every series with its type and labels; alert rules and dashboard name only what there is. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { AGENT_FAMILIES } from "../../src/fleet/agent-metrics.ts";
import { METRIC_FAMILIES, sampleName } from "../../src/telemetry/metric-families.ts";
import { needs, pathOf } from "../support/tools.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const page = read("docs/metrics.md");
const PACKAGED = join(ROOT, "packaging/prometheus");

/** The agent of a fleet has a page of its own. */
const PAGES = [
  [page, METRIC_FAMILIES],
  [read("docs/fleet.md"), AGENT_FAMILIES],
] as const;

test("each series stands in its page, with its type and labels, and no other does", () => {
  for (const [text, families] of PAGES) {
    const rows = [...text.matchAll(/^\| `([a-z_]+)` \| (counter|gauge|info) \| ([^|]*)\|/gm)];
    assert.deepEqual(
      rows.map(([, name, type, labels]) => [name, type, [...labels!.matchAll(/`([a-z]+)`/g)].map((match) => match[1])]),
      families.map((family) => [sampleName(family), family.type, family.labels.map(({ name }) => name)]),
    );
  }
});

test("each word that a label may have stands in the page; drop reasons have their own", () => {
  for (const [text, families] of PAGES) {
    for (const { name, words = [] } of families.flatMap(({ labels }) => labels)) {
      if (name !== "reason") for (const word of words) assert.ok(text.includes(`\`${word}\``), `${name} ${word}`);
    }
  }
});

/** Series and label words of expressions in PromQL. */
function checkExpression(expression: string): void {
  const names = [...expression.matchAll(/\b(?:softnet|process)_[a-z_]+/g)].map(([name]) => name);
  assert.ok(names.length > 0, expression);
  for (const name of names) {
    const family = METRIC_FAMILIES.find((one) => sampleName(one) === name);
    assert.ok(family !== undefined, `${name} in ${expression}`);
  }
  for (const [, name, selected] of expression.matchAll(/\b((?:softnet|process)_[a-z_]+)\{([^}]*)\}/g)) {
    const labels = METRIC_FAMILIES.find((one) => sampleName(one) === name)!.labels;
    for (const [, label, words] of selected!.matchAll(/([a-z_]+)(?:=~|!=|=)"([^"]*)"/g)) {
      if (label === "vm") continue;
      const known = labels.find((one) => one.name === label);
      assert.ok(known !== undefined, `${name} has no label ${label}`);
      for (const word of words!.split("|")) assert.ok(known.words?.includes(word) ?? true, `${label} ${word}`);
    }
  }
}

test("alert rules name only series, labels and words that there are", () => {
  const rules = read("packaging/prometheus/softnet.rules.yml");
  const expressions = [...rules.matchAll(/expr: (?:\|\n((?: {10}.*\n)+)|(.+)\n)/g)].map(
    (match) => match[1] ?? match[2]!,
  );
  assert.equal(expressions.length, rules.match(/- alert:/g)!.length);
  for (const expression of expressions) checkExpression(expression);
});

test("the dashboard names only series, labels and words that there are, and shows every series", () => {
  const { panels } = JSON.parse(read("packaging/prometheus/softnet.dashboard.json")) as {
    panels: { targets: { expr: string }[] }[];
  };
  const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  for (const expression of expressions) checkExpression(expression);
  const missing = METRIC_FAMILIES.map(sampleName).filter((name) => !expressions.some((one) => one.includes(name)));
  assert.deepEqual(missing, []);
});

test("promtool accepts the alert rules, and their tests pass", needs("promtool"), () => {
  for (const [words, file] of [
    [["check", "rules"], "softnet.rules.yml"],
    [["test", "rules"], "softnet.rules.test.yml"],
  ] as const) {
    const { status, stdout, stderr } = spawnSync(pathOf("promtool")!, [...words, file], {
      cwd: PACKAGED,
      encoding: "utf8",
    });
    assert.equal(status, 0, stdout + stderr);
  }
});
