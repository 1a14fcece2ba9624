/**
 * The agent of one host: keeps its VMs at the policy that the fleet wants for them, tells what it sees of them, and answers
 * questions about them. It needs no right but that to connect to the control sockets; what comes from NATS is read as a
 * stranger's line would be: bounded, checked, and refused with a reason.
 *
 * What it wants of a VM is computed anew from the documents whenever anything changes, never from the change: so it does not matter
 * what it missed.
 */
import { jetstream } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import type { FoundVm } from "../operate/vms.ts";
import type { Log } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { type Entry, type FleetVm, type Policy, parseDocument, type Wanted, wantedFor } from "./document.ts";
import { type Kept, type KeptEntry, readKept, writeKept } from "./kept-documents.ts";
import {
  askSubject,
  describeKey,
  eventSubject,
  isFleetName,
  nameOf,
  POLICY_BUCKET,
  STATE_BUCKET,
  STATE_INTERVAL,
  stateKey,
} from "./places.ts";
import { VmLink } from "./vm-link.ts";

/** Milliseconds between two looks at which VMs there are. */
const LOOK_INTERVAL = 500;
/** Documents of a fleet, and VMs of a host, that an agent knows at most. */
const MOST_DOCUMENTS = 100_000;
const MOST_VMS = 1_000;
/** Milliseconds until a watch that broke is begun again. */
const AGAIN = 1_000;

export interface AgentOptions {
  readonly connection: NatsConnection;
  readonly host: string;
  /** The folder for what was known last. */
  readonly state: string;
  /** The VMs of this host. */
  readonly find: () => readonly FoundVm[];
  readonly log: Log;
}

interface Vm {
  readonly name: string;
  readonly link: VmLink;
  labels: readonly string[];
  /** Undefined until it has answered once. */
  wanted: Wanted | undefined;
  since: string | undefined;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #texts = new Map<string, KeptEntry>();
  readonly #own = new Map<string, Policy>();
  /** By the path of the control socket. */
  readonly #vms = new Map<string, Vm>();
  #state: KV | undefined;
  #stopped = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(options: AgentOptions) {
    this.#options = options;
    const kept = readKept(options.state);
    for (const [key, entry] of Object.entries(kept.entries)) this.#take(key, entry);
    for (const [name, policy] of Object.entries(kept.own)) this.#own.set(name, policy);
  }

  /** Works until `stop`. Resolves once the documents have been read once, or NATS does not answer. */
  async start(): Promise<void> {
    this.#answerQuestions();
    this.#every(LOOK_INTERVAL, () => this.#look());
    this.#every(STATE_INTERVAL, () => this.#tell());
    await this.#watchDocuments();
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const { link } of this.#vms.values()) link.close();
  }

  /** Calls `work` again and again, never twice at a time. */
  #every(milliseconds: number, work: () => Promise<void>): void {
    const index = this.#timers.length;
    const run = async (): Promise<void> => {
      try {
        await work();
      } catch (error) {
        this.#options.log.error("a fault in the agent", { error: String(error) });
      }
      if (!this.#stopped) this.#timers[index] = setTimeout(run, milliseconds);
    };
    this.#timers[index] = setTimeout(run, 0);
  }

  /** Follows the bucket for ever; each time it begins with what stands there now. */
  async #watchDocuments(): Promise<void> {
    const { connection, log } = this.#options;
    const begun = Promise.withResolvers<void>();
    const follow = async (): Promise<void> => {
      while (!this.#stopped) {
        try {
          const bucket = await new Kvm(jetstream(connection)).open(POLICY_BUCKET);
          for await (const { key, revision, operation, value, delta } of await bucket.watch()) {
            this.#take(key, operation === "PUT" ? { revision, text: Buffer.from(value).toString() } : { revision });
            if (delta === 0) begun.resolve();
            this.#changed();
          }
        } catch (error) {
          if (!this.#stopped) log.warn("the fleet's documents cannot be read", { why: String(error) });
        }
        begun.resolve(); // what was kept holds
        await new Promise((resolve) => setTimeout(resolve, AGAIN));
      }
    };
    void follow();
    await Promise.race([begun.promise, new Promise((resolve) => setTimeout(resolve, AGAIN))]);
  }

  /** An entry of the bucket. An older one than is known changes nothing. */
  #take(key: string, kept: KeptEntry): void {
    if (describeKey(key) === undefined || kept.revision < (this.#entries.get(key)?.revision ?? 0)) return;
    if (!this.#entries.has(key) && this.#entries.size >= MOST_DOCUMENTS) {
      this.#options.log.error("the fleet has more documents than an agent knows", { key });
      return;
    }
    this.#texts.set(key, kept);
    this.#entries.set(key, { revision: kept.revision, document: documentOf(kept.text) });
  }

  #saving: NodeJS.Timeout | undefined;

  /** Documents have changed: what each VM should have is asked anew, and kept for a start without NATS. */
  #changed(): void {
    for (const vm of this.#vms.values()) void this.#want(vm);
    this.#saving ??= setTimeout(() => {
      this.#saving = undefined;
      this.#keep();
    }, 100);
    this.#saving.unref();
  }

  #keep(): void {
    const kept: Kept = { entries: Object.fromEntries(this.#texts), own: Object.fromEntries(this.#own) };
    try {
      writeKept(this.#options.state, kept);
    } catch (error) {
      this.#options.log.warn("what the fleet says is not kept for a start without NATS", { why: String(error) });
    }
  }

  async #want(vm: Vm): Promise<void> {
    if (vm.wanted === undefined) return;
    const { inForce: before, error: problem } = vm.link.state;
    vm.wanted = this.#wantedFor(vm);
    await vm.link.apply(vm.wanted);
    const { inForce, error } = vm.link.state;
    if (inForce !== before) vm.since = new Date().toISOString();
    if (inForce !== before || error !== problem) await this.#tellOne(vm);
  }

  /** What documents say; where none is for it any more, what it had before the first one. */
  #wantedFor({ name, labels }: Vm): Wanted {
    const wanted = wantedFor(this.#fleetVm(name, labels), this.#entries);
    return wanted.key === undefined && wanted.revision > 0 ? { ...wanted, policy: this.#own.get(name) } : wanted;
  }

  #fleetVm(name: string, labels: readonly string[]): FleetVm {
    return { name, host: this.#options.host, labels };
  }

  /** Meets VMs that are new, and forgets those that are gone. */
  async #look(): Promise<void> {
    const found = this.#options.find().slice(0, MOST_VMS);
    const paths = new Set(found.map(({ control }) => control));
    for (const [path, vm] of this.#vms) {
      if (paths.has(path)) continue;
      vm.link.close();
      this.#vms.delete(path);
    }
    for (const { name, control, mac } of found) {
      if (control === undefined || this.#vms.has(control)) continue;
      const called = name ?? mac?.replaceAll(":", "-");
      if (called === undefined || !isFleetName(called)) continue;
      this.#vms.set(control, {
        name: called,
        link: new VmLink(control),
        labels: [],
        wanted: undefined,
        since: undefined,
      });
    }
    await Promise.all([...this.#vms.values()].filter(({ wanted }) => wanted === undefined).map((vm) => this.#meet(vm)));
  }

  /** The first answer of a VM says its labels, and what it has of its own. */
  async #meet(vm: Vm): Promise<void> {
    const status = await vm.link.look();
    if (status === undefined) return;
    vm.labels = labelsOf(status);
    const { source } = (status.policy ?? {}) as { source?: unknown };
    try {
      if (source !== "control" || !this.#own.has(vm.name)) this.#own.set(vm.name, await vm.link.own());
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return; // it has ended meanwhile
    }
    vm.wanted = this.#wantedFor(vm);
    await vm.link.apply(vm.wanted);
    vm.since = new Date().toISOString();
    void this.#follow(vm);
    await this.#tellOne(vm);
  }

  /** Passes the VM's events on; when its softnet ends, the next one is met as a new one. */
  async #follow(vm: Vm): Promise<void> {
    const { connection, host, log } = this.#options;
    try {
      const ended = await vm.link.follow((event) => {
        const text = JSON.stringify({ host, vm: vm.name, ...event });
        if (!connection.isClosed()) connection.publish(eventSubject(host, vm.name), text);
      });
      if (!ended) return;
      vm.wanted = undefined;
      await vm.link.look();
      await this.#tellOne(vm);
    } catch (error) {
      log.error("a fault in the agent", { error: String(error) });
    }
  }

  /** Tells the fleet of every VM, and sees whether a softnet was started anew. */
  async #tell(): Promise<void> {
    await Promise.all(
      [...this.#vms.values()].map(async (vm) => {
        if (vm.wanted === undefined) return;
        const before = vm.link.state.inForce;
        if ((await vm.link.look()) !== undefined && before !== vm.link.state.inForce) vm.wanted = undefined;
        else await this.#want(vm);
        await this.#tellOne(vm);
      }),
    );
  }

  async #tellOne({ name, labels, link, wanted, since }: Vm): Promise<void> {
    const { connection, host } = this.#options;
    if (connection.isClosed()) return;
    const { status, inForce, error } = link.state;
    const record = {
      ...{
        host,
        name,
        labels,
        wanted: wanted?.revision ?? 0,
        document: wanted?.key ?? null,
        next: wanted?.isNext ?? false,
      },
      ...{ inForce, since: since ?? null, error: error ?? null, reachable: status !== undefined },
      ...(status && { mac: status.mac, binding: status.binding, ipv6: status.ipv6, network: status.network }),
      ...(status && { uptime: status.uptime, counters: status.counters }),
    };
    try {
      this.#state ??= await new Kvm(jetstream(connection)).open(STATE_BUCKET);
      await this.#state.put(stateKey(host, name), JSON.stringify(record));
    } catch (failure) {
      this.#options.log.debug("NATS does not take a VM's state", { vm: name, why: String(failure) });
    }
  }

  #answerQuestions(): void {
    const { connection, host } = this.#options;
    connection.subscribe(askSubject(host, "*"), {
      callback: (error, message) => {
        if (error === null) void this.#answer(message);
      },
    });
  }

  async #answer(message: Msg): Promise<void> {
    const respond = (answer: object): void => void message.respond(JSON.stringify(answer));
    try {
      const name = nameOf(message.subject.split(".").at(-1) ?? "");
      const vm = [...this.#vms.values()].find((one) => one.name === name);
      if (vm === undefined) throw new UserError(`${this.#options.host} has no VM ${name}`);
      const { method, params } = readQuestion(message.data);
      const result = await vm.link.question(method, params);
      respond({ result, document: vm.wanted?.key ?? null, revision: vm.link.state.inForce });
    } catch (error) {
      if (!(error instanceof UserError)) this.#options.log.error("a fault in the agent", { error: String(error) });
      respond({ error: error instanceof UserError ? error.message : "a fault in the agent; see its log" });
    }
  }
}

/** Bytes of a question. */
const LONGEST_QUESTION = 4_096;

function readQuestion(data: Uint8Array): { readonly method?: unknown; readonly params?: unknown } {
  try {
    const question: unknown = data.length > LONGEST_QUESTION ? undefined : JSON.parse(Buffer.from(data).toString());
    if (typeof question === "object" && question !== null) return question;
  } catch {
    // As below.
  }
  throw new UserError("the question is no JSON object, or too long");
}

function documentOf(text: string | undefined): Entry["document"] {
  if (text === undefined) return undefined;
  try {
    return parseDocument(text);
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}

function labelsOf({ labels }: Readonly<Record<string, unknown>>): string[] {
  const list = Array.isArray(labels) ? labels : [];
  return list.filter((label) => typeof label === "string" && isFleetName(label)).slice(0, 16);
}
