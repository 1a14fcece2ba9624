/**
 * The program: runs the command that the arguments name. Only the code that a command needs is loaded. A user's mistake
 * is one line on stderr and exit 1.
 */
import { basename } from "node:path";
import { isSea } from "node:sea";
import { Command, CommanderError } from "commander";
import { CaptureError } from "../capture/errors.ts";
import { AGENT } from "../demo/agent-argument.ts";
import { HOST_HELPER } from "../host/argument.ts";
import { heldRights } from "../native/rights.ts";
import type { FoundVm } from "../operate/vms.ts";
import { prepareDrop, refuseBorrowedRights, returnRights } from "../privileges/borrowed.ts";
import { refuseTightLimits } from "../privileges/limits.ts";
import { SEND_CRASH, watchForCrashes } from "../telemetry/crash.ts";
import { UserError } from "../user-error.ts";
import { version } from "../version.ts";
import type { CtlArguments } from "./ctl.ts";
import { DAEMON } from "./daemon-argument.ts";
import { addFleet } from "./fleet-options.ts";
import { addGuardOptions } from "./guard-options.ts";
import type { ListArguments } from "./list.ts";
import type { MetricsArguments } from "./metrics.ts";
import { writeIfPossible } from "./output.ts";
import { PASST } from "./passt-argument.ts";
import type { ReplayArguments } from "./replay.ts";
import { addAttachOptions, addRunOptions, type RunArguments } from "./run-options.ts";
import { leaveTerminal } from "./terminal.ts";
import type { TopArguments } from "./top.ts";
import { oneOf, onlyList, ruleList, wholeNumber } from "./values.ts";

const STDOUT = 1;
const STDERR = 2;

const METRICS_FORMATS = ["openmetrics", "prometheus"];

const TOO_FEW_WORDS = "ctl needs a VM and a command: softnet ctl VM status; see softnet ctl --help";

const CTL_EXAMPLES = `
  softnet ctl /run/user/1000/vm.ctl status
  softnet ctl /run/user/1000/vm.ctl get
  softnet ctl /run/user/1000/vm.ctl set --allow "out 203.0.113.7/32:443" --block @private
  softnet ctl /run/user/1000/vm.ctl explain out tcp 203.0.113.7 443
  softnet ctl /run/user/1000/vm.ctl watch --json
  softnet ctl /run/vms status --json
  softnet ctl web-1 status
  softnet ctl "web-*" set --only "deb.debian.org"
  softnet ctl --all explain out tcp 203.0.113.7 443`;

/** The whole command line: what `--help`, the manual page and the shells' completions know. */
export function program(): Command {
  const softnet = new Command("softnet")
    .description("Software networking with isolation for virtual machines: passes only what the VM may send.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .enablePositionalOptions()
    .allowExcessArguments(false)
    // Tart runs softnet --help with closed outputs and uses only the exit code.
    .configureOutput({ writeOut: (text) => writeIfPossible(STDOUT, text), outputError: () => {} })
    .exitOverride();
  addRunOptions(addGuardOptions(softnet)).action(async (given: RunArguments) => {
    if (heldRights() === "borrowed" || isSea()) refuseTightLimits();
    const { run } = await import("./run.ts");
    process.exitCode = await run(given);
  });

  addAttach(softnet);
  addConfig(softnet);
  addPasst(softnet);
  addLibvirtHook(softnet);
  addReplay(softnet);
  addCtl(softnet);
  addList(softnet);
  addMetrics(softnet);
  addTop(softnet);
  addFleet(softnet);
  addDemo(softnet);
  return softnet;
}

function addAttach(softnet: Command): void {
  const attach = softnet
    .command("attach <interface>")
    .description("filter at an interface that a hypervisor or a container already has (Linux, root)");
  addAttachOptions(addRunOptions(addGuardOptions(attach))).action(
    async (name: string, given: RunArguments, command: Command) => {
      refuseOptionsBefore(softnet, command.name());
      if (heldRights() === "borrowed" || isSea()) refuseTightLimits();
      const { run } = await import("./run.ts");
      process.exitCode = await run({ ...given, attach: name });
    },
  );
  softnet
    .command("detach <interface>")
    .description("put an interface back where it was before softnet was attached to it (Linux, root)")
    .action(async (name: string, _given: object, command: Command) => {
      refuseOptionsBefore(softnet, command.name());
      await refuseBorrowedRights("softnet detach");
      const { detach } = await import("./detach.ts");
      await detach(name);
    });
}

function addConfig(softnet: Command): void {
  softnet
    .command("run-config <name>")
    .description("filter with the options of a file: of /etc/softnet/vms/NAME.conf, or of a path with a slash")
    .action(async (name: string, _given: object, command: Command) => {
      refuseOptionsBefore(softnet, command.name());
      await refuseBorrowedRights("softnet run-config");
      if (isSea()) refuseTightLimits();
      const { runConfig } = await import("./run-config.ts");
      process.exitCode = await runConfig(name);
    });
  softnet
    .command("check-config <name>")
    .description("print each mistake in such a file; start nothing")
    .action(async (name: string) => {
      await returnRights();
      const { checkConfig } = await import("./check-config.ts");
      process.exitCode = checkConfig(name, STDOUT, STDERR);
    });
}

/** For the help alone: its command line is passt's (bePasst). */
function addPasst(softnet: Command): void {
  softnet
    .command("passt [words...]")
    .usage("<passt's options>")
    .helpOption(false)
    .description(
      "filter before passt, whose command line this is: what libvirt's <backend type='passt'/> starts (Linux)",
    );
}

function addLibvirtHook(softnet: Command): void {
  softnet
    .command("libvirt-hook <domain> <operation> <sub-operation> [extra]")
    .description(
      "for /etc/libvirt/hooks/qemu.d: attach softnet to a domain that asks for it, before it runs (Linux, root)",
    )
    .action(async (domain: string, operation: string, subOperation: string) => {
      await refuseBorrowedRights("softnet libvirt-hook");
      const { libvirtHook } = await import("./libvirt-hook.ts");
      await libvirtHook(domain, operation, subOperation);
    });
}

/** `softnet --block … attach vnet0` would attach without the rule: throws UserError. */
function refuseOptionsBefore(softnet: Command, command: string): void {
  const given = softnet.options.find((option) => softnet.getOptionValueSource(option.attributeName()) === "cli");
  if (given === undefined) return;
  throw new UserError(`${given.long}: options of softnet ${command} stand behind it: softnet ${command} INTERFACE …`);
}

function addReplay(softnet: Command): void {
  const replay = softnet
    .command("replay <capture>")
    .description("run the frames of a pcap or pcapng file through the guard and print each verdict");
  addGuardOptions(replay)
    .option("--expose <list>", "the ports that softnet exposed: their answers reach a gateway that a rule blocks")
    .option("--from-vm", "take every frame as the VM's")
    .option("--from-host", "take every frame as the network's")
    .option(
      "--vm-interface <number>",
      "the interface of a pcapng file that the VM sends on",
      wholeNumber("--vm-interface", 0, 65_535),
    )
    .option("--offloads", "captured on the sending host: fill in the checksums and lengths that its card did")
    .option("--json", "print one JSON object a line")
    .action(async (capture: string, given: ReplayArguments) => {
      const { replay } = await import("./replay.ts");
      await returnRights();
      replay(capture, given, STDOUT);
    });
}

function addCtl(softnet: Command): void {
  softnet
    .command("ctl [words...]")
    .usage("<vm...> <command> [words...] [options]")
    .description(
      "ask running softnets, each by its VM's name (* for any characters), its socket's path or a folder's *.ctl: status, get, set, explain, names, lane, limits, watch",
    )
    .option("--all", "every VM of this host, in place of a name")
    .option("--allow <list>", "for set: all rules that allow", ruleList("allow"))
    .option("--block <list>", "for set: all rules that block", ruleList("block"))
    .option("--only <list>", "for set: rules that allow, and everything else that the VM sends is closed", onlyList)
    .option("--isolation <keep>", "for set: the VM stays as isolated as it is", oneOf("--isolation", ["keep"]))
    .option("--json", "print the answers as JSON")
    .addHelpText("after", CTL_EXAMPLES)
    .action(async (words: string[], given: CtlArguments) => {
      await returnRights();
      if (words.length < (given.all ? 1 : 2)) throw new UserError(TOO_FEW_WORDS);
      const { ctl } = await import("./ctl.ts");
      process.exitCode = await ctl(words, given, STDOUT, complain, findVmsHere);
    });
}

/** All VMs of this host; only what that needs is loaded. */
async function findVmsHere(): Promise<FoundVm[]> {
  const { findHostVms } = await import("./list.ts");
  const { hostRegistry, userRuntimesHere } = await import("./platform/find-registry.ts");
  return findHostVms(await hostRegistry(), await userRuntimesHere());
}

const complain = (line: string): void => void process.stderr.write(`softnet: ${line}\n`);

function addList(softnet: Command): void {
  softnet
    .command("list")
    .description("print the VMs of this host with their addresses, and which interfaces are closed, or unguarded")
    .option("--json", "print one JSON object a line")
    .action(async (given: ListArguments) => {
      const { list } = await import("./list.ts");
      const here = await import("./platform/find-registry.ts");
      await returnRights();
      const sources = {
        registry: await here.hostRegistry(),
        runtimes: await here.userRuntimesHere(),
        closed: await here.closedInterfacesHere(),
        domains: await here.domainsCardsHere(),
      };
      await list(sources, given, STDOUT, complain);
    });
}

function addMetrics(softnet: Command): void {
  softnet
    .command("metrics")
    .description("print counters of every VM of this host for Prometheus, write them to a file, or serve them")
    .option("--format <format>", "openmetrics or prometheus (the older text)", oneOf("--format", METRICS_FORMATS))
    .option("--textfile <path>", "write them to a file for node_exporter's textfile collector")
    .option("--listen <address>", "serve them by HTTP, without root's rights: unix:PATH, 127.0.0.1:PORT or [::1]:PORT")
    .option("--user <name>", "with --listen: the user that root becomes (default: nobody)")
    .action(async (given: MetricsArguments) => {
      const { metrics } = await import("./metrics.ts");
      const here = await import("./platform/find-registry.ts");
      const { serviceManagerHere } = await import("./platform/service-manager-here.ts");
      const drop = await prepareDrop(given.user);
      if (given.listen === undefined) await returnRights();
      const host = {
        registry: await here.hostRegistry(),
        runtimes: here.userRuntimesHere,
        domains: here.domainsCardsHere,
        drop,
        serviceManager: await serviceManagerHere(),
      };
      await metrics(host, given, STDOUT);
    });
}

function addTop(softnet: Command): void {
  softnet
    .command("top")
    .description("a live screen of the VMs of this host: traffic, flows, drops with their reasons, names")
    .option("--once", "print one screen as text; the same where there is no terminal")
    .option("--interval <seconds>", "seconds between two looks", wholeNumber("--interval", 1, 60), 2)
    .action(async (given: TopArguments) => {
      await returnRights();
      const { top } = await import("./top.ts");
      const { domainsCardsHere } = await import("./platform/find-registry.ts");
      process.exitCode = await top(given, findVmsHere, domainsCardsHere);
    });
}

function addDemo(softnet: Command): void {
  softnet
    .command("demo")
    .description("show two guests with and without softnet between them (Linux, root)")
    .action(async () => {
      await refuseBorrowedRights();
      const { demo } = await import("./demo.ts");
      process.exitCode = await demo();
    });
}

/** The message of a user's mistake; undefined for an error in softnet itself. */
function mistake(error: unknown, args: readonly string[]): string | undefined {
  if (error instanceof UserError || error instanceof CaptureError) return error.message;
  if (error instanceof CommanderError) {
    return `${error.message.replace(/^error: /, "").replace(/\.$/, "")}; see ${commandOf(args)} --help`;
  }
  return undefined;
}

/** `softnet fleet list`: the command that these arguments begin with. */
function commandOf(args: readonly string[]): string {
  const words = ["softnet"];
  let command: Command | undefined = program();
  for (const word of args) {
    command = command.commands.find((each) => each.name() === word);
    if (command === undefined) break;
    words.push(word);
  }
  return words.join(" ");
}

/**
 * Runs a command with which softnet starts itself, not for users, or whose command line is another program's. Undefined for
 * any other argument.
 */
function own([first, ...rest]: readonly string[]): Promise<void> | undefined {
  if (first === SEND_CRASH) return sendCrash();
  if (first === HOST_HELPER) return helpHost();
  if (first === DAEMON) return beDaemon(rest);
  if (first === PASST) return bePasst(rest);
  return first === AGENT ? beAgent() : undefined;
}

/** The SUID bit gives this process root's rights again; they are given up before the report and its URL are read. */
async function sendCrash(): Promise<void> {
  await returnRights();
  if (heldRights() !== "none") return;
  const { sendCrashReport } = await import("../telemetry/crash-report.ts");
  await sendCrashReport(process.env, version());
}

/** Only a softnet that is root itself, or has CAP_NET_ADMIN, may start it; refused with rights borrowed from root. */
async function helpHost(): Promise<void> {
  if (heldRights() === "borrowed" && (process.getuid!() === 0 || process.getuid!() !== process.geteuid!())) {
    throw new UserError(`${HOST_HELPER}: softnet starts this by itself`);
  }
  const { helpHost } = await import("../host/main.ts");
  helpHost();
}

/** What passt's command line, and not softnet's, comes after. */
async function bePasst(words: readonly string[]): Promise<void> {
  await returnRights();
  const { passt } = await import("./passt.ts");
  process.exitCode = await passt(words);
}

/** A softnet that startDaemon started. */
async function beDaemon([command, ...words]: readonly string[]): Promise<void> {
  if (isSea()) refuseTightLimits();
  if (command === PASST) {
    await returnRights();
    const { passtDaemon } = await import("./passt.ts");
    process.exitCode = await passtDaemon(words);
  } else if (command === "run-config" && words.length === 1) {
    await refuseBorrowedRights("softnet run-config");
    const { runConfigDaemon } = await import("./run-config.ts");
    process.exitCode = await runConfigDaemon(words[0]!);
  }
}

/** softnet may be called passt, by a link that stands before passt in PATH: then its arguments are passt's. */
function isCalledPasst(): boolean {
  return basename(isSea() ? process.argv0 : (process.argv[1] ?? "")) === PASST;
}

async function beAgent(): Promise<void> {
  await refuseBorrowedRights();
  await import("../demo/agent/main.ts");
}

/** Runs the command of these arguments, and sets the exit code. */
export async function main(args: readonly string[]): Promise<void> {
  leaveTerminal();
  // Tart runs this through sudo to find out whether sudo would run softnet as root: exit code 0 means that it does.
  if (args.includes("--sudo-escalation-probing")) return;
  // A crash of the sending process is not reported: that would start another one.
  if (args[0] !== SEND_CRASH) watchForCrashes(process.env);
  try {
    await (own(isCalledPasst() && args[0] !== DAEMON ? [PASST, ...args] : args) ??
      program().parseAsync(args, { from: "user" }));
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return;
    const line = mistake(error, args);
    if (line === undefined) throw error;
    writeIfPossible(STDERR, `softnet: ${line.replaceAll(/\s*\n\s*/g, " ")}\n`);
    process.exitCode = 1;
  }
}
