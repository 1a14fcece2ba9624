/**
 * One VM of the agent's host, through its control socket: gives it the policy that it should have, asks what it does, and passes its
 * events on. Everything is done one after the other on one connection, but the events, which have their own: a softnet that
 * was started anew is met as a new one.
 */
import { type Answer, ControlClient } from "../control/client.ts";
import { fieldsOf } from "../operate/fields.ts";
import { KeptLine } from "../operate/kept-line.ts";
import { UserError } from "../user-error.ts";
import type { Policy, Wanted } from "./document.ts";

/** Milliseconds that softnet has for an answer. */
const PATIENCE = 5_000;
/** Methods that may be asked from anywhere in the fleet: none of them changes anything. */
const QUESTIONS = ["softnet.status", "softnet.explain", "softnet.names", "softnet.policy.get", "softnet.limits.get"];
/** Seconds by which two estimates of when a softnet was started may differ. */
const SAME_START = 3;

export interface VmState {
  readonly status: Answer | undefined;
  /** The revision that is in force, and its document's key; 0 and undefined = none of the fleet's. */
  readonly inForce: number;
  readonly document: string | undefined;
  /** Since when, ISO 8601, by this host's clock. */
  readonly since: string | undefined;
  /** Why the wanted one is not. */
  readonly error: string | undefined;
  /** Why it could not be asked. */
  readonly silent: string | undefined;
}

export class VmLink {
  readonly path: string;
  readonly #line: KeptLine;
  #inForce = 0;
  #document: string | undefined;
  #since: string | undefined;
  #error: string | undefined;
  #status: Answer | undefined;
  #silent: string | undefined;
  /** When that softnet was started, in seconds on a clock that nobody sets, so that another one is noticed. */
  #started = 0;
  #busy: Promise<void> = Promise.resolve();
  #events: ControlClient | undefined;

  constructor(path: string) {
    this.path = path;
    this.#line = new KeptLine(path, PATIENCE);
  }

  get state(): VmState {
    return {
      status: this.#status,
      inForce: this.#inForce,
      document: this.#document,
      since: this.#since,
      error: this.#error,
      silent: this.#silent,
    };
  }

  /**
   * Asks how it is; undefined where it does not say. Another softnet than before has nothing of the fleet's in force. `gone`: nothing
   * listens there any more.
   */
  async look(): Promise<{ readonly status: Answer | undefined; readonly gone: boolean }> {
    const asked = await this.#line.ask("softnet.status");
    if ("error" in asked) {
      this.#status = undefined;
      this.#silent = asked.error;
      return { status: undefined, gone: asked.gone };
    }
    const { answer: status } = asked;
    this.#status = status;
    this.#silent = undefined;
    const started = performance.now() / 1000 - Number(status.uptime);
    if (!(Math.abs(started - this.#started) <= SAME_START)) {
      this.#started = started;
      this.#forget();
    }
    const { since } = fieldsOf(status.policy);
    if (typeof since === "string" && since.length < 40) this.#since = since;
    return { status, gone: false };
  }

  /** What it has now, as the fleet would say it. Throws UserError. */
  async own(): Promise<Policy> {
    const { allow, block } = await this.#ask("softnet.policy.get", {});
    const { limits } = await this.#ask("softnet.limits.get", {});
    const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
    return { allow: texts(allow), block: texts(block), limits: texts(limits) };
  }

  /**
   * Puts a policy into force, unless it is. `wanted` is called when its turn has come, so that of many changes only the last one
   * is set. What refuses it is kept for `state`. Resolves with whether it was put into force, or refused.
   */
  apply(wanted: () => Wanted): Promise<"changed" | "refused" | "kept"> {
    const done = this.#busy.then(async () => {
      const { policy, revision, key } = wanted();
      if (policy === undefined || this.#inForce === revision) return "kept";
      try {
        if (policy instanceof UserError) throw policy;
        const { allow, block, limits } = policy;
        const isolation = "keep"; // decided at its start; a policy for many does not know
        await this.#ask("softnet.policy.set", { allow, block, isolation, desiredRevision: revision });
        await this.#ask("softnet.limits.set", { limits });
        this.#inForce = revision;
        this.#document = key;
        this.#since = new Date().toISOString();
        this.#error = undefined;
        return "changed";
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        this.#error = error.message;
        return "refused";
      }
    });
    this.#busy = done.then(
      () => {},
      () => {},
    );
    return done;
  }

  /** Answers a question from the fleet. Throws UserError. */
  question(method: unknown, params: unknown): Promise<Answer> {
    if (typeof method !== "string" || !QUESTIONS.includes(method)) {
      throw new UserError(`only ${QUESTIONS.join(", ")} may be asked through the fleet`);
    }
    return this.#ask(method, typeof params === "object" && params !== null ? params : {});
  }

  /**
   * Passes on events until the softnet ends or `close` is called. Returns whether it has ended: then another one that listens there has
   * nothing of the fleet's in force. False too where it has no room for one more who hears events.
   */
  async follow(tell: (event: Answer) => void): Promise<boolean> {
    if (this.#events !== undefined) return false;
    let hears = false;
    try {
      this.#events = await ControlClient.connect(this.path);
      await this.#events.ask("softnet.events");
      hears = true;
      for (;;) tell(await this.#events.event());
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
    } finally {
      this.#events?.close();
      this.#events = undefined;
    }
    if (hears) this.#forget();
    return hears;
  }

  close(): void {
    this.#line.close();
    this.#events?.close();
  }

  #forget(): void {
    this.#inForce = 0;
    this.#document = undefined;
    this.#since = undefined;
    this.#error = undefined;
  }

  async #ask(method: string, params: object): Promise<Answer> {
    const asked = await this.#line.ask(method, params);
    if ("answer" in asked) return asked.answer;
    throw new UserError(asked.error);
  }
}
