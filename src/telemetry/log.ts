/**
 * Written by hand because a logging library buffers or waits, and knows nothing of hostile values.
 *
 * The log: one line an event on stderr, `key=value` for people or JSON for programs. It is written at once, and never
 * waits: where the reader of stderr does not keep up, lines are left out and counted, because a line that blocks would
 * stop frames. Values that come from a guest are quoted and escaped, so that no guest writes to a terminal.
 */
import { writeSync } from "node:fs";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ["text", "json"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export type LogValue = string | number | boolean;
export type LogFields = Readonly<Record<string, LogValue>>;

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Stands in every line, such as which VM's it is where several write to one place. */
  readonly context?: LogFields;
  /** Takes one whole line, newline included, and its level; returns false when it was not taken. */
  readonly write: (line: string, level: LogLevel) => boolean;
}

export class Log {
  readonly #threshold: number;
  readonly #format: LogFormat;
  readonly #write: LogOptions["write"];
  readonly #context: LogFields;
  #leftOut = 0;

  constructor(options: LogOptions) {
    this.#threshold = LOG_LEVELS.indexOf(options.level);
    this.#format = options.format;
    this.#write = options.write;
    this.#context = options.context ?? {};
  }

  debug(message: string, fields?: LogFields): void {
    this.#log("debug", message, fields);
  }
  info(message: string, fields?: LogFields): void {
    this.#log("info", message, fields);
  }
  warn(message: string, fields?: LogFields): void {
    this.#log("warn", message, fields);
  }
  error(message: string, fields?: LogFields): void {
    this.#log("error", message, fields);
  }

  #log(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (LOG_LEVELS.indexOf(level) < this.#threshold) return;
    const entry: Record<string, LogValue> = {
      time: new Date().toISOString(),
      level,
      message,
      ...this.#context,
      ...fields,
    };
    if (this.#leftOut > 0) entry["lines-left-out"] = this.#leftOut;
    const line = this.#format === "json" ? quote(entry) : keyValue(entry);
    if (this.#write(`${line}\n`, level)) this.#leftOut = 0;
    else this.#leftOut++;
  }
}

/** `key=value key="a value"`: quoted where a space, a quote or anything unprintable is in it. */
function keyValue(entry: Readonly<Record<string, LogValue>>): string {
  return Object.entries(entry)
    .map(([key, value]) => {
      const text = String(value);
      return `${key}=${/^[!#-<>-~]+$/.test(text) ? text : quote(text)}`;
    })
    .join(" ");
}

/** JSON in printable ASCII: JSON itself leaves terminal controls above 0x7f as they are. */
function quote(value: unknown): string {
  return JSON.stringify(value).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Writes to a descriptor if `ready` says that it takes bytes now; a reader that is gone or full costs the line only. */
export function descriptorWriter(descriptor: number, ready: () => boolean): (line: string) => boolean {
  return (line) => {
    if (!ready()) return false;
    try {
      writeSync(descriptor, line);
      return true;
    } catch {
      return false;
    }
  };
}
