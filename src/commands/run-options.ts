/** The options of `softnet` itself, the command that filters: Tart's contract, and what Linux hosts add to it. */
import { type Command, Option } from "commander";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../telemetry/log.ts";
import type { GuardArguments } from "./guard-options.ts";
import { byteSize, oneOf, wholeNumber } from "./values.ts";

export interface RunArguments extends GuardArguments {
  readonly vmFd?: number;
  readonly vmTap?: string;
  readonly vmNetType?: "nat" | "host";
  readonly bridge?: string;
  readonly hostFd?: number;
  readonly hostSocket?: string;
  readonly expose?: string;
  readonly user?: string;
  readonly group?: string;
  readonly bootpdLeaseTime?: number;
  readonly capture?: string;
  readonly captureSize: number;
  readonly logFormat: LogFormat;
  readonly logLevel?: LogLevel;
}

/** The largest descriptor that a system hands out is far below. */
const LARGEST_DESCRIPTOR = 1_048_575;

const descriptor = (option: string) => wholeNumber(option, 0, LARGEST_DESCRIPTOR);

export function addRunOptions(command: Command): Command {
  return command
    .optionsGroup("The VM's side, one of:")
    .option("--vm-fd <n>", "descriptor of the VM's unix datagram socket", descriptor("--vm-fd"))
    .option("--vm-tap <name>", "a TAP that the guest sits on; made if it does not exist (Linux)")
    .optionsGroup("The network's side, one of:")
    .option("--bridge <name>", "an existing bridge (Linux, root)")
    .option("--host-fd <n>", "descriptor of a connected unix socket, datagram or stream", descriptor("--host-fd"))
    .option("--host-socket <path>", "a listening unix stream socket, such as passt's")
    .option(
      "--vm-net-type <type>",
      "nat or host: not in this version on Linux",
      oneOf("--vm-net-type", ["nat", "host"]),
    )
    .optionsGroup("Seeing what it does:")
    .option("--capture <file>", "write the frames as pcapng, with the reason of each drop")
    .addOption(
      new Option("--capture-size <bytes>", "how large that file may become, such as 500K or 2G")
        .argParser(byteSize("--capture-size", 4096, 2 ** 50))
        .default(64 * 2 ** 20, "64M"),
    )
    .option("--log-format <format>", "text or json", oneOf("--log-format", LOG_FORMATS), "text")
    .option(
      "--log-level <level>",
      "debug, info, warn or error (default: info; warn when --vm-fd is 0)",
      oneOf("--log-level", LOG_LEVELS),
    )
    .optionsGroup("Known from macOS, without use on Linux in this version:")
    .option(
      "--bootpd-lease-time <seconds>",
      "lease time of macOS' own DHCP server",
      wholeNumber("--bootpd-lease-time", 1, 2 ** 31 - 1),
    )
    .option("--expose <list>", "TCP ports to expose, EXTERNAL:INTERNAL, comma-separated")
    .option("--user <name>", "the user to drop privileges to")
    .option("--group <name>", "the group to drop privileges to")
    .addOption(new Option("--sudo-escalation-probing").hideHelp())
    .addOption(new Option("--sudo-escalation-done").hideHelp());
}
