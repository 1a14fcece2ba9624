/**
 * The VM's port of a softnet that is attached to an interface. It watches the interface by the kernel's own messages: what
 * takes the interface away ends the port, with one line that says what it was; what changes it otherwise is reported.
 */
import { hookNetwork, seemsHooked } from "../lane/hooks.ts";
import type { LaneMemory } from "../lane/lane-memory.ts";
import { discardLane, type LoadedLane } from "../lane/relay-tap.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { LinkEvents, RTMGRP_TC } from "../native/linux/link-events.ts";
import { type Link, Links } from "../native/linux/links.ts";
import { TapPort } from "../ports/tap.ts";
import { EGRESS } from "../relay/direction.ts";
import { PortClosed } from "../relay/port.ts";
import type { Attachment } from "./attachment.ts";

/** What acts with rights that softnet has given up: the host's helper. */
export interface InterfaceHelper {
  /** From now on the interface is put back only where the user wants that. */
  start(): Promise<void>;
  /** Puts the interface back where it was. */
  detach(): Promise<void>;
  /** Takes the interface off a bridge. */
  unbridge(): Promise<void>;
  close(): void;
}

export interface AttachedPortOptions {
  readonly attachment: Attachment;
  /** It may take a while to come: nothing waits for it but `ready`. */
  readonly helper: Promise<InterfaceHelper>;
  /** The bridge on which softnet's own TAP takes the interface's place. */
  readonly bridge?: string;
  /** Tells what the user should know. */
  readonly warn: (message: string) => void;
}

/** Times that another program may put the interface into a bridge, within the life of a softnet, and it is taken out again. */
const MOST_UNBRIDGINGS = 100;

export class AttachedPort extends TapPort {
  /** Whether softnet ends as it was asked to, or because the VM is gone. */
  endsInOrder = false;
  /** The interface is no more, so the VM is not, as far as softnet can know. */
  isGone = false;
  readonly bridge: string | undefined;
  readonly #libc: LinuxLibc;
  readonly #options: AttachedPortOptions;
  readonly #links: Links;
  #seen: Link;
  /** For softnet's TAP on the bridge, six bytes in hexadecimal: the bridge's own address was the interface's. */
  readonly bridgeAddress: string | undefined;
  #unbridgings = 0;
  #started = false;
  #closed = false;
  /** What `joinNetwork` makes the express lane of. */
  #lane: LoadedLane | string;

  constructor(libc: LinuxLibc, options: AttachedPortOptions) {
    const { attachment, warn } = options;
    const links = new Links(libc);
    const inspect = (): void => this.#inspect();
    super(
      libc,
      `attach ${attachment.name}`,
      attachment.tap,
      EGRESS,
      inspect,
      LinkEvents.open(libc, attachment.index, RTMGRP_TC),
    );
    this.#libc = libc;
    this.#options = options;
    this.bridge = options.bridge;
    this.#lane = attachment.lane;
    this.bridgeAddress = attachment.bridgeAddress;
    if (attachment.bridgeAddress !== undefined) {
      warn(
        `the bridge has its MAC address from ${attachment.name}, and another one when softnet ends; "ip link set BRIDGE address MAC" gives it one that stays`,
      );
    }
    this.#links = links;
    this.#seen = this.#look();
    for (const end of attachment.others) {
      warn(`other programs are at the ${end} of ${attachment.name} too: they stand behind softnet's, and see nothing`);
    }
  }

  /** The number that softnet's TAP on the VM's network must have, if there is one. */
  get networkIndex(): number {
    return this.#options.attachment.networkIndex;
  }

  /**
   * To be called once, as root, when the network is open: the express lane sees what its TAP sends from then on. Returns the
   * memory through which softnet tells the lane what it may pass, which the caller frees; or why there is no lane.
   */
  joinNetwork(): LaneMemory | string {
    const lane = this.#lane;
    if (typeof lane === "string") return lane;
    try {
      if (this.#links.byIndex(this.networkIndex) === undefined)
        throw new Error("no TAP of softnet's is on the network");
      hookNetwork(this.#libc, this.networkIndex, lane.fromNetwork);
    } catch (error) {
      this.#discardLane((error as Error).message);
      return (error as Error).message;
    }
    this.#libc.close(lane.fromNetwork);
    this.#lane = "it is the session's";
    return lane.memory;
  }

  #discardLane(why: string): void {
    discardLane(this.#libc, this.#lane);
    this.#lane = why;
  }

  /** To be awaited while the process is root. Rejects with UserError. */
  async ready(): Promise<void> {
    await this.#options.helper;
  }

  /** To be awaited before the first frame. Rejects with UserError. */
  async start(): Promise<void> {
    const helper = await this.#options.helper;
    await helper.start();
    this.#started = true;
  }

  /** The interface leads nowhere from then on; or it is put back, where the user wants that, or nothing has begun. */
  override async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { attachment, warn } = this.#options;
    const helper = await this.#options.helper.catch(() => undefined); // that there is none was said by `ready`
    const wanted = !this.#started || (this.endsInOrder && attachment.record.openOnExit);
    try {
      if (wanted && process.geteuid!() === 0) attachment.undo();
      else if (wanted) await helper?.detach();
    } catch (error) {
      warn(`${(error as Error).message}; "softnet detach ${attachment.name}" as root tries it again`);
    } finally {
      super.close();
      this.#discardLane("closed");
      this.#links.close();
      attachment.unlock();
      helper?.close();
    }
  }

  /** Throws PortClosed when the interface is gone, Error when it cannot be kept. */
  #inspect(): void {
    const before = this.#seen;
    const { attachment, warn } = this.#options;
    const now = this.#look();
    this.#seen = now;
    if (this.#closed) return; // what changes now is that softnet puts it back
    if (now.name !== before.name) warn(`${before.name} is called ${now.name} now`);
    if (now.mtu !== before.mtu) warn(`${now.name} has an MTU of ${now.mtu} now, before it was ${before.mtu}`);
    if (now.isUp !== before.isUp) warn(now.isUp ? `${now.name} is up again` : `${now.name} is down: nothing passes`);
    if (now.master !== 0 && now.master !== before.master) this.#unbridge(now);
    if (!seemsHooked(this.#libc, attachment.index, attachment.record.hooked[0]!)) {
      throw new Error(`softnet's programs were taken away from ${now.name}: it is closed`);
    }
  }

  #look(): Link {
    const { name, index } = this.#options.attachment;
    const link = this.#links.byIndex(index);
    if (link !== undefined) return link;
    this.isGone = true;
    throw new PortClosed(this.label, `${name} was deleted, or moved to another network namespace`);
  }

  /** Meanwhile nothing passes between it and the bridge: the programs stand before that, at both ends. */
  #unbridge({ name }: Link): void {
    const { helper, warn } = this.#options;
    if (++this.#unbridgings > MOST_UNBRIDGINGS) throw new Error(`${name} is put into a bridge again and again`);
    warn(`another program put ${name} into a bridge: it is taken out again`);
    helper
      .then((one) => one.unbridge())
      .catch((error: Error) => warn(`${name} stays a bridge's port, to which nothing passes: ${error.message}`));
  }
}
