/**
 * macOS: the VM on a unix datagram socket (Tart) or a unix stream socket (QEMU, Lima); the network is vmnet's shared,
 * host-only or private one. Apple's libraries are loaded when they are needed; tests pass the paths of others with the
 * same ABI.
 */
import { release } from "node:os";
import { continuousClock } from "../../native/darwin/clock.ts";
import { loadCoreFoundation } from "../../native/darwin/corefoundation.ts";
import { type DarwinLibc, loadDarwinLibc } from "../../native/darwin/libc.ts";
import { APPLE, type DarwinLibraries } from "../../native/darwin/libraries.ts";
import { writableNow } from "../../native/darwin/ready.ts";
import { loadRegistryCalls } from "../../native/darwin/registry-calls.ts";
import { darwinFeatures, systemName } from "../../native/darwin/release.ts";
import { loadSystemConfiguration } from "../../native/darwin/systemconfiguration.ts";
import { findGroup } from "../../native/linux/accounts.ts";
import type { Network } from "../../networks/network.ts";
import { setLeaseTime } from "../../networks/vmnet/lease-time.ts";
import { loadVmnetNative } from "../../networks/vmnet/native.ts";
import { openPrivate } from "../../networks/vmnet/private.ts";
import { openVmnet } from "../../networks/vmnet/vmnet.ts";
import { VmnetError } from "../../networks/vmnet/vmnet-error.ts";
import { checkControlDescriptor, takeControlDescriptor } from "../../ports/control-descriptor.ts";
import { DarwinDatagramPort } from "../../ports/darwin-datagram.ts";
import { darwinUnix } from "../../ports/darwin-unix.ts";
import { ListeningPort } from "../../ports/listening.ts";
import { SocketListener } from "../../ports/socket-listener.ts";
import { SocketStream } from "../../ports/socket-stream.ts";
import { isListening } from "../../ports/unix-path.ts";
import type { UnixSystem } from "../../ports/unix-system.ts";
import { parseSettings, type VmNetType } from "../../privileges/conf.ts";
import { CONF, readConf } from "../../privileges/conf-file.ts";
import { DarwinPrivileges } from "../../privileges/darwin.ts";
import { darwinRegistry } from "../../registry/darwin.ts";
import type { FramePort } from "../../relay/port.ts";
import type { SessionArguments } from "../../session/options.ts";
import type { NetworkRequest } from "../../session/system.ts";
import { descriptorWriter, LOG_LEVELS, Log, type LogFormat, type LogLevel } from "../../telemetry/log.ts";
import { syslogWriter } from "../../telemetry/syslog.ts";
import { UserError } from "../../user-error.ts";
import { oneOfOptions, refuseReconnect } from "./exclusive-options.ts";
import type { Platform } from "./platform.ts";

const STDERR = 2;
const DEFAULT_LEASE_TIME = 600; // seconds

export interface DarwinOptions {
  /** Other libraries than Apple's; then there is no registry unless the caller adds one. */
  readonly libraries?: DarwinLibraries;
  /** `uname -r` */
  readonly release?: string;
  /** The path of /etc/softnet.conf; tests pass another. */
  readonly conf?: string;
}

export function darwinPlatform(options: DarwinOptions = {}): Platform {
  const { libraries = APPLE, release: version = release(), conf = CONF } = options;
  const libc = loadDarwinLibc(libraries.system);
  const unix = darwinUnix(libc);
  const registry = libraries === APPLE ? darwinRegistry(libc, loadRegistryCalls()) : undefined;
  return {
    clock: continuousClock(libc),
    ...(registry && { registry }),
    openLog: (level, format, write) => openLog(libc, level, format, write),
    withSettings: (given) => (given.ipv6 || !wantsIPv6(given, conf) ? given : { ...given, ipv6: true }),
    privileges: (given) => new DarwinPrivileges(libc, { ...given, vmNetType: typeOf(given, conf) }),
    openVmPort: (given) => openVmPort(libc, unix, version, given),
    openNetwork: async (request) => openNetwork(libraries, version, typeOf(request.given, conf), request),
    checkControlDescriptor: (given) => checkControlDescriptor(unix, given),
    takeControlDescriptor: ({ controlFd }) =>
      controlFd === undefined ? undefined : new SocketStream(unix, takeControlDescriptor(unix, controlFd)),
    isListening: (path) => isListening(unix, path),
    findGroup: (text) => findGroup(libc, text),
    listenForControl: (path, onClient) => new SocketListener(unix, "--control-socket", path, onClient),
    advice: () => [],
  };
}

/** Logs all from level info on to the unified log, and what the caller's level selects to stderr. */
function openLog(
  libc: DarwinLibc,
  level: LogLevel,
  format: LogFormat,
  toStderr: (line: string) => boolean = descriptorWriter(STDERR, writableNow(libc, STDERR)),
): Log {
  const toSystem = syslogWriter(libc);
  const threshold = LOG_LEVELS.indexOf(level);
  const write = (line: string, of: LogLevel): boolean => {
    toSystem(line, of);
    return LOG_LEVELS.indexOf(of) < threshold || toStderr(line);
  };
  return new Log({ level: threshold > LOG_LEVELS.indexOf("info") ? "info" : level, format, write });
}

/**
 * The network's type: the caller's, else root's in /etc/softnet.conf. Throws UserError for a file that cannot be
 * trusted.
 */
function typeOf(given: SessionArguments, conf: string): VmNetType {
  return given.vmNetType ?? parseSettings(readConf(conf), conf).vmNetType ?? "nat";
}

/** Whether root switches IPv6 on in /etc/softnet.conf. Throws as `typeOf`; where that needs no file, a wrong one leaves it off. */
function wantsIPv6(given: SessionArguments, conf: string): boolean {
  try {
    return parseSettings(readConf(conf), conf).ipv6 ?? false;
  } catch (error) {
    if (given.vmNetType === undefined || !(error instanceof UserError)) throw error;
    return false;
  }
}

function openVmPort(libc: DarwinLibc, unix: UnixSystem, version: string, given: SessionArguments): FramePort {
  const { vmFd, vmTap, vmSocket, vmReconnect = false } = given;
  refuse("--vm-tap", vmTap);
  oneOfOptions({ "--vm-fd": vmFd, "--vm-socket": vmSocket });
  refuseReconnect(given);
  if (vmSocket !== undefined) return new ListeningPort(unix, "--vm-socket", vmSocket, { reconnects: vmReconnect });
  if (vmFd === undefined) {
    throw new UserError("no VM: give --vm-fd N, one end of a unix datagram socketpair, or --vm-socket PATH");
  }
  return new DarwinDatagramPort(libc, darwinFeatures(version), "--vm-fd", vmFd);
}

async function openNetwork(
  libraries: DarwinLibraries,
  version: string,
  type: VmNetType,
  request: NetworkRequest,
): Promise<Network> {
  const { given, isolated, privileges, log } = request;
  refuse("--bridge", given.bridge);
  refuse("--host-fd", given.hostFd);
  refuse("--host-socket", given.hostSocket);
  const { subnet, dns, expose, vmMacAddress = "" } = given;
  const [privateOnly] =
    Object.entries({ "--subnet": subnet, "--dns": dns }).find(([, value]) => value !== undefined) ?? [];
  if (type !== "private" && privateOnly !== undefined) {
    throw new UserError(`${privateOnly} belongs to --vm-net-type private: macOS chooses it for ${type}; leave it out`);
  }
  const native = loadVmnetNative(libraries);
  const common = { isolated, warn: (message: string) => log.warn(message), ...(expose !== undefined && { expose }) };
  let network: Network;
  if (type === "private") {
    try {
      network = await openPrivate(native, () => loadCoreFoundation(libraries.coreFoundation), {
        ...common,
        vmMac: vmMacAddress,
        system: systemName(version),
        ...(subnet !== undefined && { subnet }),
        ...(dns !== undefined && { dns }),
      });
    } catch (error) {
      if (error instanceof VmnetError && error.mayWantRights) (privileges as Partial<DarwinPrivileges>).seekRoot?.();
      throw error;
    }
  } else {
    await tuneLeaseTime(libraries, given.bootpdLeaseTime ?? DEFAULT_LEASE_TIME, log);
    network = await openVmnet(native, { ...common, type });
  }
  return await acceptMtu(network, given.mtu);
}

async function acceptMtu(network: Network, mtu: number | undefined): Promise<Network> {
  if (mtu === undefined || mtu <= network.mtu) return network;
  await network.close();
  throw new UserError(`--mtu ${mtu}: ${network.label} carries packets of ${network.mtu} bytes at most`);
}

/** For networks that start afterwards. The VM gets its network also when this fails. */
async function tuneLeaseTime(libraries: DarwinLibraries, seconds: number, log: Log): Promise<void> {
  try {
    const coreFoundation = loadCoreFoundation(libraries.coreFoundation);
    const systemConfiguration = loadSystemConfiguration(libraries.systemConfiguration);
    await setLeaseTime({ coreFoundation, systemConfiguration }, seconds);
  } catch (error) {
    log.warn(`the lease time of macOS' DHCP server stays as it is: ${(error as Error).message}`);
  }
}

function refuse(option: string, value: unknown): void {
  if (value !== undefined) throw new UserError(`${option} is for Linux; leave it out`);
}
