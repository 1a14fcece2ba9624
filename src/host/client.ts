/**
 * A softnet's end of its connection to the host's helper (helper.ts). Changes of policy go out one at a time, and of those
 * that wait only the newest is kept, so that nothing grows however fast they come.
 *
 * The helper's first message brings the socket that owns the table with all VMs' rules. This process holds two copies of
 * it, one with a lower number than the TAP's descriptor and one with a higher: however it is killed, and in whatever order
 * the kernel closes its descriptors then, the TAP goes before the rules.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Lines, TOO_LONG } from "../control/lines.ts";
import { Outgoing } from "../control/outgoing.ts";
import { receiveDescriptor } from "../native/linux/descriptor-passing.ts";
import { F_DUPFD_CLOEXEC, type LinuxLibc } from "../native/linux/libc.ts";
import { Poll } from "../native/poll.ts";
import { UnixStream } from "../ports/unix-stream.ts";
import { UserError } from "../user-error.ts";
import {
  type AttachedRequest,
  type AttachRequest,
  type ChangeRequest,
  encode,
  type OpenRequest,
  parseReply,
  type Reply,
  type Request,
  type ReserveRequest,
  type Route6,
} from "./messages.ts";
import { connectToHelper } from "./start.ts";

/** Milliseconds for a reply: with many softnets that start at once, the last one waits for all others. */
const TIMEOUT = 60_000;
const ATTEMPTS = 5;

export class HostHelper {
  /** Called once, when the helper is gone before `close`. */
  onLost: (why: string) => void = () => {};
  /** Called when a change is not taken. */
  onRefusal: (why: string) => void = () => {};
  /** Called with all that is wrong on the host at present, whenever that changes. */
  onNotices: (notices: readonly string[]) => void = () => {};
  /** Called with what happened on the host. */
  onEvent: (event: string) => void = () => {};
  /** Called with what becomes of IPv6 behind the host: once the VM is open, and whenever that changes. */
  onRoute6: (route: Omit<Route6, "kind">) => void = () => {};
  readonly #libc: LinuxLibc;
  readonly #stream: UnixStream;
  /** Copies of the table's owner. */
  readonly #owners: number[];
  readonly #lines = new Lines();
  readonly #outgoing = new Outgoing();
  #waiting: { readonly resolve: (reply: Reply) => void; readonly deadline: NodeJS.Timeout } | undefined;
  /** The newest change of each kind that waits for the one under way. */
  readonly #next = new Map<Request["kind"], () => Request>();
  #changing = false;
  #lost: string | undefined;
  #closed = false;

  /** Connects to the helper, or starts it. `directory`: the registry's. Throws UserError. */
  static async connect(libc: LinuxLibc, directory: string): Promise<HostHelper> {
    for (let attempt = 1; ; attempt++) {
      const fd = await connectToHelper(libc, directory);
      await readable(fd);
      const owner = receiveDescriptor(libc, fd);
      if (owner !== undefined) return new HostHelper(libc, fd, owner);
      const why = failureOf(libc, fd);
      if (why !== undefined || attempt === ATTEMPTS) {
        throw new UserError(`the VM's network cannot be made: ${why ?? "the host's helper ends at once"}`);
      }
      await sleep(100); // it was about to end
    }
  }

  private constructor(libc: LinuxLibc, fd: number, owner: number) {
    this.#libc = libc;
    this.#owners = [owner];
    this.#stream = new UnixStream(libc, fd);
    this.#stream.watch(true, false, this.#wake);
  }

  /** The lowest of the descriptors that keep the table. */
  get owner(): number {
    return this.#owners[0]!;
  }

  /** Reserves a subnet. Throws UserError. */
  async reserve(request: Omit<ReserveRequest, "kind">): Promise<Reply> {
    return await this.#ask({ kind: "reserve", ...request });
  }

  /** To be called when the TAP is open: from now on its rules stand. Throws UserError. */
  async open(request: Omit<OpenRequest, "kind">): Promise<void> {
    const copy = this.#libc.fcntl(this.#owners[0]!, F_DUPFD_CLOEXEC, "int", this.#owners[0]! + 1);
    if (copy >= 0) this.#owners.push(copy);
    await this.#ask({ kind: "open", ...request });
  }

  /** Says something of an attached interface, one thing after the other. Throws UserError. */
  async attached(request: AttachRequest | AttachedRequest): Promise<void> {
    await this.#ask(request);
  }

  /** Other reach. `reach` is called when its turn comes, if no newer change has come by then. Never throws. */
  change(reach: () => Omit<ChangeRequest, "kind">): void {
    this.#next.set("change", () => ({ kind: "change", ...reach() }));
    if (!this.#changing) void this.#change();
  }

  /** The IPv6 address that exposed ports lead to; undefined: none. Never throws. */
  followAddress6(address: bigint | undefined): void {
    this.#next.set("address6", () => ({ kind: "address6", ...(address !== undefined && { address }) }));
    if (!this.#changing) void this.#change();
  }

  /** The TAP is closed: the helper cleans up. Harmless when called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#waiting?.deadline);
    this.#stream.close();
    for (const fd of this.#owners) this.#libc.close(fd);
  }

  async #change(): Promise<void> {
    this.#changing = true;
    try {
      for (const [kind, request] of this.#next) {
        if (this.#closed) return;
        this.#next.delete(kind);
        await this.#ask(request());
      }
    } catch (error) {
      if (!this.#closed) this.onRefusal(`a change of policy is not taken: ${(error as Error).message}`);
    } finally {
      this.#changing = false;
    }
  }

  async #ask(request: Request): Promise<Reply> {
    if (this.#lost !== undefined) throw new UserError(this.#lost);
    if (this.#closed) throw new UserError("softnet is ending"); // a deadline would keep the process alive
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const deadline = setTimeout(() => this.#lose("the host's helper gives no reply"), TIMEOUT);
    this.#waiting = { resolve, deadline };
    this.#outgoing.add(encode(request).toString());
    this.#flush();
    const { error, ...reply } = await promise;
    if (error !== undefined) throw new UserError(error);
    return reply;
  }

  readonly #wake = (readable: boolean): void => {
    if (this.#closed) return;
    try {
      if (readable) this.#receive();
      this.#flush();
      if (!this.#closed && this.#stream.check()) this.#lose("the host's helper has ended");
    } catch (error) {
      this.#lose(`the host's helper cannot be reached: ${(error as Error).message}`);
    }
  };

  #receive(): void {
    const bytes = this.#stream.receive();
    if (bytes === undefined) {
      this.#lose("the host's helper has ended");
      return;
    }
    this.#lines.push(bytes);
    while (!this.#closed && this.#lines.waiting) {
      const line = this.#lines.next();
      const message = line === TOO_LONG ? undefined : parseReply(line);
      if (message?.kind === "notices") this.onNotices(message.notices);
      else if (message?.kind === "event") this.onEvent(message.event);
      else if (message?.kind === "route6") this.onRoute6(message);
      else if (message !== undefined) this.#resolve(message);
    }
  }

  #resolve(reply: Reply): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    clearTimeout(waiting?.deadline);
    setImmediate(() => waiting?.resolve(reply)); // a watch's callback does not run what is awaited (native/poll.ts)
  }

  #flush(): void {
    if (this.#closed || this.#lost !== undefined) return;
    this.#outgoing.flush((bytes) => this.#stream.send(bytes));
    this.#stream.watch(true, this.#outgoing.length > 0, this.#wake);
  }

  /** Nothing can be changed any more. The rules stand as long as this process holds the table's owner. */
  #lose(why: string): void {
    if (this.#closed || this.#lost !== undefined) return;
    this.#lost = why;
    this.#stream.watch(false, false, this.#wake);
    this.#resolve({ kind: "reply", error: why });
    this.onLost(why);
  }
}

/** Waits until there is something to read, or the other end is closed. */
async function readable(fd: number): Promise<void> {
  const poll = new Poll(fd);
  const { promise, resolve } = Promise.withResolvers<void>();
  const deadline = setTimeout(resolve, TIMEOUT);
  poll.watch(true, false, () => setImmediate(resolve));
  await promise;
  clearTimeout(deadline);
  poll.close();
}

/** What a helper that could not start says, then closes the socket. */
function failureOf(libc: LinuxLibc, fd: number): string | undefined {
  const stream = new UnixStream(libc, fd);
  try {
    const bytes = stream.receive();
    const reply = bytes === undefined ? undefined : parseReply(bytes.subarray(0, bytes.length - 1));
    return reply?.kind === "reply" ? reply.error : undefined;
  } catch {
    return undefined;
  } finally {
    stream.close();
  }
}
