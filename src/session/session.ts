/**
 * All that belongs to one VM: both ports, the network, the guard, the relay between them, the VM's entry in the
 * registry, its controllers, its policy file, its capture. A session is made in two steps, because a process that was
 * started as root gives its rights up in between: `prepare` makes what needs root, `open` all the rest. Then `start`
 * forwards frames until `ended` or `stop`, and `close` takes everything away, in one order, however far the session came.
 *
 * Several sessions may live in one process. What belongs to the process is not here: its rights, signals, the log's file,
 * the service manager (commands/run.ts).
 */
import { AttachedPort } from "../attach/port.ts";
import { checkGuardOptions, createGuard, type Guard } from "../guard/guard.ts";
import type { GuardOptions, NameEvent } from "../guard/types.ts";
import type { Network } from "../networks/network.ts";
import { rulesInForce } from "../policy/families.ts";
import { allowsEverything, type Rule } from "../policy/rule.ts";
import type { ByteStream } from "../ports/byte-stream.ts";
import { ListeningPort } from "../ports/listening.ts";
import type { PrivilegeWalk } from "../privileges/privileges.ts";
import type { Registration } from "../registry/registration.ts";
import type { FramePort } from "../relay/port.ts";
import type { RelayEnd } from "../relay/relay.ts";
import type { Log } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { parseMac } from "../wire/address.ts";
import { releaseAddresses } from "./address-release.ts";
import { followBinding } from "./binding-followers.ts";
import { BindingLog } from "./binding-log.ts";
import { refuseHopelessPaths } from "./caller-paths.ts";
import { KeptPairs } from "./kept-pairs.ts";
import { LearnedRules } from "./learned-rules.ts";
import { LeftLeases } from "./left-leases.ts";
import { NameLog } from "./name-log.ts";
import { type NamedControl, openNamedControl } from "./named-control.ts";
import { knownToNetwork, refuseForeignAddress } from "./network-facts.ts";
import { tellBinding, tellChange } from "./network-followers.ts";
import { openRecording } from "./open-recording.ts";
import { guardOptions, hasLivePolicy, mayHaveNames, type SessionArguments } from "./options.ts";
import { rulesOf } from "./policy-rules.ts";
import type { Recording } from "./recording.ts";
import { beginWithBinding, register, registryOptions } from "./registry-entry.ts";
import { SessionControl } from "./session-control.ts";
import { SessionLane } from "./session-lane.ts";
import { SessionLimits } from "./session-limits.ts";
import { logHostNotices, logStart, logWaiting, statusOf } from "./session-log.ts";
import { SessionRelay } from "./session-relay.ts";
import type { SessionSystem } from "./system.ts";

export interface SessionOptions {
  readonly args: SessionArguments;
  readonly system: SessionSystem;
  readonly privileges: PrivilegeWalk;
  /** With the session's own context, where several write to one place. */
  readonly log: Log;
  /** `--control-fd`, taken over. The session closes it. */
  readonly control?: ByteStream | undefined;
}

export class Session {
  readonly #system: SessionSystem;
  readonly #privileges: PrivilegeWalk;
  readonly #log: Log;
  readonly #inherited: ByteStream | undefined;
  /** With the path of the control socket that `--name` makes. */
  #given: SessionArguments;
  /** What options and policy file say at the start. */
  readonly #rules: readonly Rule[];
  readonly #closing = new AsyncDisposableStack();
  #named: NamedControl | undefined;
  #registration: Registration | undefined;
  #vm: FramePort | undefined;
  #network: Network | undefined;
  readonly #lane = new SessionLane();
  #recording: Recording | undefined;
  #control: SessionControl | undefined;
  readonly #names: NameLog;
  #learned: LearnedRules | undefined;
  /** Undefined where the VM has no record, or no names can come. */
  #keptPairs: KeptPairs | undefined;
  /** Undefined where there are none, and none can come. */
  readonly #limits: SessionLimits | undefined;
  #guard: Guard | undefined;
  #relay: SessionRelay | undefined;
  /** What failed before there was anything to end. */
  #fault: unknown;

  /** Makes what needs root's rights (`privileges.needs.first`). Throws UserError; then nothing is left behind. */
  static async prepare(options: SessionOptions): Promise<Session> {
    const session = new Session(options);
    try {
      await session.#prepare();
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  private constructor({ args, system, privileges, log, control }: SessionOptions) {
    this.#system = system;
    this.#privileges = privileges;
    this.#log = log;
    this.#inherited = control;
    this.#given = args;
    this.#names = new NameLog(log, (fields) => this.#control?.nameDenied(fields));
    try {
      // The file is the caller's to name, so it is read with his rights, though root's are needed for what it decides.
      this.#rules = privileges.asTarget(() => rulesOf(args));
      // A name brings a control socket.
      if (args.limit !== undefined || args.name !== undefined || hasLivePolicy(args)) {
        this.#limits = new SessionLimits(args.limit ?? "", system.clock);
      }
    } catch (error) {
      control?.close();
      throw error;
    }
    this.#closeInOrder();
  }

  /** What is closed, from the last to the first, whatever of it has been made by then. */
  #closeInOrder(): void {
    const closing = this.#closing;
    // The VM's address stays taken until nothing can be sent from it.
    closing.defer(() => this.#registration?.close());
    // Until the network is closed it may still look at the slabs.
    closing.defer(() => this.#relay?.free());
    closing.defer(() => this.#vm?.close());
    closing.defer(() => this.#network?.close());
    closing.defer(() => this.#recording?.close());
    closing.defer(() => this.#learned?.close());
    closing.defer(() => this.#keptPairs?.close());
    closing.defer(() => this.#inherited?.close());
    closing.defer(() => this.#named?.close());
    closing.defer(() => this.#lane.close());
    closing.defer(() => this.#control?.close()); // it asks guard and lane
    closing.defer(() => this.#limits?.close());
    closing.defer(() => this.#relay?.stop());
  }

  async #prepare(): Promise<void> {
    this.#named = openNamedControl(this.#given, this.#system, this.#privileges);
    if (this.#named !== undefined) this.#given = { ...this.#given, controlSocket: this.#named.path };
    const { first } = this.#privileges.needs;
    if (first.vm) await this.#openVmPort();
    if (first.network) await this.#openNetwork();
    if (first.capture) this.#openRecording();
    if (this.#vm instanceof AttachedPort) await this.#vm.ready();
    if (this.#network === undefined) return;
    // What can be refused is refused now: once root's rights are gone, this process cannot remove the record.
    checkGuardOptions(this.#guardOptions(this.#network));
    const { capture, ...others } = this.#given;
    const paths = this.#recording === undefined ? this.#given : others; // root's own capture is open
    const { uid } = this.#privileges.target;
    if (process.geteuid!() === 0) this.#privileges.asTarget(() => refuseHopelessPaths(paths, uid));
    const pairs = mayHaveNames(this.#given, this.#rules);
    this.#registration = register(this.#system.registry, this.#network, { ...this.#given, pairs }, this.#log);
  }

  /**
   * Makes the rest, with the rights that are left. `onStatus` is called with what a service manager's users should know. Throws
   * UserError; then the session is closed.
   */
  async open(onStatus: (status: string) => void = () => {}): Promise<void> {
    try {
      await this.#open(onStatus);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #open(onStatus: (status: string) => void): Promise<void> {
    const vm = await this.#openVmPort();
    const network = await this.#openNetwork();
    const leftLeases = new LeftLeases(parseMac(this.#given.vmMacAddress ?? "") ?? 0);
    if (this.#given.learn !== undefined) this.#learned = new LearnedRules(this.#given.learn, this.#log);
    const guard = this.#createGuard(network, leftLeases);
    beginWithBinding(this.#registration, guard, network, this.#log);
    if (this.#registration !== undefined && mayHaveNames(this.#given, this.#rules))
      this.#keptPairs = new KeptPairs(this.#registration, guard, this.#log);
    tellBinding(network, guard.binding);
    this.#control = this.#createControl(guard, network);
    const recording = this.#openRecording();
    if (vm instanceof ListeningPort) vm.listen(); // as late as the recording: a path that the caller names
    this.#control?.open();
    this.#named?.listening();
    this.#logOpened(vm, network, guard, onStatus);
    this.#relay = new SessionRelay({
      vm,
      network,
      guard,
      leftLeases,
      lane: this.#lane.lane,
      recording,
      control: this.#control,
      learned: this.#learned,
      keptPairs: this.#keptPairs,
      limits: this.#limits,
      given: this.#given,
      clock: this.#system.clock,
      makeAlarm: this.#system.makeAlarm,
      log: this.#log,
    });
    if (this.#fault !== undefined) throw this.#fault;
    if (vm instanceof AttachedPort) await vm.start();
  }

  /** Forwards frames from now on. */
  start(): void {
    this.#opened.start();
  }

  /** Resolves when the relay ends by itself. */
  get ended(): Promise<RelayEnd> {
    return this.#opened.ended;
  }

  /** What it does now, for a service manager's users. */
  get status(): string {
    return statusOf(this.#vm!, this.#network!);
  }

  /** Opens files anew and reads the policy file again. Returns false where there is no policy file. */
  reload(): boolean {
    this.#recording?.reopen();
    if (this.#given.policy === undefined) return false;
    this.#control?.reload();
    return true;
  }

  /** Forwards no further frame. `inOrder`: the VM's address may be given back, if the user wants that. */
  stop(inOrder: boolean): void {
    const relay = this.#opened;
    relay.stop();
    let livesOn = false;
    if (this.#vm instanceof AttachedPort) {
      this.#vm.endsInOrder = inOrder;
      livesOn = !this.#vm.isGone; // with its address
    }
    const time = this.#system.clock();
    this.#guard!.advance(time);
    if (!this.#given.releaseOnExit || !inOrder || livesOn) return;
    releaseAddresses({
      registration: this.#registration,
      guard: this.#guard!,
      network: this.#network!,
      batch: relay.egressBatch,
      vmMac: this.#given.vmMacAddress ?? "",
      movedAway: relay.hasVmMoved(time),
      log: this.#log,
    });
  }

  /** Takes everything away. A step that fails does not keep the others from their turn. Harmless when called twice. */
  close(): Promise<void> {
    return this.#closing.disposeAsync();
  }

  /** The binding cannot be followed, so nothing may pass that relies on it. */
  #fail(error: unknown): void {
    this.#fault ??= error;
    if (this.#relay?.fail(error) === false)
      this.#log.error("a change of the binding was not followed", { error: String(error) });
  }

  get #opened(): SessionRelay {
    if (this.#relay === undefined) throw new Error("the session is not open");
    return this.#relay;
  }

  async #openVmPort(): Promise<FramePort> {
    if (this.#given.attach === undefined) {
      this.#vm ??= this.#system.openVmPort(this.#given, this.#privileges.newTap);
      return this.#vm;
    }
    if (this.#system.attachVm === undefined) throw new UserError("softnet attach is for Linux");
    this.#vm ??= await this.#system.attachVm(this.#given, this.#log);
    return this.#vm;
  }

  async #openNetwork(): Promise<Network> {
    if (this.#network !== undefined) return this.#network;
    this.#network = await this.#system.openNetwork({
      given: this.#given,
      rules: rulesInForce(this.#rules, this.#given.ipv6 ?? false),
      isolated: !allowsEverything(this.#rules, this.#given.ipv6),
      vm: this.#vm,
      privileges: this.#privileges,
      log: this.#log,
    });
    this.#lane.join(this.#vm);
    return this.#network;
  }

  #openRecording(): Recording | undefined {
    this.#recording ??= openRecording(this.#given, this.#system.clock, this.#log, this.#privileges);
    return this.#recording;
  }

  #guardOptions(network: Network): GuardOptions {
    const given = this.#given;
    refuseForeignAddress(network, given);
    return {
      ...guardOptions(given, this.#rules),
      ...knownToNetwork(network),
      mtu: given.mtu ?? network.mtu,
      live: hasLivePolicy(given),
      reject: given.reject ?? false,
      learn: given.learn !== undefined,
      ask: true,
    };
  }

  #createGuard(network: Network, leftLeases: LeftLeases): Guard {
    const bindingLog = new BindingLog(this.#log, network.isolated, this.#system.clock);
    const options = this.#guardOptions(network);
    const lane = this.#lane.open(parseMac(options.macAddress) ?? 0, options.mtu!, this.#system.clock);
    const onBinding = followBinding(
      [
        (change) => this.#registration?.follow(change),
        (change) => leftLeases.follow(change),
        (change) => bindingLog.follow(change, guard),
        (change) => this.#control?.bindingChanged(change),
        (change) => tellChange(network, change, guard.binding),
      ],
      (error) => this.#fail(error),
    );
    const onName = (event: NameEvent): void => {
      this.#names.note(event);
      this.#learned?.note(event);
    };
    const kept = registryOptions(this.#registration, this.#system.clock());
    const guard: Guard = createGuard({ ...options, ...kept, onBinding, onName }, lane);
    this.#guard = guard;
    this.#limits?.follow(guard, lane);
    return guard;
  }

  #createControl(guard: Guard, network: Network): SessionControl | undefined {
    if (!hasLivePolicy(this.#given)) return undefined;
    return new SessionControl({
      system: this.#system,
      given: this.#given,
      rules: this.#rules,
      inherited: this.#inherited,
      guard,
      lane: this.#lane,
      limits: this.#limits!,
      network,
      log: this.#log,
      onPolicy: () => this.#names.policyChanged(),
    });
  }

  #logOpened(vm: FramePort, network: Network, guard: Guard, onStatus: (status: string) => void): void {
    const log = this.#log;
    logHostNotices(log, network);
    logStart({ log, given: this.#given, vm, network, guard, privileges: this.#privileges.describe() });
    for (const line of this.#system.advice(this.#given, this.#rules, vm, network)) log.warn(line);
    if (vm instanceof ListeningPort) logWaiting(log, vm, onStatus);
  }
}
