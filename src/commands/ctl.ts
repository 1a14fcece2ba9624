/** `softnet ctl PATH …`: talks to a running softnet's --control-socket. Tables for people, JSON for programs. */
import { type Answer, ControlClient } from "../control/client.ts";
import { UserError } from "../user-error.ts";
import { describeEvent, describeExplanation, describeStatus, policyLines } from "./ctl-text.ts";
import { Output } from "./output.ts";

export interface CtlArguments {
  readonly allow?: readonly string[];
  readonly block?: readonly string[];
  /** Only `keep`. */
  readonly isolation?: string;
  readonly json?: boolean;
}

const COMMANDS = ["status", "get", "set", "explain", "watch"] as const;
type CtlCommand = (typeof COMMANDS)[number];

/** Prints to `descriptor` (stdout). Throws UserError. */
export async function ctl(
  path: string,
  name: string,
  words: readonly string[],
  given: CtlArguments,
  descriptor: number,
): Promise<void> {
  const command = COMMANDS.find((one) => one === name);
  if (command === undefined) throw new UserError(`ctl ${name}: there is no such command: give ${COMMANDS.join(", ")}`);
  refuseSurplus(command, words, given);
  const question = command === "explain" ? parseQuestion(words) : undefined;
  const output = new Output(descriptor);
  const client = await ControlClient.connect(path);
  const print = (answer: Answer, lines: (answer: Answer) => readonly string[]): void => {
    if (given.json) output.line(JSON.stringify(answer));
    else for (const line of lines(answer)) output.line(printable(line));
    output.flush();
  };
  try {
    if (command === "status") print(await client.ask("softnet.status"), describeStatus);
    if (command === "get") print(await client.ask("softnet.policy.get"), policyLines);
    if (command === "set") {
      const { allow, block, isolation } = given;
      print(await client.ask("softnet.policy.set", { allow, block, isolation }), policyLines);
    }
    if (question !== undefined) print(await client.ask("softnet.explain", question), describeExplanation);
    if (command === "watch") await watch(client, output, (event) => print(event, describeEvent));
  } finally {
    client.close();
  }
}

function refuseSurplus(command: CtlCommand, words: readonly string[], given: CtlArguments): void {
  const { allow, block, isolation } = given;
  if (command !== "explain" && words.length > 0) throw new UserError(`ctl ${command} takes no more words: ${words[0]}`);
  if (command === "set" && (allow === undefined || block === undefined)) {
    throw new UserError('ctl set replaces the whole policy: give --allow LIST and --block LIST, "" for none');
  }
  if (command !== "set" && (allow !== undefined || block !== undefined || isolation !== undefined)) {
    throw new UserError(`--allow, --block and --isolation belong to ctl set, not to ctl ${command}`);
  }
}

/** `out tcp 1.2.3.4 443`: softnet itself looks at the words closely. */
function parseQuestion(words: readonly string[]): object {
  const [direction, protocol, remote, port, more] = words;
  if (remote === undefined || more !== undefined) {
    throw new UserError(
      "ctl explain wants in or out, tcp, udp or icmp, an address and perhaps a port: out tcp 1.2.3.4 443",
    );
  }
  const number = /^(0|[1-9]\d{0,2})$/.test(protocol ?? "") ? Number(protocol) : protocol;
  if (port === undefined) return { direction, protocol: number, remote };
  if (!/^[1-9]\d{0,4}$/.test(port)) throw new UserError(`ctl explain: ${JSON.stringify(port)} is not a port`);
  return { direction, protocol: number, remote, port: Number(port) };
}

/** Prints events until Ctrl-C, or until nobody reads them. */
async function watch(client: ControlClient, output: Output, print: (event: Answer) => void): Promise<void> {
  await client.ask("softnet.events");
  const interrupted = new Promise<undefined>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve(undefined));
  });
  while (output.open) {
    const event = client.event();
    event.catch(() => {}); // it is waited for below, or nobody wants it any more
    const next = await Promise.race([event, interrupted]);
    if (next === undefined) return;
    print(next);
  }
}

/** Whoever listens at that path writes nothing to this terminal but text. */
function printable(line: string): string {
  return line.replace(/[^ -~]/g, "?");
}
