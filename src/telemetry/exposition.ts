/**
 * Samples as text: OpenMetrics 1.0 (the specification's "Text format"), or Prometheus' older text format 0.0.4, which
 * node_exporter's textfile collector reads. They differ in the names of counters' and infos' families, and in the last line.
 */
import { METRIC_FAMILIES, type MetricFamily, sampleName } from "./metric-families.ts";

export const EXPOSITION_FORMATS = ["openmetrics", "prometheus"] as const;
export type ExpositionFormat = (typeof EXPOSITION_FORMATS)[number];

/** HTTP's Content-Type of each. */
export const CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
};

/** Characters of a label's value; longer ones are cut. */
export const LONGEST_LABEL = 256;

export class Exposition {
  readonly #families: readonly MetricFamily[];
  readonly #subject: string;
  /** Lines without their ends, by the family's name. */
  readonly #lines = new Map<string, string[]>();

  /** `families`: all that there may be; `subject`: the name of the label that says whose a sample is. */
  constructor(families: readonly MetricFamily[] = METRIC_FAMILIES, subject = "vm") {
    this.#families = families;
    this.#subject = subject;
  }

  /** `values`: of the family's labels, in their order; `value`: a number as text where 2^53 may be exceeded. */
  add(family: MetricFamily, whose: string, values: readonly string[], value: number | string): void {
    const labels = family.labels.map((label, index) => `,${label.name}="${escapeLabel(values[index] ?? "")}"`);
    const line = `${sampleName(family)}{${this.#subject}="${escapeLabel(whose)}"${labels.join("")}} ${value}`;
    const lines = this.#lines.get(family.name);
    if (lines === undefined) this.#lines.set(family.name, [line]);
    else lines.push(line);
  }

  /** All samples, each family once; families without a sample are left out. */
  render(format: ExpositionFormat): string {
    const parts: string[] = [];
    for (const family of this.#families) {
      const lines = this.#lines.get(family.name);
      if (lines !== undefined) parts.push(head(family, format), ...lines.map((line) => `${line}\n`));
    }
    if (format === "openmetrics") parts.push("# EOF\n");
    return parts.join("");
  }
}

function head(family: MetricFamily, format: ExpositionFormat): string {
  const name = format === "openmetrics" ? family.name : sampleName(family);
  const type = format === "prometheus" && family.type === "info" ? "gauge" : family.type;
  return `# HELP ${name} ${family.help}\n# TYPE ${name} ${type}\n`;
}

/** A label's value between its quotation marks. Control characters, which no reader needs, become question marks. */
export function escapeLabel(value: string): string {
  const text = value.toWellFormed();
  const cut = text.length > LONGEST_LABEL ? text.slice(0, LONGEST_LABEL).toWellFormed() : text;
  const visible = cut.replaceAll(/[^\P{Cc}\n]/gu, "?");
  return visible.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
