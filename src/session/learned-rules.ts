/**
 * `--learn FILE`: the rules that what the VM does needs, as lines of a policy file, for those who begin with an open policy and
 * want to close it. Names where the VM looked them up, addresses elsewhere. The file is written anew, at most every 10 s, and at the end.
 */
import { closeSync, constants, ftruncateSync, openSync, writeSync } from "node:fs";
import type { NameEvent } from "../guard/types.ts";
import { isQuic, isWeb } from "../policy/web-ports.ts";
import type { Log } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { formatAddress } from "../wire/ipv6-address.ts";

const INTERVAL = 10_000_000;
/** A VM that connects everywhere fills no memory. */
const MOST_RULES = 4096;
const HEADING = "# What the VM has used, learned by softnet. Read it before you use it: softnet … --policy THIS-FILE\n";

type Opened = Extract<NameEvent, { kind: "opened" }>;

export class LearnedRules {
  readonly #fd: number;
  readonly #path: string;
  readonly #log: Log;
  readonly #names = new Set<string>();
  readonly #others = new Set<string>();
  /** Connections to TCP 80 and 443 whose first bytes have not come, by address and port. */
  readonly #silent = new Map<string, Opened>();
  #written = Number.NEGATIVE_INFINITY;
  #changed = true;

  /** Throws UserError where the file cannot be made. */
  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
    try {
      this.#fd = openSync(
        path,
        constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK,
        0o600,
      );
    } catch (error) {
      throw new UserError(`--learn ${path}: the file cannot be written (${(error as NodeJS.ErrnoException).code})`);
    }
  }

  note(event: NameEvent): void {
    if (event.kind === "opened") this.#opened(event);
    else if (event.kind === "connection" && event.decision === "passed")
      this.#said(event.remote, event.port, event.name);
  }

  #opened(event: Opened): void {
    const { protocol, port, names } = event;
    if (isWeb(protocol, port)) {
      if (this.#silent.size < MOST_RULES) this.#silent.set(`${event.remote} ${port}`, event);
    } else if (isQuic(protocol, port) && names.length > 0) {
      this.#add(this.#names, names[0]!); // its client falls back to TCP
    } else if (names.length > 0 && hasPorts(protocol)) {
      this.#add(this.#others, `${names[0]}:${port}`);
    } else {
      this.#add(this.#others, addressRule(event));
    }
    this.#changed = true;
  }

  #said(remote: number | bigint, port: number, name: string | undefined): void {
    const key = `${remote} ${port}`;
    const silent = this.#silent.get(key);
    if (silent === undefined && name === undefined) return;
    this.#silent.delete(key);
    if (name !== undefined) this.#add(this.#names, name);
    else this.#add(this.#others, addressRule(silent!));
    this.#changed = true;
  }

  #add(rules: Set<string>, rule: string): void {
    if (this.#names.size + this.#others.size < MOST_RULES) rules.add(rule);
  }

  /** The rules, without "only" before them. */
  get rules(): readonly string[] {
    // What said nothing is opened by its name, or its address.
    const silent = [...this.#silent.values()].map((event) => event.names[0] ?? addressRule(event));
    const all = new Set([...this.#names, ...silent, ...this.#others]);
    return [...all].toSorted();
  }

  /** On a tick; `time` in microseconds. */
  tick(time: number): void {
    if (!this.#changed || time - this.#written < INTERVAL) return;
    this.#written = time;
    this.#write();
  }

  close(): void {
    this.#write();
    closeSync(this.#fd);
  }

  #write(): void {
    const text = Buffer.from(HEADING + this.rules.map((rule) => `only ${rule}\n`).join(""));
    try {
      ftruncateSync(this.#fd);
      for (let at = 0; at < text.length; ) at += writeSync(this.#fd, text, at, text.length - at, at);
      this.#changed = false;
    } catch (error) {
      // A full disk must not end the network of a VM.
      this.#log.error(`--learn ${this.#path}: the rules could not be written`, { why: String(error) });
    }
  }
}

const hasPorts = (protocol: number): boolean => protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;

function addressRule({ remote, protocol, port }: Opened): string {
  const ipv6 = typeof remote === "bigint";
  const address = `${formatAddress(remote)}/${ipv6 ? 128 : 32}`;
  if (!hasPorts(protocol)) return address;
  return ipv6 ? `[${address}]:${port}` : `${address}:${port}`;
}
