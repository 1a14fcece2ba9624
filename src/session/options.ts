/** What is said of one VM: where it is, which network it is on, what it may do, and what is written about it. */
import { checkGuardOptions } from "../guard/guard.ts";
import type { GuardOptions } from "../guard/types.ts";
import type { Rule } from "../policy/rule.ts";
import type { VmNetType } from "../privileges/conf.ts";
import { UserError } from "../user-error.ts";
import { optionRules, type PolicyArguments } from "./policy-rules.ts";
import { vmAddresses } from "./vm-addresses.ts";

/** What the guard needs to know about its VM. */
export interface GuardArguments extends PolicyArguments {
  /** Required; checked in guardOptions, so that an unknown option or command is reported first. */
  readonly vmMacAddress?: string;
  /** An IPv4 address, an IPv6 address, or both with a comma between (vm-addresses.ts). */
  readonly vmIpAddress?: string;
  readonly ipv6?: boolean;
  /** Link-local. */
  readonly router6?: string;
  readonly gateway?: string;
  readonly gatewayMac?: string;
  readonly dhcpServer?: string;
  readonly dhcpServerMac?: string;
  readonly vmHostname?: string;
  readonly mtu?: number;
}

/** The options of one session. */
export interface SessionArguments extends GuardArguments {
  /** The VM's name for people; also where its control socket is (named-control.ts). */
  readonly name?: string;
  /** A group whose members may also use the control socket that the name makes; root's alone to give. */
  readonly controlGroup?: string;
  /** For `softnet fleet`. */
  readonly label?: readonly string[];
  readonly vmFd?: number;
  readonly vmTap?: string;
  readonly vmSocket?: string;
  readonly vmReconnect?: boolean;
  /** The interface that `softnet attach` is to take over, and whether it goes back at the end. */
  readonly attach?: string;
  readonly openOnExit?: boolean;
  readonly vmNetType?: VmNetType;
  readonly bridge?: string;
  readonly hostFd?: number;
  readonly hostSocket?: string;
  readonly subnet?: string;
  readonly dns?: string;
  readonly expose?: string;
  readonly maxConnections?: number;
  readonly reject?: boolean;
  /** Of bytes, packets and new flows a second (policy/limits.ts). */
  readonly limit?: string;
  /** A file for the rules that what the VM does needs. */
  readonly learn?: string;
  /** False: the kernel finishes each frame before softnet sees it, though both ports take offloads. */
  readonly offloads?: boolean;
  /** False: every frame of an attached interface goes through the relay. */
  readonly expressLane?: boolean;
  readonly controlFd?: number;
  readonly controlSocket?: string;
  readonly bootpdLeaseTime?: number;
  readonly releaseOnExit: boolean;
  readonly capture?: string;
  readonly captureSize: number;
  readonly captureFiles: number;
  readonly logFile?: string;
}

/** The guard's options out of the command line's, with the rules in force. Throws UserError without a MAC address. */
export function guardOptions(given: GuardArguments, rules: readonly Rule[]): GuardOptions {
  const { ipv4, ipv6 } = vmAddresses(given);
  if (given.vmMacAddress === undefined) {
    throw new UserError("--vm-mac-address is missing: give the VM's MAC address, such as 7e:1a:00:00:00:01");
  }
  return {
    macAddress: given.vmMacAddress,
    rules,
    ...(given.gateway !== undefined && { gateway: given.gateway }),
    ...(given.gatewayMac !== undefined && { gatewayMacAddress: given.gatewayMac }),
    ...(given.dhcpServerMac !== undefined && { dhcpServerMacAddress: given.dhcpServerMac }),
    ...(given.vmHostname !== undefined && { hostname: given.vmHostname }),
    ...(given.dhcpServer !== undefined && { dhcpServer: given.dhcpServer }),
    ...(ipv4 !== undefined && { address: ipv4 }),
    ...(given.ipv6 === true && {
      ipv6: true,
      ...(given.router6 !== undefined && { router6: given.router6 }),
      ...(ipv6 !== undefined && { address6: ipv6 }),
    }),
    ...(given.mtu !== undefined && { mtu: given.mtu }),
  };
}

/** Throws for options that no guard takes, before anything is opened. */
export function checkOptions(args: SessionArguments): void {
  checkGuardOptions(guardOptions(args, optionRules(args)));
}

/** Whether the policy may change while the session runs. */
export function hasLivePolicy({ controlFd, controlSocket, policy }: SessionArguments): boolean {
  return controlFd !== undefined || controlSocket !== undefined || policy !== undefined;
}

/** Whether a policy may have names: `rules` has, or they may come, or they are learned. */
export function mayHaveNames(given: SessionArguments, rules: readonly Rule[]): boolean {
  return hasLivePolicy(given) || given.learn !== undefined || rules.some(({ target }) => target.name !== undefined);
}
