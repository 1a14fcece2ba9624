/**
 * Written by hand because a logging library buffers or waits, and does not escape untrusted values.
 *
 * The log: one line an event on stderr, `key=value` text or JSON. A line is written at once and without waiting,
 * because a blocked write would stop frames. When the reader of stderr is too slow, lines are left out and counted.
 * Values that come from a guest are quoted and escaped, so that no guest can send control characters to a terminal.
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
  /** Fields of every line, such as the VM's name when several VMs share one log. */
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
    const line = this.#format === "json" ? jsonLine(entry) : keyValue(entry);
    if (this.#write(`${line}\n`, level)) this.#leftOut = 0;
    else this.#leftOut++;
  }
}

/** `key=value key="a value"`: a value with a space, a quote or an unprintable character is quoted. */
function keyValue(entry: Readonly<Record<string, LogValue>>): string {
  return Object.entries(entry)
    .map(([key, value]) => {
      const text = String(value);
      return `${key}=${/^[!#-<>-~]+$/.test(text) ? text : jsonLine(text)}`;
    })
    .join(" ");
}

/** JSON in one line of printable ASCII: JSON itself leaves DEL and the control characters of Latin-1 as they are. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Writes to a descriptor when `ready` returns true. If its reader is gone or too slow, only the line is lost. */
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
