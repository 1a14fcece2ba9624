/**
 * The agent of one host: keeps its VMs at the policy that the fleet wants for them, tells what it sees of them, and answers
 * questions about them. It needs no right but that to connect to the control sockets; what comes from NATS is read as a
 * stranger's line would be: bounded, checked, and refused with a reason.
 *
 * What it wants of a VM is computed anew from the documents whenever anything changes, never from the change: so it does not matter
 * what it missed. It works without NATS, from what it knew last, until there is a connection.
 */
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import type { FoundVm } from "../operate/vms.ts";
import type { Log } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { followBucket } from "./bucket-watch.ts";
import { ConnectionWatch } from "./connection-watch.ts";
import { type Policy, type Wanted, wantedFor } from "./document.ts";
import { DocumentStore } from "./document-store.ts";
import { readKept, writeKept } from "./kept-documents.ts";
import { askSubject, eventSubject, isFleetName, nameOf, STATE_BUCKET, STATE_INTERVAL, stateKey } from "./places.ts";
import { labelsOf, writeRecord } from "./state-record.ts";
import { VmLink } from "./vm-link.ts";

/** Milliseconds between two looks at which VMs there are. */
const LOOK_INTERVAL = 500;
/** VMs of a host that an agent knows at most. */
const MOST_VMS = 1_000;
/** Milliseconds until a watch that broke is begun again. */
const AGAIN = 1_000;
/**
 * Milliseconds that NATS has to answer before the documents come: few at first, since a cluster that has lost a server does not know it at once,
 * and asks it; more each time that nothing came, for a cluster that is slow.
 */
const PATIENCE = 2_000;
const MOST_PATIENCE = 16_000;
/**
 * Milliseconds from a change until all documents are written to the state folder, and how much longer than a write the pause before the next
 * one is: VMs wait while a slow disk is written to.
 */
const SAVING_DELAY = 100;
const SAVING_REST = 20;
/** Questions that are answered at the same time: each needs a connection to a control socket, which has 16. */
const MOST_QUESTIONS = 8;
/** Bytes of a question, of an answer, which must fit into NATS' message of a mebibyte, and of an event. */
const LONGEST_QUESTION = 4_096;
const LONGEST_ANSWER = 524_288;
const LONGEST_EVENT = 16_384;

export interface AgentOptions {
  /** Absent: there is none yet; `use` gives one. */
  readonly connection?: NatsConnection;
  readonly host: string;
  /** The folder for what was known last. */
  readonly state: string;
  /** The VMs of this host. */
  readonly find: () => readonly FoundVm[];
  /** Bridges of this host that belong to a network which other hosts have part in: its name, by the bridge's. */
  readonly sharedNetworks?: ReadonlyMap<string, string>;
  readonly log: Log;
}

interface Vm {
  readonly name: string;
  readonly link: VmLink;
  labels: readonly string[];
  /** Undefined until it has answered once. */
  wanted: Wanted | undefined;
  isMeeting: boolean;
}

/** What an agent counts. */
export interface AgentCounts {
  /** VMs by how it stands with their policy. */
  readonly vms: { none: number; in_force: number; waiting: number; error: number; unreachable: number };
  readonly documents: { readonly valid: number; readonly wrong: number };
  readonly connected: boolean;
  readonly reconnects: number;
  /** Seconds since NATS came or went, and since a policy was put into force; undefined = never. */
  readonly connectionAge: number;
  readonly changeAge: number | undefined;
  readonly changes: number;
  readonly refusals: number;
  readonly events: number;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #documents = new DocumentStore();
  readonly #own = new Map<string, Policy>();
  /** By the path of the control socket. */
  readonly #vms = new Map<string, Vm>();
  readonly #watch: ConnectionWatch;
  #connection: NatsConnection | undefined;
  #stopped = false;
  #timers: NodeJS.Timeout[] = [];
  #saving: NodeJS.Timeout | undefined;
  #savingDelay = SAVING_DELAY;
  #asking = 0;
  #isTooMany = false;
  #changes = 0;
  #changedAt: number | undefined;
  #refusals = 0;
  #events = 0;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#watch = new ConnectionWatch(options.log);
    const kept = readKept(options.state);
    for (const [key, entry] of Object.entries(kept.entries)) this.#documents.take(key, entry);
    for (const [name, policy] of Object.entries(kept.own)) this.#own.set(name, policy);
  }

  /** Works until `stop`. Resolves once the documents have been read once, or NATS does not answer, or there is no connection yet. */
  async start(): Promise<void> {
    this.#every(LOOK_INTERVAL, () => this.#look());
    this.#every(STATE_INTERVAL, () => this.#tell());
    if (this.#options.connection !== undefined) await this.use(this.#options.connection);
  }

  /** Takes this connection from now on. Resolves once the documents have been read once, or NATS does not answer. */
  async use(connection: NatsConnection): Promise<void> {
    this.#connection = connection;
    this.#watch.follow(connection);
    this.#answerQuestions(connection);
    for (const vm of this.#vms.values()) this.#tellOne(vm);
    await this.#watchDocuments(connection);
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const { link } of this.#vms.values()) link.close();
  }

  /** Whether there is a connection, and since when, in words. */
  get connectionText(): string {
    return this.#watch.text;
  }

  /** Called with these words when they have changed. */
  set onConnection(tell: (text: string) => void) {
    this.#watch.onChange = tell;
  }

  get counts(): AgentCounts {
    const vms = { none: 0, in_force: 0, waiting: 0, error: 0, unreachable: 0 };
    for (const { wanted, link } of this.#vms.values()) {
      const { status, error, inForce } = link.state;
      if (status === undefined) vms.unreachable++;
      else if (wanted === undefined) vms.waiting++;
      else if (wanted.key === undefined) vms.none++;
      else if (inForce === wanted.revision) vms.in_force++;
      else if (error !== undefined) vms.error++;
      else vms.waiting++;
    }
    const changeAge = this.#changedAt === undefined ? undefined : (performance.now() - this.#changedAt) / 1000;
    const counted = { changes: this.#changes, refusals: this.#refusals, events: this.#events };
    return { vms, documents: this.#documents.counts, ...this.#watch.counts, changeAge, ...counted };
  }

  /** Calls `work` again and again, never twice at a time. */
  #every(milliseconds: number, work: () => Promise<void>): void {
    const index = this.#timers.length;
    const run = async (): Promise<void> => {
      await this.#guarded(work);
      if (!this.#stopped) this.#timers[index] = setTimeout(run, milliseconds);
    };
    this.#timers[index] = setTimeout(run, 0);
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.error("a fault in the agent", { error: String(error) });
    }
  }

  /** Follows the bucket as long as there is this connection; each time it begins with what stands there now. */
  async #watchDocuments(connection: NatsConnection): Promise<void> {
    const { log } = this.#options;
    const begun = Promise.withResolvers<void>();
    let patience = PATIENCE;
    const goesOn = (): boolean => !this.#stopped && this.#connection === connection && !connection.isClosed();
    const follow = async (): Promise<void> => {
      while (goesOn()) {
        try {
          await this.#followDocuments(connection, patience, () => {
            patience = PATIENCE;
            begun.resolve();
          });
        } catch (error) {
          patience = Math.min(patience * 2, MOST_PATIENCE);
          if (goesOn()) log.warn("the fleet's documents cannot be read", { why: String(error) });
        }
        begun.resolve(); // what was kept holds
        await new Promise((resolve) => setTimeout(resolve, AGAIN));
      }
    };
    void follow();
    await Promise.race([begun.promise, new Promise((resolve) => setTimeout(resolve, AGAIN))]);
  }

  /** A VM gets nothing of them until all have come that were there: the one that decides for it may be the last. */
  async #followDocuments(connection: NatsConnection, patience: number, begun: () => void): Promise<void> {
    let isWhole = false;
    const ended = await followBucket(connection, patience, {
      take: (key, entry) => {
        if (this.#documents.take(key, entry) && isWhole) this.#changed();
      },
      whole: () => {
        isWhole = true;
        begun();
        this.#changed();
      },
    });
    if (ended === "behind") this.#options.log.warn("NATS did not tell of a change: the documents are read anew");
  }

  /** Documents have changed: what each VM should have is asked anew, and kept for a start without NATS. */
  #changed(): void {
    for (const vm of this.#vms.values()) void this.#guarded(() => this.#want(vm));
    this.#saving ??= setTimeout(() => {
      this.#saving = undefined;
      this.#keep();
    }, this.#savingDelay);
    this.#saving.unref();
  }

  #keep(): void {
    const kept = { entries: Object.fromEntries(this.#documents.kept), own: Object.fromEntries(this.#own) };
    const begin = performance.now();
    try {
      writeKept(this.#options.state, kept);
    } catch (error) {
      this.#options.log.warn("what the fleet says is not kept for a start without NATS", { why: String(error) });
    }
    this.#savingDelay = Math.max(SAVING_DELAY, (performance.now() - begin) * SAVING_REST);
  }

  async #want(vm: Vm): Promise<void> {
    if (vm.wanted === undefined) return;
    const { inForce: before, error: problem } = vm.link.state;
    await this.#apply(vm);
    const { inForce, error } = vm.link.state;
    if (inForce !== before || error !== problem) this.#tellOne(vm);
  }

  async #apply(vm: Vm): Promise<void> {
    const done = await vm.link.apply(() => {
      const wanted = this.#wantedFor(vm);
      vm.wanted = wanted;
      return wanted;
    });
    if (done === "refused") this.#refusals++;
    if (done !== "changed") return;
    this.#changes++;
    this.#changedAt = performance.now();
  }

  /** What documents say; where none is for it any more, what it had before the first one. */
  #wantedFor({ name, labels }: Vm): Wanted {
    const wanted = wantedFor({ name, host: this.#options.host, labels }, this.#documents.entries);
    return wanted.key === undefined && wanted.revision > 0 ? { ...wanted, policy: this.#own.get(name) } : wanted;
  }

  /** Meets VMs that are new, and forgets those that are gone. */
  async #look(): Promise<void> {
    const found = this.#named();
    for (const [path, vm] of this.#vms) {
      if (found.get(vm.name) === path) continue;
      vm.link.close();
      this.#vms.delete(path);
      if (!found.has(vm.name)) this.#own.delete(vm.name);
    }
    for (const [name, path] of found) {
      if (this.#vms.has(path)) continue;
      this.#vms.set(path, { name, link: new VmLink(path), labels: [], wanted: undefined, isMeeting: false });
    }
    for (const vm of this.#vms.values()) if (vm.wanted === undefined) void this.#guarded(() => this.#meet(vm));
  }

  /** Control sockets by what their VMs are called in the fleet. A name that root gave is no other user's to take. */
  #named(): Map<string, string> {
    const named = new Map<string, string>();
    const rootFirst = this.#options.find().toSorted((a, b) => Number(b.namedByRoot) - Number(a.namedByRoot));
    for (const { name, control, mac } of rootFirst) {
      const called = name ?? mac?.replaceAll(":", "-");
      if (control === undefined || called === undefined || !isFleetName(called) || named.has(called)) continue;
      if (named.size < MOST_VMS) named.set(called, control);
      else if (!this.#isTooMany) {
        this.#isTooMany = true;
        this.#options.log.error("this host has more VMs than an agent knows", { most: MOST_VMS, "left-out": called });
      }
    }
    return named;
  }

  /** The first answer of a VM says its labels, and what it has of its own. */
  async #meet(vm: Vm): Promise<void> {
    if (vm.isMeeting) return;
    vm.isMeeting = true;
    try {
      const { silent: before } = vm.link.state;
      const { status, gone } = await vm.link.look();
      const { silent } = vm.link.state;
      if (silent !== undefined && silent !== before && !gone) {
        this.#options.log.warn("a VM cannot be asked", { vm: vm.name, why: silent });
      }
      if (status === undefined) return;
      vm.labels = labelsOf(status);
      const { source } = (status.policy ?? {}) as { source?: unknown };
      if (source !== "control" || !this.#own.has(vm.name)) this.#own.set(vm.name, await vm.link.own());
      await this.#apply(vm);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return; // it has ended meanwhile
    } finally {
      vm.isMeeting = false;
    }
    void this.#guarded(() => this.#follow(vm));
    this.#tellOne(vm);
  }

  /** Passes the VM's events on; when its softnet ends, the next one is met as a new one. */
  async #follow(vm: Vm): Promise<void> {
    const { host } = this.#options;
    const ended = await vm.link.follow((event) => {
      const text = JSON.stringify({ host, vm: vm.name, ...event });
      if (!this.#watch.isConnected || Buffer.byteLength(text) > LONGEST_EVENT) return;
      this.#events++;
      this.#connection?.publish(eventSubject(host, vm.name), text);
    });
    if (!ended) return;
    vm.wanted = undefined;
    await vm.link.look();
    this.#tellOne(vm);
  }

  /** Tells the fleet of every VM, and sees whether a softnet was started anew. */
  async #tell(): Promise<void> {
    await Promise.all([...this.#vms.values()].map((vm) => this.#guarded(() => this.#lookAndTell(vm))));
  }

  async #lookAndTell(vm: Vm): Promise<void> {
    // One that is there, but never answered.
    if (vm.wanted === undefined) {
      if (vm.link.state.silent !== undefined) this.#tellOne(vm);
      return;
    }
    const before = vm.link.state.inForce;
    const { status } = await vm.link.look();
    if (status !== undefined && before !== vm.link.state.inForce) vm.wanted = undefined;
    else await this.#want(vm);
    this.#tellOne(vm);
  }

  #tellOne({ name, labels, link, wanted }: Vm): void {
    const { host, sharedNetworks } = this.#options;
    const connection = this.#connection;
    // While NATS is away its client would gather all of it in memory.
    if (connection === undefined || !this.#watch.isConnected) return;
    const { state } = link;
    const bridge = /^bridge (.+)$/.exec(String(state.status?.network))?.[1];
    const sharedNetwork = sharedNetworks?.get(bridge ?? "");
    const record = writeRecord({ host, name, labels, sharedNetwork, wanted, state });
    // Without asking for an answer, which would cost as much again: in five seconds it is told anew.
    connection.publish(`$KV.${STATE_BUCKET}.${stateKey(host, name)}`, record);
  }

  #answerQuestions(connection: NatsConnection): void {
    connection.subscribe(askSubject(this.#options.host, "*"), {
      callback: (error, message) => {
        if (error === null) void this.#answer(message);
      },
    });
  }

  async #answer(message: Msg): Promise<void> {
    this.#asking++;
    try {
      message.respond(await this.#answerTo(message));
    } catch (error) {
      if (!(error instanceof UserError)) this.#options.log.error("a fault in the agent", { error: String(error) });
      const words = error instanceof UserError ? error.message : "a fault in the agent; see its log";
      message.respond(JSON.stringify({ error: words }));
    } finally {
      this.#asking--;
    }
  }

  async #answerTo(message: Msg): Promise<string> {
    const { host } = this.#options;
    if (this.#asking > MOST_QUESTIONS) throw new UserError(`${host} answers ${MOST_QUESTIONS} others: ask again`);
    const name = nameOf(message.subject.split(".").at(-1) ?? "");
    const vm = [...this.#vms.values()].find((one) => one.name === name);
    if (vm === undefined) throw new UserError(`${host} has no VM ${name.slice(0, 80)}`);
    const { method, params } = readQuestion(message.data);
    const result = await vm.link.question(method, params);
    const { document, inForce, since, error } = vm.link.state;
    const wanted = { document: vm.wanted?.key ?? null, revision: vm.wanted?.revision ?? 0, error: error ?? null };
    const decided = { document: document ?? null, revision: inForce, since: since ?? null };
    const text = JSON.stringify({ result, ...decided, wanted });
    const size = Buffer.byteLength(text);
    if (size <= LONGEST_ANSWER) return text;
    throw new UserError(`the answer has ${size} bytes, too many for the fleet: ask softnet ctl ${name} on ${host}`);
  }
}

function readQuestion(data: Uint8Array): { readonly method?: unknown; readonly params?: unknown } {
  try {
    const question: unknown = data.length > LONGEST_QUESTION ? undefined : JSON.parse(Buffer.from(data).toString());
    if (typeof question === "object" && question !== null) return question;
  } catch {
    // As below.
  }
  throw new UserError("the question is no JSON object, or too long");
}
