/**
 * Not root, and root is needed: softnet asks whether sudo would run it without a password, and if so becomes that sudo
 * (execve(2): the process id stays, so that whoever started softnet signals it still; sudo passes signals on).
 *
 * sudo closes every descriptor from 3 on, so the socket that softnet was given moves to 0 before, the control channel to
 * 1, and the arguments say so. Node has marked its first three descriptors close-on-exec; what must survive is unmarked.
 */
import { spawnSync } from "node:child_process";
import { isSea } from "node:sea";
import { type AccountsLibc, groupName, userName } from "../native/linux/accounts.ts";
import { describeError } from "../native/linux/errno.ts";
import { F_DUPFD, F_SETFD, FD_CLOEXEC, type LinuxLibc } from "../native/linux/libc.ts";
import { UserError } from "../user-error.ts";
import { findSudo } from "./sudo.ts";

const PRESERVED = ["SENTRY_DSN", "CIRRUS_SENTRY_TAGS", "NOTIFY_SOCKET"];
const PRESERVE = `--preserve-env=${PRESERVED.join(",")}`;
const FIRST_ORDINARY = 3;
const PATIENCE = 30_000; // milliseconds: sudo may ask a directory server

/** A descriptor on the command line, and where sudo leaves it open. */
export interface Move {
  /** `--vm-fd` */
  readonly option: string;
  readonly from: number;
  /** 0 or 1. */
  readonly to: number;
}

export interface EscalationOptions {
  /** The user's arguments, without program and script. */
  readonly args: readonly string[];
  readonly moves: readonly Move[];
  /** More arguments for the program that sudo starts. */
  readonly more?: readonly string[];
}

/** What of a C library is needed, on Linux and macOS alike. */
export type EscalationLibc = AccountsLibc & Pick<LinuxLibc, "errno" | "dup2" | "fcntl" | "execve">;

/** Becomes sudo. Comes back only by throwing UserError. `describe` puts the library's error numbers into words. */
export function escalate(
  libc: EscalationLibc,
  { args, moves, more = [] }: EscalationOptions,
  describe: (errno: number) => string = describeError,
): never {
  const sudo = findSudo();
  const program = softnetCommand();
  if (sudo === undefined || !mayEscalate([sudo, ...program, ...args])) {
    throw new UserError(
      `root privileges are required to run and passwordless sudo was not available${remedy(libc, sudo)}`,
    );
  }
  move(libc, moves, describe);
  for (const fd of [0, 1, 2]) libc.fcntl(fd, F_SETFD, "int", 0);
  const command = [
    sudo,
    "--non-interactive",
    ...preserving([sudo, PRESERVE, ...program, ...args]),
    ...program,
    ...movedArguments(args, moves),
    ...more,
    "--sudo-escalation-done",
    "--user",
    userName(libc, process.getuid!()),
    "--group",
    groupName(libc, process.getgid!()),
  ];
  const environment = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  libc.execve(sudo, [...command, null], [...environment, null]);
  throw new UserError(`${sudo} cannot be started: ${describe(libc.errno())}`);
}

/**
 * What root can do about it. Rights are for an executable only: from source, whoever may write its folders would get them.
 * On macOS Tart's users get the remedy from Tart.
 */
function remedy(libc: EscalationLibc, sudo: string | undefined): string {
  if (process.platform !== "linux") return "";
  const asRoot = sudo === undefined ? "run softnet as root" : "run softnet through sudo";
  if (!isSea()) return `: ${asRoot}`;
  const program = process.execPath;
  if (sudo === undefined) return `: ${asRoot}, or let root run "chown root ${program} && chmod u+s ${program}"`;
  const line = `${userName(libc, process.getuid!())} ALL=(root) NOPASSWD: ${program}`;
  return `: ${asRoot}, or let root write "${line}" with visudo`;
}

/** All of them at once: where one goes, another one may have been. */
function move(libc: EscalationLibc, moves: readonly Move[], describe: (errno: number) => string): void {
  const copies = moves.map(({ option, from }) => {
    const copy = libc.fcntl(from, F_DUPFD, "int", FIRST_ORDINARY);
    if (copy < 0) throw new UserError(`${option} ${from}: ${describe(libc.errno())}; pass an open descriptor`);
    libc.fcntl(copy, F_SETFD, "int", FD_CLOEXEC); // in two steps, whose numbers Linux and Darwin share
    return copy;
  });
  for (const [index, { to }] of moves.entries()) libc.dup2(copies[index]!, to);
}

/** The arguments with the descriptors' new numbers. */
export function movedArguments(args: readonly string[], moves: readonly Move[]): string[] {
  return args.map((word, index) => {
    for (const { option, from, to } of moves) {
      const isValue = args[index - 1] === option && /^\d+$/.test(word) && Number(word) === from;
      if (isValue) return String(to);
      if (word.startsWith(`${option}=`) && Number(word.slice(option.length + 1)) === from) return `${option}=${to}`;
    }
    return word;
  });
}

/** The command that started this program: the executable, or Node and the script. */
function softnetCommand(): string[] {
  if (isSea()) return [process.execPath];
  return [process.execPath, ...process.execArgv, process.argv[1]!];
}

/** Whether sudo would run this without a password. */
function mayEscalate([sudo, ...rest]: readonly [string, ...string[]]): boolean {
  const args = ["--non-interactive", ...rest, "--sudo-escalation-probing"];
  return spawnSync(sudo, args, { stdio: "ignore", timeout: PATIENCE }).status === 0;
}

/** The option that keeps the variables that softnet asks for later: sudo refuses to run at all where its rule does not allow that. */
function preserving(command: readonly [string, ...string[]]): string[] {
  const isSet = PRESERVED.some((name) => process.env[name] !== undefined);
  return isSet && !mayEscalate(command) ? [] : [PRESERVE];
}
