/** The plots are well-formed XML in which every figure can be found. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { barPlot, linePlot } from "../../bench/plot.ts";
import { needs } from "../support/tools.ts";

const at = (median: number) => ({ median, lower: median * 0.9, upper: median * 1.2 });
const CHECK = "import sys, xml.dom.minidom as m; print(m.parse(sys.stdin).documentElement.tagName)";
const rootOf = (svg: string): string => execFileSync("python3", ["-c", CHECK], { input: svg, encoding: "utf8" }).trim();

test("bars: one for each figure, as high as it says, with its value as a title", needs("python3"), () => {
  const groups = [
    { name: "up & <down>", bars: [at(10), at(5)] },
    { name: "other", bars: [at(0), at(2.5)] },
  ];
  const svg = barPlot({ title: 'A "title"', unit: "Gbit/s", series: ["one", "two"], groups });
  assert.equal(rootOf(svg), "svg");
  const heights = [...svg.matchAll(/height="([\d.]+)" fill="#\w+"><title>/g)].map(([, height]) => Number(height));
  assert.equal(heights.length, 4);
  assert.ok(Math.abs(heights[0]! / heights[1]! - 2) < 0.01 && Math.abs(heights[1]! / heights[3]! - 2) < 0.02);
  assert.equal(heights[2], 0);
  assert.match(svg, /<title>two, other: 2\.50 Gbit\/s<\/title>/);
});

test("a line: a point for each figure", needs("python3"), () => {
  const points = [0, 10, 100].map((rules) => ({ at: String(rules), value: at(30 + rules) }));
  const svg = linePlot({ title: "rules", unit: "ns", scale: "count", points });
  assert.equal(rootOf(svg), "svg");
  assert.equal(svg.match(/<circle /g)!.length, 3);
});
