/** Linux: the VM on a unix socket or a TAP; the network a bridge, a socket, or one of the VM's own (nftables). */
import { AttachedPort } from "../../attach/port.ts";
import { formatPrefix, prefixOf } from "../../host/prefix.ts";
import { DEFAULT_CONNECTIONS } from "../../host/table.ts";
import { findGroup } from "../../native/linux/accounts.ts";
import { makeBootAlarm } from "../../native/linux/boot-alarm.ts";
import { bootClock } from "../../native/linux/clock.ts";
import { type LinuxLibc, loadLibc } from "../../native/linux/libc.ts";
import { nameProcess } from "../../native/linux/process-name.ts";
import { writableNow } from "../../native/linux/ready.ts";
import { openBridge } from "../../networks/bridge.ts";
import { gatewayAdvice, openHostDescriptor, openHostSocket } from "../../networks/host-socket.ts";
import { openNat } from "../../networks/nat/nat.ts";
import { isSimplyFree, refuseOthers } from "../../networks/nat/others.ts";
import { DEFAULT_MTU, type Network } from "../../networks/network.ts";
import type { OnPortState } from "../../networks/port-state.ts";
import type { Rule } from "../../policy/rule.ts";
import { checkControlDescriptor, takeControlDescriptor } from "../../ports/control-descriptor.ts";
import { DatagramPort } from "../../ports/datagram.ts";
import { linuxUnix } from "../../ports/linux-unix.ts";
import { ListeningPort } from "../../ports/listening.ts";
import { StreamListener } from "../../ports/stream-listener.ts";
import { openVmTap } from "../../ports/tap.ts";
import { isListening, unixAddress } from "../../ports/unix-path.ts";
import { UnixStream } from "../../ports/unix-stream.ts";
import { Privileges } from "../../privileges/privileges.ts";
import { type EarlierNetwork, earlierNetworks } from "../../registry/earlier.ts";
import { linuxRegistry } from "../../registry/linux.ts";
import { userRuntime } from "../../registry/vm-names.ts";
import type { FramePort } from "../../relay/port.ts";
import type { SessionArguments } from "../../session/options.ts";
import { prepareRegistry } from "../../session/registry-entry.ts";
import type { NetworkRequest } from "../../session/system.ts";
import { descriptorWriter, Log } from "../../telemetry/log.ts";
import { serviceManager } from "../../telemetry/service-manager.ts";
import { UserError } from "../../user-error.ts";
import { parseMac, putMac } from "../../wire/address.ts";
import { chosenNetwork, chosenVm, refuseReconnect } from "./exclusive-options.ts";
import { attachVm } from "./linux-attach.ts";
import type { Platform } from "./platform.ts";

const STDERR = 2;

/** `libc` is there for tests. */
export function linuxPlatform(libc: LinuxLibc = loadLibc()): Platform {
  nameProcess(libc, "softnet"); // Node calls it node-MainThread
  const unix = linuxUnix(libc);
  return {
    clock: bootClock(libc),
    makeAlarm: (wake) => makeBootAlarm(libc, wake),
    registry: linuxRegistry(libc),
    openLog: (level, format, write = descriptorWriter(STDERR, writableNow(libc, STDERR))) =>
      new Log({ level, format, write }),
    serviceManager: () => serviceManager(libc, process.env),
    privileges: (given) => {
      if (given.vmSocket !== undefined) unixAddress(`--vm-socket ${given.vmSocket}`, given.vmSocket);
      return new Privileges(libc, given);
    },
    openVmPort: (given, newTap) => openVmPort(libc, given, newTap),
    attachVm: (given, log) => attachVm(libc, given, log),
    openNetwork: (request) => openNetwork(libc, request),
    checkControlDescriptor: (given) => checkControlDescriptor(unix, given),
    takeControlDescriptor: ({ controlFd }) =>
      controlFd === undefined ? undefined : new UnixStream(libc, takeControlDescriptor(unix, controlFd)),
    isListening: (path) => isListening(unix, path),
    userRuntime,
    findGroup: (text) => findGroup(libc, text),
    listenForControl: (path, onClient) => new StreamListener(libc, "--control-socket", path, onClient),
    advice,
  };
}

function openVmPort(libc: LinuxLibc, given: SessionArguments, newTap?: boolean): FramePort {
  const { vmFd, vmTap, vmSocket, vmReconnect = false, vmMacAddress } = given;
  chosenVm(given);
  refuseReconnect(given);
  if (vmSocket !== undefined) {
    return new ListeningPort(linuxUnix(libc), "--vm-socket", vmSocket, { reconnects: vmReconnect });
  }
  if (vmFd !== undefined) return new DatagramPort(libc, "--vm-fd", vmFd);
  if (vmTap === undefined) throw new UserError("no VM: give --vm-fd N, --vm-tap NAME or --vm-socket PATH");
  const address = new Uint8Array(6);
  putMac(address, 0, parseMac(vmMacAddress ?? "") ?? 0);
  return openVmTap(libc, "--vm-tap", vmTap, address, newTap);
}

async function openNetwork(libc: LinuxLibc, request: NetworkRequest): Promise<Network> {
  const { given, rules, isolated, privileges, log } = request;
  const { hostFd, hostSocket, vmNetType, subnet, dns, expose, maxConnections } = given;
  const attached = request.vm instanceof AttachedPort ? request.vm : undefined;
  const bridge = given.bridge ?? attached?.bridge;
  chosenNetwork(bridge === undefined ? given : { ...given, bridge });
  const mtu = given.mtu ?? DEFAULT_MTU;
  const warn = (message: string): void => log.warn(message);
  const tapIndex = attached === undefined ? {} : { tapIndex: attached.networkIndex };
  if (bridge !== undefined) {
    const address = attached?.bridgeAddress;
    const onPortState = logPortState(log);
    return await openBridge(libc, {
      bridge,
      isolated,
      ipv6: given.ipv6 ?? false,
      warn,
      onPortState,
      ...tapIndex,
      ...(address !== undefined && { address }),
    });
  }
  if (hostFd !== undefined) {
    if (hostFd === given.vmFd)
      throw new UserError(`--host-fd ${hostFd}: that is the VM's descriptor too; pass another`);
    return openHostDescriptor(libc, hostFd, mtu);
  }
  if (hostSocket !== undefined) return openHostSocket(libc, hostSocket, mtu);
  if (vmNetType === "private") {
    throw new UserError("--vm-net-type private is for macOS: on Linux nat is a private network of the VM's own");
  }
  if ((maxConnections ?? 0) > DEFAULT_CONNECTIONS && !privileges.callerIsRoot()) {
    throw new UserError(
      `--max-connections ${maxConnections}: only root may allow more than ${DEFAULT_CONNECTIONS}; give fewer`,
    );
  }
  if (privileges.permits !== undefined) await refuseOthers(libc, privileges.permits, { subnet, expose });
  const { vmMacAddress = "" } = given;
  const type = vmNetType ?? "nat";
  const registry = linuxRegistry(libc);
  if (process.geteuid!() === 0) prepareRegistry(registry);
  // The earlier VM with this MAC address may have belonged to another user, with more permissions.
  const isWelcome = ({ subnet }: EarlierNetwork): boolean =>
    privileges.permits === undefined || isSimplyFree(libc, subnet);
  const earlier = earlierNetworks(registry, type, parseMac(vmMacAddress) ?? 0).find(isWelcome);
  return await openNat(libc, {
    type,
    vmMac: vmMacAddress,
    rules,
    isolated,
    ipv6: given.ipv6 ?? false,
    mtu,
    connections: maxConnections ?? DEFAULT_CONNECTIONS,
    directory: registry.directory,
    warn,
    ...tapIndex,
    ...(earlier !== undefined && { earlier: earlier.subnet }),
    ...(earlier?.address6 !== undefined && { earlier6: formatPrefix(prefixOf(earlier.address6)) }),
    ...(subnet !== undefined && { subnet }),
    ...(dns !== undefined && { dns }),
    ...(expose !== undefined && { expose }),
  });
}

/** Logs when the bridge does not forward the VM's frames: otherwise the VM would be offline for no visible reason. */
function logPortState(log: Log): OnPortState {
  return (forwards, details) => {
    if (forwards) log.info("the bridge forwards the VM's frames now", details);
    else log.warn("the bridge does not forward the VM's frames yet", { ...details, why: WHY_NOT });
  };
}

const WHY_NOT =
  "a new port waits for the bridge's forward delay (with STP twice, up to 30 s), and is disabled while the bridge or the TAP is down";

function advice(given: SessionArguments, rules: readonly Rule[], vm: FramePort, network: Network): string[] {
  const lines: string[] = [];
  for (const port of [vm, network.port]) {
    if (port instanceof DatagramPort && !port.seesPeer) {
      lines.push(
        `${port.label}: the kernel does not report when its other side closes; softnet notices at the next frame to it`,
      );
    }
  }
  if (given.hostSocket !== undefined || given.hostFd !== undefined) {
    const line = gatewayAdvice(network.label, rules);
    if (line !== undefined) lines.push(line);
  }
  if (given.bootpdLeaseTime !== undefined) lines.push("--bootpd-lease-time has no effect on Linux");
  return lines;
}
