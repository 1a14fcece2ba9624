/**
 * `softnet ctl VM… COMMAND`: sends a command to running softnets through their control sockets, and prints text or JSON. A VM
 * is a path, a name, a MAC address or a pattern (ctl-targets.ts).
 */
import { type Answer, ControlClient, NoSoftnet } from "../control/client.ts";
import { AT_ONCE, askOne } from "../operate/ask.ts";
import { printable } from "../operate/fields.ts";
import { formatRule, type Rule } from "../policy/rule.ts";
import { jsonLine } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { type FindVms, findTargets, splitAtCommand, type Target } from "./ctl-targets.ts";
import {
  countedPolicyLines,
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
  /** Every VM of the host. */
  readonly all?: boolean;
  readonly json?: boolean;
}

const COMMANDS = ["status", "get", "set", "explain", "names", "lane", "limits", "watch"] as const;
type CtlCommand = (typeof COMMANDS)[number];

/** Milliseconds that one softnet has for its answer. */
const ANSWER_WITHIN = 10_000;

type Lines = (answer: Answer) => readonly string[];
/** Prints one softnet's answer or event. */
type Print = (answer: Answer, lines: Lines) => void;

/** What a command asks of each softnet, and how its answer is printed. `watch` asks for events. */
interface Question {
  readonly method: string;
  readonly params: object;
  readonly lines: Lines;
  /** What a softnet is asked that does not know the method: an older one, which an upgrade has left running. */
  readonly older?: Question;
}

/**
 * `words`: VMs, a command and its arguments; `find` returns all VMs of the host. Prints to `descriptor` (stdout). With several
 * VMs, an error of one is a line for `complain`. Returns the exit code. Throws UserError.
 */
export async function ctl(
  words: readonly string[],
  given: CtlArguments,
  descriptor: number,
  complain: (line: string) => void,
  find: FindVms,
): Promise<number> {
  const { vms, name, rest } = splitAtCommand(words, COMMANDS, given.all);
  const command = COMMANDS.find((one) => one === name);
  if (command === undefined) throw new UserError(`ctl ${name}: there is no such command: give ${COMMANDS.join(", ")}`);
  refuseSurplus(command, rest, given);
  const question = questionOf(command, rest, given);
  const { targets, many } = await findTargets(vms, given.all ?? false, find);
  const output = new Output(descriptor);
  const events = command === "watch" ? { output, interrupted: interruption() } : undefined;
  const ask = (target: Target, print: Print): Promise<void> =>
    events === undefined ? askTarget(target, question, print) : watch(target, events, print);
  if (!many) {
    await ask(targets[0]!, printer(output, given));
    return 0;
  }
  if (command === "watch" && targets.length > AT_ONCE)
    throw new UserError(`ctl watch follows at most ${AT_ONCE} at a time: name fewer`);
  let failed = 0;
  for (let begin = 0; begin < targets.length; begin += AT_ONCE) {
    const asked = targets.slice(begin, begin + AT_ONCE).map(async (target) => {
      const prints: (() => void)[] = [];
      const print = printer(output, given, target);
      try {
        // Events are printed when they arrive, answers in the order of the VMs.
        await ask(target, command === "watch" ? print : (...what) => prints.push(() => print(...what)));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        if (target.mayBeGone && error instanceof NoSoftnet) return prints;
        failed++;
        const { label, path } = target;
        const isSaid = [label, path].some((start) => start !== undefined && error.message.startsWith(start));
        prints.push(() => complain(printable(isSaid ? error.message : `${label}: ${error.message}`)));
      }
      return prints;
    });
    for (const one of asked) for (const print of await one) print();
  }
  return failed > 0 ? 1 : 0;
}

function questionOf(command: CtlCommand, words: readonly string[], given: CtlArguments): Question {
  switch (command) {
    case "status":
      return { method: "softnet.status", params: {}, lines: describeStatus };
    case "get": {
      const policy = { method: "softnet.policy.get", params: {}, lines: policyLines };
      // Programs get what they always did.
      return given.json ? policy : { method: "softnet.rules", params: {}, lines: countedPolicyLines, older: policy };
    }
    case "set": {
      const [allow, block] = [given.allow, given.block].map((rules) => (rules ?? []).map(formatRule));
      const only = given.only?.map(formatRule);
      const params = { allow, block, only, isolation: given.isolation };
      return { method: "softnet.policy.set", params, lines: policyLines };
    }
    case "explain":
      return { method: "softnet.explain", params: parseQuestion(words), lines: describeExplanation };
    case "names":
      return { method: "softnet.names", params: {}, lines: describeNames };
    case "lane":
      return { method: "softnet.lane.set", params: { state: parseLane(words) }, lines: describeLane };
    case "limits": {
      const limits = parseLimitsWords(words);
      if (limits === "get") return { method: "softnet.limits.get", params: {}, lines: describeLimits };
      return { method: "softnet.limits.set", params: { limits }, lines: describeLimits };
    }
    case "watch":
      return { method: "softnet.events", params: {}, lines: describeEvent };
  }
}

/** The path of a VM's control socket. Throws UserError where it has none. */
function pathOf({ path, label }: Target): string {
  if (path !== undefined) return path;
  throw new UserError(
    `${label}: it has no control socket; softnet makes one with --name NAME or --control-socket PATH`,
  );
}

async function askTarget(target: Target, { method, params, lines, older }: Question, print: Print): Promise<void> {
  const asked = await askOne(pathOf(target), method, params, ANSWER_WITHIN);
  if (older !== undefined && "error" in asked && asked.error.startsWith("there is no method")) {
    return askTarget(target, older, print);
  }
  if ("error" in asked) throw asked.gone ? new NoSoftnet(asked.error) : new UserError(asked.error);
  print(asked.answer, lines);
}

/** With a target, each answer is printed with whose it is: as a heading, or as the first keys of the object. */
function printer(output: Output, { json }: CtlArguments, target?: Target): Print {
  return (answer, lines) => {
    if (json) {
      output.line(jsonLine(target === undefined ? answer : { ...whose(target), ...answer }));
    } else {
      if (target !== undefined) output.line(printable(`== ${target.label}`));
      for (const line of lines(answer)) output.line(printable(line));
    }
    output.flush();
  };
}

function whose({ path, label }: Target): object {
  return { path, ...(label !== path && { vm: label }) };
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
  target: Target,
  { output, interrupted }: { readonly output: Output; readonly interrupted: Promise<undefined> },
  print: Print,
): Promise<void> {
  const client = await ControlClient.connect(pathOf(target));
  try {
    await client.ask("softnet.events");
    while (output.open) {
      const event = client.event();
      event.catch(() => {}); // it is awaited below, or not needed any more
      const next = await Promise.race([event, interrupted]);
      if (next === undefined) return;
      print(next, describeEvent);
    }
  } finally {
    client.close();
  }
}
