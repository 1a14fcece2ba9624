/** A network of softnet's own in vmnet, macOS 26: who may make one, forwarding on it, and whether `tart ip` knows its VM. */
import { existsSync, readFileSync } from "node:fs";
import { candidates, type HostState } from "../../src/host/subnet.ts";
import type { CoreFoundation } from "../../src/native/darwin/corefoundation.ts";
import { VmnetInterface } from "../../src/networks/vmnet/interface.ts";
import type { VmnetNative } from "../../src/networks/vmnet/native.ts";
import { createOwnNetwork, type OwnNetwork } from "../../src/networks/vmnet/own-network.ts";
import { VmnetError } from "../../src/networks/vmnet/vmnet-error.ts";
import { formatCidr } from "../../src/policy/rule.ts";
import { formatIPv4 } from "../../src/wire/address.ts";
import { type Finding, failed, leftOut, open, type Point } from "./points.ts";
import { addRule, said } from "./vmnet.ts";

const VM_MAC = 0x7e_1a_5e_1f_00_02;
/** What macOS' DHCP server has lent, and where `tart ip` looks. */
const LEASES = "/var/db/dhcpd_leases";

/** `state`: which addresses and routes the host has. */
export function ownNetworkPoints(
  native: VmnetNative,
  coreFoundation: () => CoreFoundation,
  state: () => HostState,
): Point[] {
  return [
    {
      name: "vmnet (macOS 26): a network of its own, and forwarding on it",
      run: () => look(native, coreFoundation, state),
    },
  ];
}

async function look(
  native: VmnetNative,
  coreFoundation: () => CoreFoundation,
  state: () => HostState,
): Promise<Finding> {
  const { networks } = native.vmnet;
  if (networks === undefined) return leftOut("before macOS 26 there is none");
  const cf = coreFoundation();
  let own: OwnNetwork;
  try {
    const subnets = [...candidates(state(), [], Math.random)].map(({ subnet }) => subnet);
    own = createOwnNetwork(networks, cf, { subnets, vmMac: VM_MAC, exposures: [] });
  } catch (error) {
    if (!(error instanceof VmnetError)) throw error;
    return open(`root without the entitlement may not make one: ${error.message}`);
  }
  try {
    const on = { network: own.network };
    const vmnet = await VmnetInterface.start(native, { label: "verify private", on, isolated: true });
    const vm = own.subnet.address + 2;
    const added = said(await addRule(native, vmnet, vm));
    const why = await vmnet.stop();
    const known = existsSync(LEASES) && readFileSync(LEASES, "latin1").includes(`ip_address=${formatIPv4(vm)}\n`);
    const details = [
      `root needs no entitlement: ${formatCidr(own.subnet)}`,
      `forwarding on the running interface: ${added}`,
      `${LEASES} ${known ? "knows" : "does not know"} the VM of the reservation, and with it \`tart ip\``,
    ].join("\n");
    return why === undefined ? open(details) : failed(`${details}\n${why}`);
  } finally {
    cf.CFRelease(own.network);
  }
}
