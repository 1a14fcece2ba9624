/** What `softnet` needs of the system that it runs on, beside Node itself. One file a system; run.ts chooses once. */
import type { Network } from "../../networks/network.ts";
import type { ByteStream } from "../../ports/byte-stream.ts";
import type { PrivilegeWalk } from "../../privileges/privileges.ts";
import type { RegistrySystem } from "../../registry/system.ts";
import type { FramePort } from "../../relay/port.ts";
import type { Log, LogFormat, LogLevel } from "../../telemetry/log.ts";
import type { ServiceManager } from "../../telemetry/service-manager.ts";
import type { RunArguments } from "../run-options.ts";

/** What the network's side is opened with. */
export interface NetworkWishes {
  readonly given: RunArguments;
  /** No rule allows everything: the VM is kept apart from others. */
  readonly isolated: boolean;
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

export interface Host {
  /** Microseconds on a clock that goes on while the machine sleeps: leases do too. */
  readonly clock: () => number;
  /** The registry of addresses, used while softnet is root; absent where there is none. */
  readonly registry?: RegistrySystem;
  /** The log; `level` is what the caller wants to see of it on stderr, or in what `write` takes instead. */
  openLog(level: LogLevel, format: LogFormat, write?: (line: string) => boolean): Log;
  /** Who is to hear when softnet is ready; to be asked for once rights are given up. Absent where there is no such thing. */
  serviceManager?(): ServiceManager;
  /** Finds out who asks, and whom softnet will become. Throws UserError. */
  privileges(given: RunArguments): PrivilegeWalk;
  /** Throws UserError, also when no VM's side was given, or two. `newTap`: a TAP that is there already is refused. */
  openVmSide(given: RunArguments, newTap?: boolean): FramePort;
  /** Throws UserError, also when two networks were given. */
  openNetwork(wishes: NetworkWishes): Promise<Network>;
  /** Throws UserError unless `--control-fd` is a connected unix stream socket and nothing else's. */
  checkControlDescriptor(given: RunArguments): void;
  /** Takes `--control-fd` over for good; undefined where it was not given. */
  takeControlDescriptor(given: RunArguments): ByteStream | undefined;
  /** Listens at `--control-socket` with the rights that the process has now. Throws UserError. */
  listenForControl(path: string, onClient: (stream: ByteStream) => void): ControlListener;
  /** What a user should know about the ports that were opened, and about options without effect here. */
  advice(given: RunArguments, vm: FramePort, network: Network): readonly string[];
}
