/**
 * The grammar of a VM's file: an option of `softnet` a line, without the leading `--`, its value behind it; `attach INTERFACE`
 * for a VM at an interface that is there already. The rest of the line is the value, so there are no quotes. `#` begins a
 * comment, at the line's beginning or after a space.
 *
 *     vm-mac-address 7e:1a:00:00:00:01
 *     attach vnet0
 *     block @private          # may be given several times, as allow and only
 *     reject
 *
 * The lines are parsed by the same options as the command line, one by one, so that each mistake has its line.
 */
import { Command, CommanderError, type Option } from "commander";
import { parseExposures } from "../networks/exposures.ts";
import { checkOptions } from "../session/options.ts";
import { rulesOf } from "../session/policy-rules.ts";
import { refuseWithoutIPv6 } from "../session/vm-addresses.ts";
import { UserError } from "../user-error.ts";
import { addGuardOptions } from "./guard-options.ts";
import { chosenNetwork, chosenVm, refuseReconnect } from "./platform/exclusive-options.ts";
import { addAttachOptions, addRunOptions, type RunArguments } from "./run-options.ts";

const ATTACH = "attach";
const SHOWN = 80;

export interface VmConfig {
  /** As on a command line behind `softnet`. */
  readonly words: readonly string[];
  readonly given: RunArguments;
}

/** A mistake, with its line where it is one line's. */
interface Mistake {
  readonly line?: number;
  readonly text: string;
}

/** One line that says something. */
interface Line {
  readonly number: number;
  readonly key: string;
  readonly value: string;
}

export class ConfigMistakes extends UserError {
  /** Each with file and line, in the file's order. */
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.length === 1 ? lines[0]! : `${lines[0]}; ${lines.length - 1} more: run softnet check-config`);
    this.lines = lines;
  }
}

/** `path` is for errors. Throws ConfigMistakes. Reads nothing but a policy file that the text names, if `readsPolicy`. */
export function parseVmConfig(text: string, path: string, readsPolicy = false): VmConfig {
  const lines = text.split("\n").flatMap(splitLine);
  const mistakes = [...lineMistakes(lines)];
  if (mistakes.length > 0) throw new ConfigMistakes(mistakes.map((mistake) => describe(path, mistake)));
  const config = join(lines);
  const mistake = mistakeTogether(config.given, readsPolicy);
  if (mistake === undefined) return config;
  throw new ConfigMistakes([describe(path, located(mistake, lines))]);
}

function splitLine(text: string, index: number): Line[] {
  const written = text.replace(/(^|\s)#.*/, "").trim();
  if (written === "") return [];
  const [, key = "", value = ""] = /^(\S+)\s*(.*)$/.exec(written) ?? [];
  return [{ number: index + 1, key, value }];
}

const allOptions = (): Command => addAttachOptions(plainOptions());
const plainOptions = (): Command => silent(addRunOptions(addGuardOptions(new Command())));
const silent = (command: Command): Command => command.exitOverride().configureOutput({ writeErr: () => {} });
const keyOf = (option: Option): string => option.long!.slice(2);

function* lineMistakes(lines: readonly Line[]): Generator<Mistake> {
  const options = new Map(
    allOptions()
      .options.filter(({ hidden }) => !hidden)
      .map((each) => [keyOf(each), each]),
  );
  const plain = new Set(plainOptions().options.map(keyOf));
  const attached = lines.some(({ key }) => key === ATTACH);
  const seen = new Map<string, number>();
  for (const line of lines) {
    const text = mistakeOf(line, options.get(line.key)) ?? repeated(line, seen);
    if (text !== undefined) yield { line: line.number, text };
    else if (!attached && line.key !== ATTACH && !plain.has(line.key)) {
      yield {
        line: line.number,
        text: `${line.key} belongs to attach INTERFACE: add that line, or leave this one out`,
      };
    }
  }
}

function mistakeOf(line: Line, option: Option | undefined): string | undefined {
  const { key, value } = line;
  if (/[^\P{Cc}\s]/u.test(key + value)) return "a control character: write the line again";
  if (key === ATTACH) return value === "" || /\s/.test(value) ? "attach needs one interface, such as vnet0" : undefined;
  if (option === undefined) return unknown(key);
  if (!option.required) return value === "" ? undefined : `${key} takes no value: leave ${quoted(value)} out`;
  if (value === "") return `${key} needs a value: ${option.flags.slice(2)}`;
  try {
    allOptions().parse(wordsOf(line), { from: "user" });
    return undefined;
  } catch (error) {
    if (error instanceof UserError || error instanceof CommanderError) return error.message;
    throw error;
  }
}

function unknown(key: string): string {
  const [name] = key.split("=", 1);
  const option = allOptions().options.find((each) => !each.hidden && [name, key, `--${key}`].includes(each.long!));
  if (key.startsWith("-") && option !== undefined) return `${quoted(key)}: leave the leading -- out`;
  if (key.includes("=")) return `${quoted(key)}: write a space between option and value`;
  return `${quoted(key)} is no option: softnet --help has them all, here without the leading --`;
}

/** Options that add to what was said before have a list as their value; the others count once. */
function repeated({ key, value, number }: Line, seen: Map<string, number>): string | undefined {
  const before = seen.get(key);
  seen.set(key, number);
  if (before === undefined) return undefined;
  const isList =
    key !== ATTACH &&
    Object.values(allOptions().parse(wordsOf({ key, value }), { from: "user" }).opts()).some(Array.isArray);
  return isList ? undefined : `${key} stands in line ${before} already: leave one of them out`;
}

function wordsOf({ key, value }: Pick<Line, "key" | "value">): string[] {
  return [value === "" ? `--${key}` : `--${key}=${value}`];
}

function join(lines: readonly Line[]): VmConfig {
  const attach = lines.find(({ key }) => key === ATTACH)?.value;
  const words = lines.filter(({ key }) => key !== ATTACH).flatMap(wordsOf);
  const command = (attach === undefined ? plainOptions() : allOptions()).parse(words, { from: "user" });
  const given = command.opts<RunArguments>();
  if (attach === undefined) return { words, given };
  return { words: [ATTACH, attach, ...words], given: { ...given, attach } };
}

/** What is wrong with all of it together, as far as that is known before anything is opened. */
function mistakeTogether(given: RunArguments, readsPolicy: boolean): string | undefined {
  try {
    refuseWithoutIPv6(given);
    checkOptions(given);
    refuseReconnect(given);
    if (chosenVm(given) === undefined) {
      return "no VM: add a line vm-socket PATH, vm-tap NAME, vm-fd N or attach INTERFACE";
    }
    chosenNetwork(given);
    parseExposures(given.expose ?? "");
    if (readsPolicy) rulesOf(given);
    return undefined;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

/** The line of the first option that the message names and the file has. */
function located(text: string, lines: readonly Line[]): Mistake {
  const named = [...text.matchAll(/--([a-z][a-z0-9-]*)/g)].map((match) => match[1]!);
  const line = named.flatMap((key) => lines.filter((each) => each.key === key)).at(0);
  return line === undefined ? { text } : { text, line: line.number };
}

function describe(path: string, { line, text }: Mistake): string {
  const words = text.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ");
  return `${path}${line === undefined ? "" : `:${line}`}: ${words}`;
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, SHOWN));
}
