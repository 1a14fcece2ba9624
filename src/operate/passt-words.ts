/**
 * The command line of passt(1), as far as a softnet before it must know it: libvirt's `<backend type='passt'/>` starts
 * `passt --one-off --socket PATH --mac-addr MAC …`, newer ones with `--pid FILE`. Which of the options have a value must be known,
 * since a value may look like an option; what is meant for passt alone is handed on as it is.
 */
import { UserError } from "../user-error.ts";

export interface PasstWords {
  /** Where QEMU connects. */
  readonly socket: string;
  /** The VM's MAC address, where it is given. */
  readonly mac?: string;
  readonly pid?: string;
  readonly logFile?: string;
  readonly oneOff: boolean;
  readonly foreground: boolean;
  /** What passt itself gets besides. */
  readonly rest: readonly string[];
}

/** passt's options with a value, by their letters; those without a letter as they are. */
const VALUED = new Set([
  ..."aPpmMgiDStuTUlnos".split("").map((letter) => `-${letter}`),
  "--address",
  "--dns",
  "--dns-forward",
  "--gateway",
  "--interface",
  "--log-file",
  "--log-size",
  "--mac-addr",
  "--mtu",
  "--netmask",
  "--outbound",
  "--outbound-if4",
  "--outbound-if6",
  "--pcap",
  "--pid",
  "--runas",
  "--search",
  "--socket",
  "--tcp-ports",
  "--udp-ports",
]);

const LONG: Readonly<Record<string, string>> = {
  "-s": "--socket",
  "-M": "--mac-addr",
  "-P": "--pid",
  "-l": "--log-file",
  "-1": "--one-off",
  "-f": "--foreground",
};

/** These are softnet's: passt gets its own values. */
const OWN = new Set(["--socket", "--mac-addr", "--pid", "--log-file", "--one-off", "--foreground"]);

/** Throws UserError. */
export function parsePasstWords(words: readonly string[]): PasstWords {
  const own = new Map<string, string>();
  const rest: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const { name, value: joined } = split(words[at]!);
    const isValued = VALUED.has(name);
    const value = joined ?? (isValued ? words[++at] : undefined);
    if (isValued && value === undefined) throw new UserError(`passt: ${name} needs a value`);
    if (!OWN.has(name)) rest.push(...(value === undefined ? [name] : [name, value]));
    else if (own.has(name)) throw new UserError(`passt: ${name} is given twice: leave one of them out`);
    else own.set(name, checked(name, value ?? ""));
  }
  const socket = own.get("--socket");
  if (socket === undefined) {
    throw new UserError("passt: --socket PATH is missing: softnet must know where QEMU connects");
  }
  const [mac, pid, logFile] = ["--mac-addr", "--pid", "--log-file"].map((name) => own.get(name));
  return {
    socket,
    oneOff: own.has("--one-off"),
    foreground: own.has("--foreground"),
    rest,
    ...(mac !== undefined && { mac }),
    ...(pid !== undefined && { pid }),
    ...(logFile !== undefined && { logFile }),
  };
}

function split(word: string): { name: string; value?: string } {
  if (!word.startsWith("-")) throw new UserError(`passt: ${JSON.stringify(word.slice(0, 80))} is no option of passt's`);
  const [, long, joined] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
  if (long !== undefined) return { name: long, value: joined! };
  return { name: LONG[word] ?? word };
}

/** They become lines of a file. */
function checked(name: string, value: string): string {
  if (/\p{Cc}|\s#/u.test(value)) throw new UserError(`passt: ${name}: a control character or " #" in its value`);
  return value;
}
