/**
 * The manual page softnet(1), written from the same declarations as `softnet --help` (src/commands/program.ts): every
 * command, every option, every default. Only what `--help` does not have is written here: files, signals, exit codes.
 *
 * The language is roff with the macros of man(7).
 */
import type { Command } from "commander";
import { CONFIG_FOLDER } from "../src/commands/vm-config-file.ts";

const FILES: readonly (readonly [path: string, text: string])[] = [
  [
    "/etc/softnet.conf",
    "what ordinary users may request of a softnet that has root's rights through SUID or sudo; only root may be able to write it",
  ],
  [
    `${CONFIG_FOLDER}/NAME.conf`,
    "the options of one VM, for softnet run-config NAME and systemd's softnet@NAME.service: an option a line without the leading --, its value behind it; attach INTERFACE for an interface that is there already; # begins a comment",
  ],
  ["/run/softnet", "which VM of this host has which address, and what is needed to put attached interfaces back"],
];

const SIGNALS: readonly (readonly [signal: string, text: string])[] = [
  ["SIGTERM, SIGINT", "end softnet in order"],
  ["SIGHUP", "opens the files of --log-file and --capture anew and reads --policy again"],
];

const EXIT_CODES: readonly (readonly [code: string, text: string])[] = [
  ["0", "a signal ended softnet, or its VM disconnected"],
  ["1", "a mistake in the command line or a file, which the last line names, or the network's side ended"],
];

/** The whole page. `date` is an ISO 8601 date. */
export function manPage(softnet: Command, version: string, date: string): string {
  const lines = [
    `.TH SOFTNET 1 "${roff(date)}" "softnet ${roff(version)}" "User Commands"`,
    ".SH NAME",
    `softnet \\- ${roff(firstLower(softnet.description()))}`,
    ".SH SYNOPSIS",
    ...[softnet, ...commandsOf(softnet)].flatMap(synopsis),
    ".SH DESCRIPTION",
    "softnet is a packet filter in user space between a VM's network card and the network.",
    "A frame passes only if it has the VM's own MAC address, the IP address that DHCP gave the VM, and a destination",
    "that the policy allows. Each dropped frame has a reason.",
    ".SH OPTIONS",
    ...optionLines(softnet),
    ".SH COMMANDS",
    ...commandsOf(softnet).flatMap((command) => commandLines(softnet, command)),
    ".SH FILES",
    ...FILES.flatMap(([path, text]) => tagged(`\\fI${roff(path)}\\fR`, text)),
    ".SH SIGNALS",
    ...SIGNALS.flatMap(([signal, text]) => tagged(roff(signal), text)),
    ".SH EXIT STATUS",
    ...EXIT_CODES.flatMap(([code, text]) => tagged(roff(code), text)),
    ".SH SEE ALSO",
    ".BR systemctl (1),",
    ".BR nft (8),",
    ".BR passt (1)",
    ".PP",
    "Everything else: \\fI/usr/share/doc/softnet\\fR",
  ];
  return `${lines.join("\n")}\n`;
}

/** The commands that `--help` shows. */
export function commandsOf(softnet: Command): readonly Command[] {
  return softnet.createHelp().visibleCommands(softnet);
}

/** The options that `--help` shows of a command. */
export function optionsOf(command: Command) {
  return command.createHelp().visibleOptions(command);
}

function synopsis(command: Command): string[] {
  const name = command.parent === null ? "softnet" : `softnet ${command.name()}`;
  const usage = command.parent === null ? "[options]" : command.usage();
  return [".PP", `\\fB${roff(name)}\\fR ${roff(usage)}`];
}

function commandLines(softnet: Command, command: Command): string[] {
  const known = new Map(optionsOf(softnet).map(({ flags, description }) => [flags, description]));
  const isShared = ({ flags, description }: { flags: string; description: string }): boolean =>
    known.get(flags) === description;
  const own = optionsOf(command).filter((option) => !isShared(option));
  const shared = optionsOf(command).filter((option) => isShared(option) && option.long !== "--help");
  const all = shared.length === optionsOf(softnet).length - 2; // all but --version and --help
  const names = shared.map(({ long }) => `\\fB${roff(long ?? "")}\\fR`).join(", ");
  return [
    `.SS "softnet ${roff(command.name())}"`,
    `${roff(firstUpper(command.description()))}.`,
    ...(all ? [".PP", "It has all options of softnet itself, and:"] : []),
    ...(!all && names !== "" ? [".PP", `Of the options above it has ${names}.`] : []),
    ...own.flatMap((option) => tagged(term(option.flags), command.createHelp().optionDescription(option))),
  ];
}

function optionLines(command: Command): string[] {
  const help = command.createHelp();
  let group: string | undefined;
  return optionsOf(command).flatMap((option) => {
    const heading = option.helpGroupHeading;
    const begins = heading !== undefined && heading !== group;
    group = heading ?? group;
    return [
      ...(begins ? [`.SS "${roff(heading.replace(/:$/, ""))}"`] : []),
      ...tagged(term(option.flags), help.optionDescription(option)),
    ];
  });
}

/** `--bridge <name>`: the option bold, the value's name in italics. */
function term(flags: string): string {
  return flags
    .split(" ")
    .map((word) => {
      const [, name, rest = ""] = /^(-[\w-]+)(.*)$/.exec(word) ?? [];
      if (name !== undefined) return `\\fB${roff(name)}\\fR${rest}`;
      return `\\fI${roff(word.replaceAll(/[<>]/g, ""))}\\fR`;
    })
    .join(" ");
}

function tagged(tag: string, text: string): string[] {
  return [".TP", tag, protect(roff(text))];
}

/** Text in which roff sees no escapes; other letters than ASCII by their number. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll('"', "\\(dq")
    .replaceAll("'", "\\(aq")
    .replaceAll("`", "\\(ga")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll(
      /[^\0-\x7f]/gu,
      (letter) => `\\[u${letter.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`,
    );
}

/** A line that begins with a dot would be a request. */
function protect(line: string): string {
  return line.startsWith(".") ? `\\&${line}` : line;
}

const firstUpper = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const firstLower = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, "");
