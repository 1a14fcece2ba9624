/**
 * When root is needed and softnet is not root, it asks whether sudo would run it without a password. If so, the process
 * executes sudo (execve(2)): the process id stays, so the program that started softnet can still signal it, and sudo
 * passes signals on.
 *
 * sudo closes every descriptor from 3 on. So the VM's socket is moved to 0 and the control channel to 1, and the
 * arguments are changed accordingly. Node marks its first three descriptors close-on-exec; the mark is removed from
 * those.
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
const PROBE_TIMEOUT = 30_000; // milliseconds: sudo may query a directory server

/** A descriptor on the command line, and its number under sudo. */
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

/** The C library's functions that are needed, on Linux and macOS alike. */
export type EscalationLibc = AccountsLibc & Pick<LinuxLibc, "errno" | "dup2" | "fcntl" | "execve">;

/** Replaces the process by sudo. Returns only by throwing UserError. `describe` names the C library's error numbers. */
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
 * What root can do about it. Root should give rights to an executable only: from source, any user who may write to its
 * folders would get them. On macOS Tart itself prints the remedy.
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

/** Moves all descriptors at once, through copies, since one's new number may be another's old one. */
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
  return spawnSync(sudo, args, { stdio: "ignore", timeout: PROBE_TIMEOUT }).status === 0;
}

/** The sudo option that keeps the variables that softnet reads. It is left out if sudo's rule refuses it. */
function preserving(command: readonly [string, ...string[]]): string[] {
  const isSet = PRESERVED.some((name) => process.env[name] !== undefined);
  return isSet && !mayEscalate(command) ? [] : [PRESERVE];
}
