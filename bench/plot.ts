/**
 * Plots of what the benchmark measured, as SVG files in a folder (bench/plots, or SOFTNET_BENCH_PLOTS): bars with the quartiles as
 * whiskers, and a line over a scale of counts. Text is text, so that it can be searched, and colours differ in brightness, too.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Spread } from "./statistics.ts";

const FOLDER = process.env.SOFTNET_BENCH_PLOTS ?? fileURLToPath(new URL("plots", import.meta.url));

const COLOURS = ["#1b3a5c", "#d98e04", "#5fa8a0", "#a63d40", "#9aa5b1", "#6b4e9b"];
const WIDTH = 860;
const HEIGHT = 380;
const LEFT = 70;
const RIGHT = 20;
const TOP = 90;
const BOTTOM = 50;
const GRID_LINES = 5;
const NAMES_A_ROW = 3;
const INNER_HEIGHT = HEIGHT - TOP - BOTTOM;
const INNER_WIDTH = WIDTH - LEFT - RIGHT;

export interface BarPlot {
  readonly title: string;
  /** Of the vertical scale. */
  readonly unit: string;
  /** What each bar of a group is. */
  readonly series: readonly string[];
  readonly groups: readonly { readonly name: string; readonly bars: readonly Spread[] }[];
}

export interface LinePlot {
  readonly title: string;
  readonly unit: string;
  /** Of the horizontal scale, on which the points stand side by side. */
  readonly scale: string;
  readonly points: readonly { readonly at: string; readonly value: Spread }[];
}

/** Groups of bars side by side. */
export function barPlot({ title, unit, series, groups }: BarPlot): string {
  const top = niceTop(groups.flatMap(({ bars }) => bars.map(({ upper }) => upper)));
  const groupWidth = INNER_WIDTH / groups.length;
  const barWidth = (groupWidth * 0.8) / series.length;
  const parts = [...frame(title, unit, top), ...legend(series)];
  for (const [index, { name, bars }] of groups.entries()) {
    const left = LEFT + index * groupWidth + groupWidth * 0.1;
    parts.push(text(left + groupWidth * 0.4, HEIGHT - BOTTOM + 20, name, "middle"));
    for (const [place, bar] of bars.entries()) {
      const x = left + place * barWidth;
      const y = heightOf(bar.median, top);
      parts.push(
        `<rect x="${fixed(x)}" y="${fixed(y)}" width="${fixed(barWidth * 0.9)}" height="${fixed(TOP + INNER_HEIGHT - y)}" fill="${COLOURS[place % COLOURS.length]}"><title>${escaped(`${series[place]}, ${name}: ${bar.median.toPrecision(3)} ${unit}`)}</title></rect>`,
        whisker(x + barWidth * 0.45, bar, top),
      );
    }
  }
  return drawing(title, parts);
}

/** One line through points. */
export function linePlot({ title, unit, scale, points }: LinePlot): string {
  const top = niceTop(points.map(({ value }) => value.upper));
  const step = INNER_WIDTH / points.length;
  const parts = [...frame(title, unit, top), text(LEFT + INNER_WIDTH / 2, HEIGHT - 8, scale, "middle")];
  const places: string[] = [];
  for (const [index, { at, value }] of points.entries()) {
    const x = LEFT + (index + 0.5) * step;
    const y = heightOf(value.median, top);
    places.push(`${fixed(x)},${fixed(y)}`);
    parts.push(text(x, HEIGHT - BOTTOM + 18, at, "middle"), whisker(x, value, top));
    parts.push(`<circle cx="${fixed(x)}" cy="${fixed(y)}" r="4" fill="${COLOURS[0]}"/>`);
  }
  parts.push(`<polyline points="${places.join(" ")}" fill="none" stroke="${COLOURS[0]}" stroke-width="2"/>`);
  return drawing(title, parts);
}

/** Writes NAME.svg into the folder, and says so. */
export function writePlot(name: string, svg: string): void {
  mkdirSync(FOLDER, { recursive: true });
  const path = join(FOLDER, `${name}.svg`);
  writeFileSync(path, svg);
  console.log(`  Plot: ${path}`);
}

function drawing(title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13" role="img" aria-label="${escaped(title)}">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

function frame(title: string, unit: string, top: number): string[] {
  const lines = [`<text x="${LEFT}" y="24" font-size="16" fill="#222222">${escaped(`${title}, ${unit}`)}</text>`];
  for (let line = 0; line <= GRID_LINES; line++) {
    const value = (top * line) / GRID_LINES;
    const y = heightOf(value, top);
    lines.push(
      `<line x1="${LEFT}" y1="${fixed(y)}" x2="${WIDTH - RIGHT}" y2="${fixed(y)}" stroke="#dddddd"/>`,
      text(LEFT - 8, y + 4, String(Number(value.toPrecision(3))), "end"),
    );
  }
  return lines;
}

function legend(series: readonly string[]): string[] {
  const width = INNER_WIDTH / NAMES_A_ROW;
  return series.flatMap((name, index) => {
    const x = LEFT + (index % NAMES_A_ROW) * width;
    const y = 36 + Math.floor(index / NAMES_A_ROW) * 18;
    return [
      `<rect x="${fixed(x)}" y="${y}" width="12" height="12" fill="${COLOURS[index % COLOURS.length]}"/>`,
      text(x + 17, y + 11, name, "start"),
    ];
  });
}

function whisker(x: number, { lower, upper }: Spread, top: number): string {
  return `<line x1="${fixed(x)}" y1="${fixed(heightOf(lower, top))}" x2="${fixed(x)}" y2="${fixed(heightOf(upper, top))}" stroke="#222222"/>`;
}

function heightOf(value: number, top: number): number {
  return TOP + INNER_HEIGHT * (1 - value / top);
}

/** The next short number times a power of ten, for a grid with short numbers. */
function niceTop(values: readonly number[]): number {
  const most = Math.max(...values, Number.MIN_VALUE);
  const power = 10 ** Math.floor(Math.log10(most));
  return power * [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= most)!;
}

function text(x: number, y: number, content: string, anchor: "start" | "middle" | "end"): string {
  return `<text x="${fixed(x)}" y="${fixed(y)}" text-anchor="${anchor}" fill="#222222">${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

const fixed = (value: number): string => value.toFixed(1);
