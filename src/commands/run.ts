/**
 * `softnet`: filters between one VM and one network until either goes away or a signal says stop. This file only puts
 * the rooms together: the VM's port, the network, the guard, the relay between them, and what tells about it.
 */
import { CaptureError } from "../capture/errors.ts";
import { createGuard, type Guard } from "../guard/guard.ts";
import { DROP_REASONS, verdictOf } from "../guard/reasons.ts";
import type { GuardOptions } from "../guard/types.ts";
import { parseExposures } from "../networks/nat/expose.ts";
import type { Network } from "../networks/network.ts";
import { metadataAdvice, outrankedAdvice } from "../policy/advice.ts";
import { allowsEverything, parseCidr, parseRules } from "../policy/rule.ts";
import { ListeningPort } from "../ports/listening.ts";
import { allocateSlab, LONGEST_STREAM_FRAME, type Slab } from "../ports/slab.ts";
import type { PrivilegeWalk } from "../privileges/privileges.ts";
import type { Registration } from "../registry/registration.ts";
import { LONGEST_ANSWER } from "../relay/answering.ts";
import type { Batch } from "../relay/batch.ts";
import { DIRECTION_NAMES, EGRESS, INGRESS } from "../relay/direction.ts";
import { type Errand, LONGEST_ERRAND } from "../relay/errands.ts";
import { type FramePort, PortClosed } from "../relay/port.ts";
import { Relay, type RelayEnd } from "../relay/relay.ts";
import { DropLog } from "../telemetry/drop-log.ts";
import type { Log, LogLevel } from "../telemetry/log.ts";
import { LogFile } from "../telemetry/log-file.ts";
import type { ServiceManager } from "../telemetry/service-manager.ts";
import { UserError } from "../user-error.ts";
import { formatIPv4, parseIPv4, parseMac } from "../wire/address.ts";
import { describeFrame } from "../wire/describe.ts";
import { BindingLog } from "./binding-log.ts";
import { refuseHopelessPaths } from "./caller-paths.ts";
import { isLive, RunControl } from "./control.ts";
import { guardOptions } from "./guard-options.ts";
import type { Host } from "./host/host.ts";
import { LeftLeases } from "./left-leases.ts";
import { MovedVm } from "./moved-vm.ts";
import { policyOf } from "./policy.ts";
import { Recording } from "./recording.ts";
import { giveBack, register, registered, settle } from "./registry.ts";
import { Reload } from "./reload.ts";
import type { RunArguments } from "./run-options.ts";
import { Signals } from "./signals.ts";
import { version } from "./version.ts";

const ETHERNET_HEADER = 14;
const ETHERNET_SOURCE = verdictOf("ethernet.source");
/** Answers to what is denied that may wait for the VM at once. */
const MOST_ANSWERS = 16;
/** Frames of softnet's own that may wait for the network at once. */
const MOST_ERRANDS = 4;
/** How a run ends: by a signal, or because the relay did. */
type Ending = { readonly signal: string } | RelayEnd;

/**
 * Runs until the end and answers the exit code. Throws UserError for what cannot start; then nothing is left behind.
 * `makeHost` is there for tests.
 */
export async function run(args: RunArguments, makeHost: () => Host | Promise<Host> = chooseHost): Promise<number> {
  createGuard(guardOptions(args)); // refuses wrong values before anything is opened
  const host = await makeHost();
  const { clock } = host;
  const logFile = args.logFile === undefined ? undefined : new LogFile(args.logFile);
  const log = host.openLog(logLevel(args), args.logFormat, logFile?.write);
  host.checkControlDescriptor(args);
  const privileges = host.privileges(args);
  // Through sudo --vm-fd becomes 0, and the log must not fall silent because of it.
  const level = args.logLevel === undefined && args.vmFd ? ["--log-level", logLevel(args)] : [];
  const ports = parseExposures(args.expose ?? "").map(({ external }) => external);
  privileges.obtain(args, process.argv.slice(2), ports, level);
  const inherited = host.takeControlDescriptor(args); // before softnet starts a program that would have it too
  // From here on a signal ends it in order, also while it starts.
  const signals = new Signals({ reloads: args.policy !== undefined });
  let vm: FramePort | undefined;
  let network: Network | undefined;
  let recording: Recording | undefined;
  let control: RunControl | undefined;
  let registration: Registration | undefined;
  const slabs: Slab[] = [];
  try {
    // The file is the caller's to name, so it is read with his rights, though root's are needed for what it decides.
    const lists = privileges.asTarget(() => policyOf(args));
    const given = { ...args, ...lists };
    const wanted = guardOptions(given);
    const { reject = false } = given;
    const isolated = !allowsEverything(parseRules(lists.allow, lists.block));
    const { first } = privileges.needs;
    if (first.vm) vm = host.openVmSide(given, privileges.newTap);
    const openSide = () => host.openNetwork({ given, isolated, privileges, log });
    if (first.network) network = await openSide();
    if (first.capture) recording = openRecording(given, clock, log, privileges);
    const mac = given.vmMacAddress ?? "";
    const guardBehind = (side: Network): GuardOptions => {
      refuseForeignAddress(side, given);
      return { ...wanted, ...known(side), mtu: given.mtu ?? side.mtu, live: isLive(given), reject, ask: true };
    };
    if (network !== undefined) {
      // What can be refused is refused now: once root's rights are gone, nobody here can take the record away.
      createGuard(guardBehind(network));
      const { capture, ...others } = given;
      const paths = recording === undefined ? given : others; // root's own capture is open
      const { uid } = privileges.target;
      if (process.geteuid!() === 0) privileges.asTarget(() => refuseHopelessPaths(paths, uid));
      registration = register(host.registry, network, given, log);
    }
    privileges.drop();
    logFile?.open();
    const service = host.serviceManager?.();
    vm ??= host.openVmSide(given, privileges.newTap);
    network ??= await openSide();
    const mtu = given.mtu ?? network.mtu;
    const leftLeases = new LeftLeases(parseMac(mac) ?? 0);
    const bindingLog = new BindingLog(log, network.isolated, clock);
    const guard = createGuard({
      ...guardBehind(network),
      ...registered(registration),
      onBinding: (change) => {
        registration?.follow(change);
        leftLeases.follow(change);
        bindingLog.tell(change, guard);
        control?.bindingChanged(change);
        network?.followAddress?.(change.kind === "lost" ? 0 : change.binding.address);
      },
    });
    settle(registration, guard, network, log);
    if (guard.binding !== undefined) network.followAddress?.(guard.binding.address);
    if (isLive(given)) control = new RunControl({ host, given: args, lists, inherited, guard, network, log });
    recording ??= openRecording(given, clock, log, privileges);
    if (vm instanceof ListeningPort) vm.listen(); // as late as the recording: a path that the caller names
    control?.open();
    tellHost(log, network);
    tellStart(log, given, vm, network, guard, mtu, privileges);
    for (const line of host.advice(given, vm, network)) log.warn(line);
    if (vm instanceof ListeningPort) tellWaiting(log, vm, service);
    // A network may bring frames that are longer than the guard lets pass.
    const longest = Math.max(Math.max(mtu, network.mtu) + ETHERNET_HEADER, network.longestFrame ?? 0);
    for (let lane = 0; lane < 2; lane++) slabs.push(allocateSlab(longest));
    const batches = [slabs[EGRESS]!.batch, slabs[INGRESS]!.batch] as const;
    const answers = reject ? allocateSlab(LONGEST_ANSWER, MOST_ANSWERS) : undefined;
    if (answers) slabs.push(answers);
    const own = allocateSlab(LONGEST_ERRAND, MOST_ERRANDS);
    slabs.push(own);
    const take: Errand = (out, at) => leftLeases.take(out, at) || guard.takeQuestion(out, at);
    const lanes = { batches, answers: answers?.batch, errands: { batch: own.batch, take } };
    const reload = new Reload({ log, logFile, recording, service, control: args.policy ? control : undefined });
    const moved = new MovedVm(parseMac(mac) ?? 0);
    const ending = await forward({
      vm,
      network,
      guard,
      clock,
      log,
      recording,
      control,
      ...lanes,
      signals,
      reload,
      moved,
    });
    guard.advance(clock());
    if (given.releaseOnExit && isInOrder(ending)) {
      const movedAway = moved.hasMoved(clock());
      giveBack({ registration, guard, network, batch: batches[EGRESS], vmMac: mac, movedAway, log });
    }
    return tellEnd(log, ending);
  } finally {
    control?.close();
    inherited?.close();
    recording?.close();
    await network?.close();
    vm?.close();
    for (const slab of slabs) slab.free(); // not before: until then the network may still look at it
    registration?.close();
    logFile?.close((line) => process.stderr.write(line));
  }
}

/** A network of softnet's own has one address for the VM; another one would leave it without any. */
function refuseForeignAddress({ serves, subnet, label }: Network, { vmIpAddress }: RunArguments): void {
  const own = serves && subnet !== undefined ? parseCidr(subnet) : undefined;
  if (own === undefined || vmIpAddress === undefined) return;
  const address = own.address + 2; // the gateway has the first one
  if (parseIPv4(vmIpAddress) === address) return;
  throw new UserError(
    `--vm-ip-address ${vmIpAddress}: the VM's address in ${label} is ${formatIPv4(address)}; leave it out, or choose with --subnet`,
  );
}

/** What the network knows and the user did not say. */
function known(network: Network): Partial<GuardOptions> {
  return {
    ...(network.gateway !== undefined && { gateway: network.gateway }),
    ...(network.gatewayMac !== undefined && { gatewayMacAddress: network.gatewayMac }),
    ...(network.dhcpServer !== undefined && { dhcpServer: network.dhcpServer }),
    ...(network.serves && { origin: "served" as const }),
    ...(network.subnet !== undefined && { subnet: network.subnet }),
    ...(network.exposedPorts !== undefined && { exposedPorts: network.exposedPorts }),
  };
}

/** Only the chosen system's part is loaded. */
async function chooseHost(): Promise<Host> {
  if (process.platform === "linux") return (await import("./host/linux.ts")).linuxHost();
  if (process.platform === "darwin") return (await import("./host/darwin.ts")).darwinHost();
  throw new UserError(
    `softnet filters on Linux and macOS, not on ${process.platform}; softnet replay works everywhere`,
  );
}

/** Tart's terminal belongs to its user: there only what is wrong is told. */
function logLevel(given: RunArguments): LogLevel {
  return given.logLevel ?? (given.vmFd === 0 && given.logFile === undefined ? "warn" : "info");
}

function openRecording(
  given: RunArguments,
  clock: () => number,
  log: Log,
  privileges: PrivilegeWalk,
): Recording | undefined {
  if (given.capture === undefined) return undefined;
  try {
    return new Recording({
      path: given.capture,
      maximumSize: given.captureSize,
      files: given.captureFiles,
      maximumFrame: LONGEST_STREAM_FRAME,
      application: `softnet ${version()}`,
      epoch: Date.now() * 1000 - clock(),
      log,
    });
  } catch (error) {
    if (!(error instanceof CaptureError) || !privileges.dropped) throw error;
    throw new UserError(`${error.message} (softnet writes as ${privileges.describe()})`);
  }
}

interface Forwarding {
  readonly vm: FramePort;
  readonly network: Network;
  readonly guard: Guard;
  readonly clock: () => number;
  readonly log: Log;
  readonly recording: Recording | undefined;
  readonly control: RunControl | undefined;
  readonly batches: readonly [egress: Batch, ingress: Batch];
  /** Where what policy denies is answered. */
  readonly answers: Batch | undefined;
  /** What softnet itself sends to the network in the VM's name. */
  readonly errands: { readonly batch: Batch; readonly take: Errand };
  readonly signals: Signals;
  readonly reload: Reload;
  readonly moved: MovedVm;
}

/** Moves frames until something ends it. */
async function forward(parts: Forwarding): Promise<Ending> {
  const { vm, network, guard, clock, log, recording, control, batches, answers, errands, signals, reload, moved } =
    parts;
  const started = clock();
  let relayEnded: (end: RelayEnd) => void = () => {};
  const ended = new Promise<Ending>((resolve) => {
    relayEnded = resolve;
  });
  const relay: Relay = new Relay({
    vm,
    network: network.port,
    guard,
    clock,
    batches,
    ...(answers && { answers }),
    errands,
    ...(recording && {
      onFrame: (direction, verdict, time, bytes, offset, length) =>
        recording.add(direction === EGRESS, verdict, time, bytes, offset, length),
    }),
    onDrop: (direction, verdict, time, bytes, offset, length) => {
      if (dropLog.isFirst(verdict)) {
        dropLog.first(verdict, DIRECTION_NAMES[direction], describeFrame(bytes, offset, length), time);
      }
      if (direction === INGRESS && verdict === ETHERNET_SOURCE) moved.note(time, bytes, offset, length);
      control?.dropped(direction, verdict, bytes, offset, length);
    },
    ...(control && { onSlice: control.serve }),
    onTick: (time) => {
      recording?.flush();
      control?.tick(time);
      dropLog.summarize(time);
    },
    deadline: () => Math.min(dropLog.deadline, control?.deadline ?? Number.POSITIVE_INFINITY),
    onEnd: (end) => setImmediate(relayEnded, end), // a watch's callback resolves nothing by itself (native/poll.ts)
  });
  const { drops } = relay.counters;
  const dropLog = new DropLog({
    log,
    reasons: DROP_REASONS,
    dropsOf: (verdict) => drops[EGRESS][verdict]! + drops[INGRESS][verdict]!,
  });
  try {
    if (control !== undefined) {
      control.counters = relay.counters;
      control.attend = () => relay.attend();
    }
    relay.start();
    reload.started(statusOf(vm, network));
    signals.onReload(() => reload.run());
    return await Promise.race([signals.stopped, ended]);
  } finally {
    relay.stop();
    reload.ended();
    tellSummary(log, relay, (clock() - started) / 1e6);
  }
}

function tellStart(
  log: Log,
  given: RunArguments,
  vm: FramePort,
  network: Network,
  guard: Guard,
  mtu: number,
  privileges: PrivilegeWalk,
): void {
  log.info("started", {
    version: version(),
    vm: vm.label,
    mac: given.vmMacAddress ?? "",
    network: network.label,
    port: network.port.label,
    isolated: network.isolated,
    mtu,
    rules: guard.rules.length,
    gateway: given.gateway ?? network.gateway ?? "by DHCP",
    "dhcp-server": given.dhcpServer ?? network.dhcpServer ?? "any",
    address: given.vmIpAddress ?? "by DHCP",
    privileges: privileges.describe(),
  });
  for (const advice of [metadataAdvice(guard.rules), outrankedAdvice(guard.rules, guard.gateway)]) {
    if (advice !== undefined) log.warn(advice);
  }
}

/** What is wrong on the host, from now on and whenever it changes. */
function tellHost(log: Log, { host }: Network): void {
  if (host === undefined) return;
  let before: readonly string[] = [];
  host.onEvent = (event) => log.warn(event);
  host.onNotices = (notices) => {
    for (const notice of notices) if (!before.includes(notice)) log.warn(notice);
    for (const notice of before) if (!notices.includes(notice)) log.info("over", { notice });
    before = notices;
  };
  host.onNotices(host.notices);
}

/** The VM connects in its own time; until then the relay runs without it. */
function tellWaiting(log: Log, vm: ListeningPort, service: ServiceManager | undefined): void {
  vm.onConnect = () => {
    log.info("VM connected", { path: vm.path });
    service?.status(`the VM has connected to ${vm.path}`);
  };
  vm.onLeave = (why) => {
    log.info("VM has gone, waiting for it", { path: vm.path, why });
    service?.status(`waiting for the VM at ${vm.path}`);
  };
  log.info("waiting for the VM", { path: vm.path });
}

/** For a service manager's users. */
function statusOf(vm: FramePort, network: Network): string {
  const what = vm instanceof ListeningPort ? `waits for the VM at ${vm.path}` : `filters ${vm.label}`;
  return `${what}, on ${network.label}`;
}

/** It was asked to stop, or its VM went away. */
function isInOrder(ending: Ending): boolean {
  return "signal" in ending || (ending.side === "vm" && ending.error instanceof PortClosed);
}

/** The exit code: 0 when it was asked to stop or its VM went away, 1 when the network did or something broke. */
function tellEnd(log: Log, ending: Ending): number {
  if ("signal" in ending) {
    log.info("stopped", { why: ending.signal });
    return 0;
  }
  if (ending.side === "vm" && ending.error instanceof PortClosed) {
    log.info("stopped", { why: ending.error.message });
    return 0;
  }
  log.error(ending.error.message);
  return 1;
}

function tellSummary(log: Log, relay: Relay, seconds: number): void {
  const { egress, ingress } = relay.counters.snapshot();
  const drops: Record<string, number> = {};
  for (const counts of [egress.drops, ingress.drops]) {
    for (const [name, count] of Object.entries(counts)) drops[name] = (drops[name] ?? 0) + count;
  }
  log.info("summary", {
    seconds: Math.round(seconds * 10) / 10,
    "egress-frames": egress.frames,
    "egress-bytes": egress.bytes,
    "ingress-frames": ingress.frames,
    "ingress-bytes": ingress.bytes,
    undelivered: egress.undelivered + ingress.undelivered,
    unsendable: egress.unsendable + ingress.unsendable,
    ...drops,
  });
}
