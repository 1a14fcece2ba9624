/**
 * Completions for bash, zsh and fish, from the same declarations as `softnet --help`: commands, their options, and files,
 * interfaces or configured VMs where a value is one.
 */
import type { Command, Option } from "commander";
import { CONFIG_FOLDER } from "../src/commands/vm-config-file.ts";
import { commandsOf, optionsOf } from "./man-page.ts";

/** What a value is, so that a shell can offer something. */
type Kind = "file" | "interface" | "vm" | "other";

const INTERFACES = "/sys/class/net";

function kindOf(command: Command, placeholder: string): Kind {
  if (["file", "path", "capture"].includes(placeholder)) return "file";
  if (placeholder === "interface") return "interface";
  return command.name().endsWith("-config") && placeholder === "name" ? "vm" : "other";
}

const valueName = ({ flags }: Option): string | undefined => /<([^>]+)>/.exec(flags)?.[1];
const namesOf = ({ short, long }: Option): string[] =>
  [short, long].filter((name) => name !== undefined && name !== null);
const argumentKind = (command: Command): Kind | undefined => {
  const [argument] = command.registeredArguments;
  return argument === undefined ? undefined : kindOf(command, argument.name());
};
const unique = (words: readonly string[]): string[] => [...new Set(words)];

export function bashCompletion(softnet: Command): string {
  const commands = commandsOf(softnet);
  const valued = [softnet, ...commands].flatMap((command) =>
    optionsOf(command).flatMap((option) => {
      const value = valueName(option);
      return value === undefined ? [] : namesOf(option).map((name) => ({ name, kind: kindOf(command, value) }));
    }),
  );
  const named = (isFile: boolean): string =>
    unique(valued.filter(({ kind }) => (kind === "file") === isFile).map(({ name }) => name)).join("|");
  const words = (command: Command): string => optionsOf(command).flatMap(namesOf).join(" ");
  const arms = commands.map(
    (command) => `    ${command.name()})\n${bashArgument(command)}      options="${words(command)}" ;;`,
  );
  return `# bash completion for softnet(1)
_softnet() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command='' options='' word
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      ${commands.map((command) => command.name()).join("|")}) command=$word; break ;;
    esac
  done
  case $prev in
    ${named(true)})
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return ;;
    ${named(false)}) return ;;
  esac
  case $command in
${arms.join("\n")}
    *)
      options="${commands.map((command) => command.name()).join(" ")} ${words(softnet)}" ;;
  esac
  mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$options" -- "$cur")
}
complete -F _softnet softnet
`;
}

function bashArgument(command: Command): string {
  const from = {
    file: '$(compgen -f -- "$cur")',
    interface: `$(cd ${INTERFACES} && compgen -f -- "$cur")`,
    vm: `$(cd ${CONFIG_FOLDER} 2>/dev/null && compgen -f -X '!*.conf' -- "$cur" | sed 's/\\.conf$//')`,
    other: "",
  }[argumentKind(command) ?? "other"];
  return from === "" ? "" : `      mapfile -t COMPREPLY <<<"${from}"\n      [[ \${COMPREPLY[0]-} ]] || COMPREPLY=()\n`;
}

export function zshCompletion(softnet: Command): string {
  const commands = commandsOf(softnet);
  const described = commands.map((command) =>
    zshQuote(`${command.name()}:${command.description().replaceAll(":", "\\:")}`),
  );
  const arms = commands.map((command) => `    ${command.name()})\n      ${zshArguments(command)} ;;`);
  return `#compdef softnet
# zsh completion for softnet(1)
_softnet_commands() {
  local -a commands=(
    ${described.join("\n    ")}
  )
  _describe -t commands command commands
}
_softnet_interfaces() { compadd -- ${INTERFACES}/*(N:t) }
_softnet_vms() { compadd -- ${CONFIG_FOLDER}/*.conf(N:t:r) }
_softnet() {
  local context state line
  case \${words[(r)${commands.map((command) => command.name()).join("|")}]-} in
${arms.join("\n")}
    *)
      ${zshArguments(softnet, "1:command:_softnet_commands")} ;;
  esac
}
_softnet "$@"
`;
}

const ZSH_ACTIONS: Readonly<Record<Kind, string>> = {
  file: "_files",
  interface: "_softnet_interfaces",
  vm: "_softnet_vms",
  other: " ",
};

function zshArguments(command: Command, first = "1:command: "): string {
  const options = optionsOf(command).flatMap((option) => {
    const value = valueName(option);
    const text = option.description.replaceAll("\\", "\\\\").replaceAll(/[[\]:]/g, (letter) => `\\${letter}`);
    const action = value === undefined ? "" : `:${value}:${ZSH_ACTIONS[kindOf(command, value)]}`;
    return namesOf(option).map((name) => zshQuote(`*${name}[${text}]${action}`));
  });
  const kind = argumentKind(command);
  const rest = kind === undefined ? [] : [zshQuote(`*:${command.registeredArguments[0]!.name()}:${ZSH_ACTIONS[kind]}`)];
  return ["_arguments", ...options, zshQuote(first), ...rest].join(" \\\n        ");
}

const zshQuote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

export function fishCompletion(softnet: Command): string {
  const commands = commandsOf(softnet);
  const lines = [
    "# fish completion for softnet(1)",
    "complete -c softnet -f",
    ...optionsOf(softnet).map((option) => fishOption(softnet, option, "__fish_use_subcommand")),
    ...commands.map(
      (command) =>
        `complete -c softnet -n __fish_use_subcommand -a ${command.name()} -d ${fishQuote(command.description())}`,
    ),
  ];
  for (const command of commands) {
    const condition = `__fish_seen_subcommand_from ${command.name()}`;
    const offered = FISH_ARGUMENTS[argumentKind(command) ?? "other"];
    if (offered !== "") lines.push(`complete -c softnet -n ${fishQuote(condition)} ${offered}`);
    lines.push(...optionsOf(command).map((option) => fishOption(command, option, condition)));
  }
  return `${lines.join("\n")}\n`;
}

const FISH_ARGUMENTS: Readonly<Record<Kind, string>> = {
  file: "-F",
  interface: `-a '(path basename ${INTERFACES}/*)'`,
  vm: `-a '(path basename ${CONFIG_FOLDER}/*.conf | path change-extension "")'`,
  other: "",
};

function fishOption(command: Command, option: Option, condition: string): string {
  const value = valueName(option);
  const takes = value === undefined ? "" : kindOf(command, value) === "file" ? " -r -F" : " -x";
  const short = option.short ? ` -s ${option.short.slice(1)}` : "";
  return `complete -c softnet -n ${fishQuote(condition)} -l ${option.long!.slice(2)}${short}${takes} -d ${fishQuote(option.description)}`;
}

const fishQuote = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
