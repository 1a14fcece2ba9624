/** Controllers of a policy without a softnet around them, and the far end of a channel as a controller holds it. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import koffi from "koffi";
import { Controllers } from "../../src/control/controllers.ts";
import { Events } from "../../src/control/events.ts";
import { LivePolicy, type PolicyLists } from "../../src/control/live-policy.ts";
import type { ControlTarget } from "../../src/control/methods.ts";
import { EAGAIN } from "../../src/native/linux/errno.ts";
import { SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { parseRules, type Rule } from "../../src/policy/rule.ts";
import { UnixStream } from "../../src/ports/unix-stream.ts";
import { until } from "../support/running.ts";
import { type End, libc, pair } from "../support/sockets.ts";

const shutdown = koffi.load(null).func("int shutdown(int fd, int how)");
const SHUT_WR = 1;

export interface House {
  readonly controllers: Controllers;
  readonly target: ControlTarget;
  /** Every policy that was put in force, as rules. */
  readonly applied: (readonly Rule[])[];
  /** Why channels broke. */
  readonly broken: string[];
  readonly faults: unknown[];
}

/** `onApply` is called for each policy that is put in force. */
export function house(
  t: TestContext,
  lists: PolicyLists = { allow: [], block: [] },
  onApply: () => void = () => {},
): House {
  const applied: (readonly Rule[])[] = [];
  const broken: string[] = [];
  const faults: unknown[] = [];
  const target: ControlTarget = {
    policy: new LivePolicy(parseRules(lists.allow, lists.block), (rules) => {
      applied.push(rules);
      onApply();
    }),
    events: new Events((direction, verdict) => ({ direction, verdict })),
    isolated: true,
    status: () => ({ version: "0" }),
    explain: () => ({ verdict: "pass" }),
    names: () => [],
    explainName: () => ({}),
    turnLane: () => "this test has none",
    limits: () => ({ limits: [] }),
    setLimits: () => {},
  };
  const controllers = new Controllers({
    target,
    onBroken: (why) => broken.push(why),
    onFault: (error) => faults.push(error),
  });
  const tick = setInterval(() => controllers.check(performance.now() * 1000), 50);
  t.after(() => {
    clearInterval(tick);
    controllers.close();
  });
  return { controllers, target, applied, broken, faults };
}

/** A controller: it sends bytes and reads lines. */
export class Controller {
  readonly end: End;
  #text = "";
  /** Nothing more comes: softnet has closed. */
  ended = false;

  constructor(t: TestContext, end: End) {
    this.end = end;
    t.after(() => end.close());
  }

  /** Connected to the inherited channel of a house. */
  static inherited(t: TestContext, { controllers }: House): Controller {
    const { fd, end } = pair(SOCK_STREAM);
    controllers.inherit(new UnixStream(libc, fd));
    return new Controller(t, end);
  }

  /** Connected as a client of the socket. */
  static client(t: TestContext, { controllers }: House): Controller {
    const { fd, end } = pair(SOCK_STREAM);
    controllers.admit(new UnixStream(libc, fd));
    return new Controller(t, end);
  }

  /** Sends all of it, while the other side reads. */
  async send(what: string | Uint8Array): Promise<void> {
    const bytes = Buffer.from(what);
    for (let sent = 0; sent < bytes.length; ) {
      const piece = this.end.send(bytes.subarray(sent, sent + 65_536));
      if (piece > 0) sent += piece;
      else if (piece !== -EAGAIN) throw new Error(`send: error ${-piece}`);
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Ends its own direction only. */
  halfClose(): void {
    assert.equal(shutdown(this.end.fd, SHUT_WR), 0);
  }

  /** The next lines, as they came but for the newline. */
  async lines(count: number): Promise<string[]> {
    await until(`${count} lines`, () => this.#read(count));
    const all = this.#text.split("\n");
    this.#text = all.slice(count).join("\n");
    return all.slice(0, count).map((line) => Buffer.from(line, "latin1").toString());
  }

  async line(): Promise<string> {
    return (await this.lines(1))[0]!;
  }

  /** Sends one line and answers the next that comes. */
  async ask(what: string): Promise<string> {
    await this.send(`${what}\n`);
    return await this.line();
  }

  /** Waits for softnet to close the channel; answers what came before. */
  async closing(): Promise<string> {
    await until("the end", () => {
      this.#read(Number.POSITIVE_INFINITY);
      return this.ended;
    });
    return this.#text;
  }

  /** Asserts that nothing has come that was not read. */
  async quiet(): Promise<void> {
    const mark = await this.ask('{"jsonrpc":"2.0","id":"mark","method":"softnet.nothing"}');
    assert.match(mark, /"id":"mark"/);
  }

  #read(count: number): boolean {
    for (;;) {
      if (this.#text.split("\n", count + 1).length > count) return true;
      let piece: Buffer | undefined;
      try {
        piece = this.end.receive();
      } catch {
        this.ended = true; // reset: closed with something unread
      }
      if (piece === undefined) return false;
      if (piece.length === 0) this.ended = true;
      if (this.ended) return false;
      this.#text += piece.toString("latin1");
    }
  }
}
