/** The options of `softnet` itself, the command that filters: those that Tart uses, and those for other hosts. */
import { type Command, Option } from "commander";
import { MOST_CONNECTIONS } from "../host/messages.ts";
import { DEFAULT_CONNECTIONS } from "../host/table.ts";
import type { SessionArguments } from "../session/options.ts";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../telemetry/log.ts";
import { byteSize, labels, oneOf, tapName, vmName, wholeNumber } from "./values.ts";

/** One session's arguments, and those of the process around it. */
export interface RunArguments extends SessionArguments {
  readonly user?: string;
  readonly group?: string;
  readonly sudoEscalationDone?: boolean;
  readonly logFormat: LogFormat;
  readonly logLevel?: LogLevel;
}

/** Larger than any descriptor that a system allocates. */
const LARGEST_DESCRIPTOR = 1_048_575;

const MOST_CAPTURE_FILES = 100;

const descriptor = (option: string) => wholeNumber(option, 0, LARGEST_DESCRIPTOR);

export function addRunOptions(command: Command): Command {
  return addProcessOptions(addObservationOptions(addControlOptions(addPortOptions(command))));
}

/** What `softnet attach` has in addition. */
export function addAttachOptions(command: Command): Command {
  return command
    .option("--open-on-exit", "put the interface back where it was at the end, instead of leaving it closed")
    .option("--no-express-lane", "let every frame go through softnet, also those of admitted flows");
}

function addPortOptions(command: Command): Command {
  return command
    .optionsGroup("The VM's side, one of:")
    .option("--vm-fd <n>", "descriptor of the VM's unix datagram socket", descriptor("--vm-fd"))
    .option("--vm-tap <name>", "the VM's TAP; made if it does not exist (Linux)", tapName("--vm-tap"))
    .option("--vm-socket <path>", "a unix stream socket to make and wait on, for QEMU's -netdev stream or Lima")
    .option("--vm-reconnect", "with --vm-socket: when the VM disconnects, wait for it to connect again")
    .optionsGroup("The network's side, one of:")
    .option("--bridge <name>", "an existing bridge (Linux, root)")
    .option("--host-fd <n>", "descriptor of a connected unix socket, datagram or stream", descriptor("--host-fd"))
    .option("--host-socket <path>", "a listening unix stream socket, such as passt's")
    .option(
      "--vm-net-type <type>",
      "nat; host, which leads nowhere else; private, a nat network of the VM's own (macOS 26) (default: nat)",
      oneOf("--vm-net-type", ["nat", "host", "private"]),
    )
    .option("--no-offloads", "move no large frames and no partial checksums between TAPs (Linux)")
    .optionsGroup("With a network of the VM's own:")
    .option("--expose <list>", "TCP ports of the host that lead to the VM, EXTERNAL:INTERNAL, comma-separated")
    .option("--dns <list>", "the VM's DNS servers, comma-separated (default: the host's)")
    .option("--subnet <cidr>", "its four addresses, such as 10.99.0.4/30 (default: a free one)")
    .option(
      "--max-connections <n>",
      `how many connections the VM may have at once (Linux; default: ${DEFAULT_CONNECTIONS})`,
      wholeNumber("--max-connections", 1, MOST_CONNECTIONS),
    );
}

function addControlOptions(command: Command): Command {
  return command
    .optionsGroup("Policy:")
    .option("--learn <file>", "write the rules that what the VM does needs to a file: names, and addresses elsewhere")
    .option("--reject", "answer what policy denies, with TCP RST or ICMP, instead of silence")
    .option(
      "--limit <list>",
      'bytes, packets and new flows a second, such as "out 10M/s, in 1Gbit/s burst 20M, out 5000p/s, flows 100/s"',
    )
    .option(
      "--control-fd <n>",
      "descriptor of a connected unix stream socket that commands come from",
      descriptor("--control-fd"),
    )
    .option("--control-socket <path>", "a unix socket to make for commands, such as softnet ctl's")
    .option(
      "--name <name>",
      "the VM's name for softnet list, top and ctl; makes a control socket by itself",
      vmName("--name"),
    )
    .option("--control-group <name>", "with --name: a group that may also use its control socket; root's alone to give")
    .option("--label <list>", "labels of the VM for softnet fleet, comma-separated, the first one first", labels)
    .option("--require-policy", "close everything until a controller has set a policy")
    .optionsGroup("When it ends:")
    .option("--release-on-exit", "give the VM's address back to the DHCP server that it was learned from", true)
    .option("--no-release-on-exit", "leave it to the VM until its lease is over");
}

function addObservationOptions(command: Command): Command {
  return command
    .optionsGroup("Seeing what it does:")
    .option("--capture <file>", "write the frames as pcapng, with the reason of each drop")
    .addOption(
      new Option("--capture-size <bytes>", "how large that file may become, such as 500K or 2G")
        .argParser(byteSize("--capture-size", 4096, 2 ** 50))
        .default(64 * 2 ** 20, "64M"),
    )
    .option(
      "--capture-files <n>",
      "write n such files in turn, FILE, FILE.1 …, so that the last frames are always kept",
      wholeNumber("--capture-files", 1, MOST_CAPTURE_FILES),
      1,
    )
    .option("--log-file <path>", "append the log to this file instead of stderr; SIGHUP opens it anew")
    .option("--log-format <format>", "text or json", oneOf("--log-format", LOG_FORMATS), "text")
    .option(
      "--log-level <level>",
      "debug, info, warn or error (default: info; warn when --vm-fd is 0)",
      oneOf("--log-level", LOG_LEVELS),
    );
}

function addProcessOptions(command: Command): Command {
  return command
    .optionsGroup("On macOS:")
    .option(
      "--bootpd-lease-time <seconds>",
      "lease time of macOS' own DHCP server (default: 600)",
      wholeNumber("--bootpd-lease-time", 1, 2 ** 31 - 1),
    )
    .optionsGroup("Privileges:")
    .option("--user <name>", "the user to become after the start (default: who started it; nobody for root itself)")
    .option("--group <name>", "the group to become (default: the user's)")
    .addOption(new Option("--sudo-escalation-probing").hideHelp())
    .addOption(new Option("--sudo-escalation-done").hideHelp());
}
