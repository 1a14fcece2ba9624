/**
 * `softnet ctl PATH… COMMAND`: sends a command to running softnets through --control-socket, and prints text or JSON.
 */
import { type Answer, ControlClient } from "../control/client.ts";
import { formatRule, type Rule } from "../policy/rule.ts";
import { UserError } from "../user-error.ts";
import { findTargets, splitAtCommand } from "./ctl-targets.ts";
import {
  describeEvent,
  describeExplanation,
  describeLane,
  describeLimits,
  describeNames,
  describeStatus,
  policyLines,
} from "./ctl-text.ts";
import { Output } from "./output.ts";

export interface CtlArguments {
  readonly allow?: readonly Rule[];
  readonly block?: readonly Rule[];
  readonly only?: readonly Rule[];
  /** Only `keep`. */
  readonly isolation?: string;
  readonly json?: boolean;
}

const COMMANDS = ["status", "get", "set", "explain", "names", "lane", "limits", "watch"] as const;
type CtlCommand = (typeof COMMANDS)[number];

/** How many softnets are asked at a time. */
const AT_ONCE = 32;

/** Prints one softnet's answer or event. */
type Print = (answer: Answer, lines: (answer: Answer) => readonly string[]) => void;

/**
 * `words`: paths, a command and its arguments. Prints to `descriptor` (stdout). With several paths, an error of one is
 * a line for `complain`. Returns the exit code. Throws UserError.
 */
export async function ctl(
  words: readonly string[],
  given: CtlArguments,
  descriptor: number,
  complain: (line: string) => void,
): Promise<number> {
  const { paths: named, name, rest } = splitAtCommand(words, COMMANDS);
  const command = COMMANDS.find((one) => one === name);
  if (command === undefined) throw new UserError(`ctl ${name}: there is no such command: give ${COMMANDS.join(", ")}`);
  refuseSurplus(command, rest, given);
  const question = command === "explain" ? parseQuestion(rest) : undefined;
  const lane = command === "lane" ? parseLane(rest) : undefined;
  const limits = command === "limits" ? parseLimitsWords(rest) : undefined;
  const { paths, many } = findTargets(named);
  const output = new Output(descriptor);
  const task = {
    command,
    question,
    lane,
    limits,
    given,
    output,
    ...(command === "watch" && { interrupted: interruption() }),
  };
  if (!many) {
    await askOne(paths[0]!, task, printer(output, given));
    return 0;
  }
  if (command === "watch" && paths.length > AT_ONCE)
    throw new UserError(`ctl watch follows at most ${AT_ONCE} at a time: name fewer`);
  let failed = 0;
  for (let begin = 0; begin < paths.length; begin += AT_ONCE) {
    const asked = paths.slice(begin, begin + AT_ONCE).map(async (path) => {
      const prints: (() => void)[] = [];
      const print = printer(output, given, path);
      try {
        // Events are printed when they arrive, answers in the order of the paths.
        await askOne(path, task, command === "watch" ? print : (...what) => prints.push(() => print(...what)));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        failed++;
        prints.push(() => complain(error.message.startsWith(path) ? error.message : `${path}: ${error.message}`));
      }
      return prints;
    });
    for (const one of asked) for (const print of await one) print();
  }
  return failed > 0 ? 1 : 0;
}

interface Task {
  readonly command: CtlCommand;
  readonly question: object | undefined;
  /** What the express lane is to be. */
  readonly lane: string | undefined;
  /** What the limits are to be; `get`: they stay. */
  readonly limits: readonly string[] | "get" | undefined;
  readonly given: CtlArguments;
  readonly output: Output;
  /** Resolved by Ctrl-C, for watching. */
  readonly interrupted?: Promise<undefined>;
}

async function askOne(
  path: string,
  { command, question, lane, limits, given, output, interrupted }: Task,
  print: Print,
): Promise<void> {
  const client = await ControlClient.connect(path);
  try {
    if (command === "status") print(await client.ask("softnet.status"), describeStatus);
    if (command === "get") print(await client.ask("softnet.policy.get"), policyLines);
    if (command === "set") {
      const [allow, block] = [given.allow, given.block].map((rules) => (rules ?? []).map(formatRule));
      const only = given.only?.map(formatRule);
      print(await client.ask("softnet.policy.set", { allow, block, only, isolation: given.isolation }), policyLines);
    }
    if (command === "names") print(await client.ask("softnet.names"), describeNames);
    if (limits !== undefined) {
      const asked = limits === "get" ? client.ask("softnet.limits.get") : client.ask("softnet.limits.set", { limits });
      print(await asked, describeLimits);
    }
    if (lane !== undefined) print(await client.ask("softnet.lane.set", { state: lane }), describeLane);
    if (question !== undefined) print(await client.ask("softnet.explain", question), describeExplanation);
    if (interrupted) await watch(client, output, interrupted, (event) => print(event, describeEvent));
  } finally {
    client.close();
  }
}

/** With `path`, each answer is printed with it: as a heading, or as the first key of the object. */
function printer(output: Output, { json }: CtlArguments, path?: string): Print {
  return (answer, lines) => {
    if (json) {
      output.line(JSON.stringify(path === undefined ? answer : { path, ...answer }));
    } else {
      if (path !== undefined) output.line(printable(`== ${path}`));
      for (const line of lines(answer)) output.line(printable(line));
    }
    output.flush();
  };
}

function refuseSurplus(command: CtlCommand, words: readonly string[], given: CtlArguments): void {
  const { allow, block, only, isolation } = given;
  if (command !== "explain" && command !== "lane" && command !== "limits" && words.length > 0)
    throw new UserError(`ctl ${command} takes no more arguments: ${words[0]}`);
  if (command === "set" && only === undefined && (allow === undefined || block === undefined)) {
    throw new UserError(
      'ctl set replaces the whole policy: give --allow LIST and --block LIST, "" for none, or --only LIST',
    );
  }
  if (command !== "set" && [allow, block, only, isolation].some((option) => option !== undefined)) {
    throw new UserError(`--allow, --block, --only and --isolation belong to ctl set, not to ctl ${command}`);
  }
}

function parseLane(words: readonly string[]): string {
  const [state = "", more] = words;
  if (!["on", "off"].includes(state) || more !== undefined) throw new UserError("ctl lane needs on or off");
  return state;
}

/** Nothing, or one list as --limit takes it; softnet itself validates it. */
function parseLimitsWords(words: readonly string[]): readonly string[] | "get" {
  const [list, more] = words;
  if (more !== undefined) throw new UserError('ctl limits takes one list in quotes: limits "out 10M/s, in 10M/s"');
  if (list === undefined) return "get";
  return list.trim() === "" ? [] : list.split(",").map((item) => item.trim());
}

/** `out tcp 1.2.3.4 443`; softnet itself validates the values. */
export function parseQuestion(words: readonly string[]): object {
  const [direction, protocol, remote, port, more] = words;
  if (remote === undefined || more !== undefined) {
    throw new UserError(
      "ctl explain needs in or out, tcp, udp or icmp, an address and perhaps a port: out tcp 1.2.3.4 443",
    );
  }
  const number = /^(0|[1-9]\d{0,2})$/.test(protocol ?? "") ? Number(protocol) : protocol;
  if (port === undefined) return { direction, protocol: number, remote };
  if (!/^[1-9]\d{0,4}$/.test(port)) throw new UserError(`ctl explain: ${JSON.stringify(port)} is not a port`);
  return { direction, protocol: number, remote, port: Number(port) };
}

function interruption(): Promise<undefined> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve(undefined));
  });
}

/** Prints events until Ctrl-C, or until the output's reader has closed it. */
async function watch(
  client: ControlClient,
  output: Output,
  interrupted: Promise<undefined>,
  print: (event: Answer) => void,
): Promise<void> {
  await client.ask("softnet.events");
  while (output.open) {
    const event = client.event();
    event.catch(() => {}); // it is awaited below, or not needed any more
    const next = await Promise.race([event, interrupted]);
    if (next === undefined) return;
    print(next);
  }
}

/** Removes control characters: the program at that path must not control this terminal. */
function printable(line: string): string {
  return line.replace(/[^ -~]/g, "?");
}
