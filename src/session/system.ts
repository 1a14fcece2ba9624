/** What a session needs of the system that it runs on. There is one implementation a system (commands/platform/). */
import type { AttachedPort } from "../attach/port.ts";
import type { Network } from "../networks/network.ts";
import type { Rule } from "../policy/rule.ts";
import type { ByteStream } from "../ports/byte-stream.ts";
import type { PrivilegeWalk } from "../privileges/privileges.ts";
import type { RegistrySystem } from "../registry/system.ts";
import type { MakeAlarm } from "../relay/alarm.ts";
import type { FramePort } from "../relay/port.ts";
import type { Log } from "../telemetry/log.ts";
import type { SessionArguments } from "./options.ts";

/** What a network is opened with. */
export interface NetworkRequest {
  readonly given: SessionArguments;
  /** The rules in force at the start. */
  readonly rules: readonly Rule[];
  /** No rule allows everything: the VM is kept apart from others. */
  readonly isolated: boolean;
  /** The VM's port, where it was opened first. */
  readonly vm?: FramePort | undefined;
  readonly privileges: PrivilegeWalk;
  readonly log: Log;
}

/** A unix socket that controllers connect to. */
export interface ControlListener {
  /** `check` must be called for it to go on. */
  readonly resting: boolean;
  /** On a tick. */
  check(): void;
  /** Removes its path. */
  close(): void;
}

export interface SessionSystem {
  /** Microseconds on a clock that goes on while the machine sleeps: leases do too. */
  readonly clock: () => number;
  /** An alarm on that clock, where the system has one. */
  readonly makeAlarm?: MakeAlarm;
  /** The registry of addresses, used while softnet is root; absent where there is none. */
  readonly registry?: RegistrySystem;
  /** Throws UserError, also when no VM's port was given, or two. `newTap`: a TAP that is there already is refused. */
  openVmPort(given: SessionArguments, newTap?: boolean): FramePort;
  /** For `attach`: takes the interface over, as root. Absent where the system cannot. Rejects with UserError. */
  attachVm?(given: SessionArguments, log: Log): Promise<AttachedPort>;
  /** Throws UserError, also when two networks were given. */
  openNetwork(request: NetworkRequest): Promise<Network>;
  /** Whether a program listens at a unix socket's path; it does not hear of being asked. */
  isListening(path: string): boolean;
  /**
   * The folder that the system keeps for each user's sockets while the user is logged in, such as /run/user/1000; it may be
   * missing. Absent where a system has none.
   */
  userRuntime?(environment: Readonly<Record<string, string | undefined>>, uid: number): string;
  /** A group's number, by its name or number. Absent where a system has no `--control-group`. */
  findGroup?(text: string): number | undefined;
  /** Listens at `--control-socket` with the rights that the process has now. Throws UserError. */
  listenForControl(path: string, onClient: (stream: ByteStream) => void): ControlListener;
  /** What a user should know about the ports that were opened, and about options without effect here. */
  advice(given: SessionArguments, rules: readonly Rule[], vm: FramePort, network: Network): readonly string[];
}
