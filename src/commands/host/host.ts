/** What `softnet` needs of the system that it runs on, beside Node itself. One file a system; run.ts chooses once. */
import type { Network } from "../../networks/network.ts";
import type { Privileges } from "../../privileges/privileges.ts";
import type { FramePort } from "../../relay/port.ts";
import type { Log, LogOptions } from "../../telemetry/log.ts";
import type { RunArguments } from "../run-options.ts";

/** What the network's side is opened with. */
export interface NetworkWishes {
  readonly given: RunArguments;
  /** No rule allows everything: the VM is kept apart from others. */
  readonly isolated: boolean;
  readonly privileges: Privileges;
  readonly log: Log;
}

export interface Host {
  /** Microseconds on a clock that goes on while the machine sleeps: leases do too. */
  readonly clock: () => number;
  /** Where the log goes. */
  readonly writeLog: LogOptions["write"];
  /** Finds out who asks, and whom softnet will become. Throws UserError. */
  privileges(given: RunArguments): Privileges;
  /** Throws UserError, also when no VM's side was given, or two. */
  openVmSide(given: RunArguments): FramePort;
  /** Throws UserError, also when two networks were given. */
  openNetwork(wishes: NetworkWishes): Promise<Network>;
  /** What a user should know about the ports that were opened, and about options without effect here. */
  advice(given: RunArguments, vm: FramePort, network: Network): readonly string[];
}
