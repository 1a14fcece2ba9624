/**
 * The VM's IPv6 addresses and how they begin and end (docs/guard-ipv6.md, Addresses; RFC 6620, RFC 7513):
 *
 *   nothing   → tentative   the VM's duplicate address detection, or softnet's question for it, passes
 *   tentative → valid       500 ms later (of a question: after it was sent)
 *   tentative → nothing     somebody else shows that he has it
 *   valid     → nothing     by SLAAC: unused for 300 s, or 303 s where it is probed first; by DHCPv6: with its lease, which
 *                           leaves it a former address
 *
 * They are in 20 places, link-local ones in the first 4: what is compared per frame is numbers, and flows know an address
 * by its place.
 */
import { addressOfWords, wordOf, wordsOf } from "../../wire/ipv6-address.ts";
import { isInLinkLocalPrefix } from "../../wire/ipv6-words.ts";
import type { IPv6Observer } from "../flow-observer.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { TokenBucket } from "../token-bucket.ts";
import type { BindingChange, BindingEnd, BoundIPv6Address, IPv6Lease } from "../types.ts";
import { type AddressEntry, boundOf, isWaiting, NEVER } from "./address-entry.ts";
import { AddressPlaces, FIRST_OTHER, FREE, PLACES, TENTATIVE, VALID } from "./address-places.ts";
import { FormerAddresses } from "./former-addresses.ts";
import { NO_PLACE } from "./own-places.ts";

const HELD = verdictOf("nd.address-held");
const RATE = verdictOf("nd.address-rate");
const FULL = verdictOf("nd.address-full");

/** RFC 6620: TENT_LT, DEFAULT_LT; microseconds. */
const TENTATIVE_TIME = 500_000;
const IDLE_TIME = 300_000_000;
const PROBE_SPACING = 1_000_000;
const PROBES = 3;

const NEW_PER_SECOND = 1;
const NEW_BURST = 32;
const MOST_QUESTIONS = 4;

const LONG_AGO = Number.NEGATIVE_INFINITY;
const UNTOLD = -1;

/** What the family does when addresses change. */
export interface AddressEvents {
  changed(change: BindingChange): void;
  /** The address in a place has ended, valid or not; its words are still there. */
  ended(place: number): void;
}

export interface AddressOptions {
  /** The static address; undefined = none. */
  readonly staticAddress: bigint | undefined;
  /** softnet's questions and probes are sent. */
  readonly asks: boolean;
  readonly heldElsewhere: ((address: bigint) => boolean) | undefined;
  readonly clock: Float64Array;
  readonly events: AddressEvents;
  /** Passes packets of these addresses, too: it is told their ends, and asked about their use. */
  readonly observer?: IPv6Observer | undefined;
}

export class Addresses extends AddressPlaces {
  readonly #entries: (AddressEntry | undefined)[] = new Array<AddressEntry | undefined>(PLACES).fill(undefined);
  readonly #lastUsed = new Float64Array(PLACES);
  /** Probes sent since then. */
  readonly #probes = new Uint8Array(PLACES);
  readonly #observer: IPv6Observer | undefined;
  /** When the observer believes that the address ends; UNTOLD = it knows none. */
  readonly #told = new Float64Array(PLACES).fill(UNTOLD);
  /** Until when what is known of the network holds, in place 0: the observer passes nothing later, unless it is told anew. */
  readonly #trusted = Float64Array.of(NEVER);
  /** When something ends or becomes valid, or earlier, in place 0. */
  readonly #due = Float64Array.of(NEVER);
  readonly #bucket = new TokenBucket(NEW_PER_SECOND, NEW_BURST);
  readonly #former = new FormerAddresses();
  readonly #options: AddressOptions;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  #count = 0;
  #noted = 0;

  constructor(options: AddressOptions) {
    super();
    this.#options = options;
    this.#clock = options.clock;
    this.#observer = options.observer;
    const { staticAddress } = options;
    if (staticAddress === undefined) return;
    this.#put(FIRST_OTHER, staticAddress, "static");
    this.states[FIRST_OTHER] = VALID;
    this.#refresh();
  }

  /** Whether the VM has a tentative or valid address. */
  get hasAny(): boolean {
    return this.#count > 0;
  }

  /** The valid ones. */
  get bound(): readonly BoundIPv6Address[] {
    return this.#entries.flatMap((entry, place) =>
      entry !== undefined && this.states[place] === VALID ? [boundOf(entry)] : [],
    );
  }

  /** Whether it was the VM's until its lease was over, and is not again. */
  isFormer(words: Int32Array): boolean {
    return this.#former.has(words);
  }

  /** Whether softnet alone has asked for it. */
  isAsked(place: number): boolean {
    return this.states[place] === TENTATIVE && this.#entries[place]!.asked;
  }

  /** When the VM's last duplicate address detection for it was. */
  detectedAt(place: number): number {
    return this.#entries[place]!.detected;
  }

  /** The address in a place, or undefined where it is not one that DHCPv6 gave. */
  leaseOf(place: number): IPv6Lease | undefined {
    return this.#entries[place]!.lease;
  }

  originOf(place: number): BoundIPv6Address["origin"] {
    return this.#entries[place]!.origin;
  }

  /** A frame from the address has passed, or an advertisement of it. */
  use(place: number): void {
    this.#lastUsed[place] = this.#clock[0]!;
    this.#probes[place] = 0;
  }

  /** Whether another VM of this host holds an address; may do I/O. What goes wrong there counts as held. */
  isHeldElsewhere(address: bigint): boolean {
    const { heldElsewhere } = this.#options;
    if (heldElsewhere === undefined) return false;
    try {
      return heldElsewhere(address);
    } catch {
      return true;
    }
  }

  /** The VM's duplicate address detection is about to pass for an address that it does not have yet: PASS or a reason. */
  admit(words: Int32Array): number {
    const address = addressOfWords(words[0]!, words[1]!, words[2]!, words[3]!);
    if (this.isHeldElsewhere(address)) return HELD;
    if (!this.#bucket.has(this.#clock[0]!)) return RATE;
    return this.#placeFor(words) === NO_PLACE ? FULL : PASS;
  }

  /** The VM's duplicate address detection has passed; `admit` said PASS where the address is not there. */
  detect(words: Int32Array): void {
    const now = this.#clock[0]!;
    let place = this.find(words);
    if (place === NO_PLACE) {
      this.#bucket.take(now);
      place = this.#begin(words, false);
    }
    const entry = this.#entries[place]!;
    entry.detected = now;
    if (!entry.asked || this.states[place] !== TENTATIVE) return;
    // From now on it is the VM that asks: what the network says about it is for the VM.
    entry.asked = false;
    if (entry.since === NEVER) entry.since = now;
    this.#refresh();
  }

  /**
   * softnet itself asks whether somebody has an address that the VM seems to use. A hostile VM must not make it look into
   * the registry for each frame, so its token is taken before.
   */
  ask(words: Int32Array): void {
    if (!this.#options.asks || this.#waiting() === MOST_QUESTIONS) return;
    if (!this.#bucket.has(this.#clock[0]!) || this.#placeFor(words) === NO_PLACE) return;
    this.#bucket.take(this.#clock[0]!);
    if (this.isHeldElsewhere(addressOfWords(words[0]!, words[1]!, words[2]!, words[3]!))) return;
    this.#begin(words, true);
  }

  /** Whether a question waits to be sent. */
  get hasQuestion(): boolean {
    return this.#waiting() > 0;
  }

  /** The address of the question that has waited longest, which counts as sent; undefined = none waits. */
  takeQuestion(): bigint | undefined {
    let first: AddressEntry | undefined;
    for (const entry of this.#entries) {
      if (entry === undefined || !isWaiting(entry)) continue;
      if (first === undefined || entry.order < first.order) first = entry;
    }
    if (first === undefined) return undefined;
    first.since = this.#clock[0]!;
    this.#refresh();
    return first.address;
  }

  #waiting(): number {
    let waiting = 0;
    for (const entry of this.#entries) if (entry !== undefined && isWaiting(entry)) waiting++;
    return waiting;
  }

  /** When the next probe is due, microseconds; Infinity = none is. */
  get probeDue(): number {
    let due = NEVER;
    for (let place = 0; place < PLACES; place++) due = Math.min(due, this.#probeTime(place));
    return due;
  }

  /** The address that the VM is to be asked about now, which counts as asked about; undefined = none. */
  takeProbe(): bigint | undefined {
    const now = this.#clock[0]!;
    for (let place = 0; place < PLACES; place++) {
      // What was asked about often enough is asked again only once it was used.
      if (this.#probeTime(place) <= now || this.#probes[place] === PROBES) this.#collect(place);
      if (!(this.#probeTime(place) <= now)) continue;
      this.#probes[place]!++;
      return this.#entries[place]!.address;
    }
    return undefined;
  }

  #probeTime(place: number): number {
    const sent = this.#probes[place]!;
    if (!this.#options.asks || sent === PROBES || !this.#isBySlaac(place)) return NEVER;
    return this.#lastUsed[place]! + IDLE_TIME + sent * PROBE_SPACING;
  }

  #isBySlaac(place: number): boolean {
    return this.states[place] === VALID && this.#entries[place]!.origin === "slaac";
  }

  /** How many of these addresses, each of which is not there yet, could have a place at once if `kept` stay. */
  roomBeside(kept: readonly number[]): number {
    let room = 0;
    for (let place = FIRST_OTHER; place < PLACES; place++) {
      const entry = this.#entries[place];
      if (entry === undefined || (entry.origin === "slaac" && !kept.includes(place))) room++;
    }
    return room;
  }

  /** A REPLY gives an address; `roomBeside` said that there is a place. `keep`: places that this REPLY gave as well. */
  give(words: Int32Array, lease: IPv6Lease, expiry: number, keep: readonly number[]): number {
    let place = this.find(words);
    if (place === NO_PLACE) {
      place = this.#placeFor(words, keep);
      this.#clear(place, "replaced");
      this.#put(place, addressOfWords(words[0]!, words[1]!, words[2]!, words[3]!), "dhcpv6");
    }
    const entry = this.#entries[place]!;
    if (entry.origin === "static") return place;
    const renews = this.states[place] === VALID;
    entry.origin = "dhcpv6";
    entry.asked = false;
    entry.expiry = expiry;
    entry.lease = lease;
    this.states[place] = VALID;
    this.use(place);
    this.#refresh();
    this.#options.events.changed({ kind: renews ? "renewed" : "learned", bound: boundOf(entry) });
    return place;
  }

  /** Ends the address in a place. */
  end(place: number, why: BindingEnd): void {
    this.#clear(place, why);
    this.#refresh();
  }

  /** Takes an address of before, without telling, as used last at `time`; false where there is no place. */
  restore({ address, origin, expiry, lease }: BoundIPv6Address, time: number): boolean {
    const words = wordsOf(address);
    if (this.find(words) !== NO_PLACE) return false;
    const linkLocal = isInLinkLocalPrefix(words);
    const place = this.states.indexOf(FREE, linkLocal ? 0 : FIRST_OTHER);
    if (place < 0 || (linkLocal && place >= FIRST_OTHER)) return false;
    this.#put(place, address, origin);
    this.states[place] = VALID;
    this.#lastUsed[place] = time;
    const entry = this.#entries[place]!;
    if (origin === "dhcpv6") {
      entry.expiry = expiry;
      entry.lease = lease;
    }
    this.#refresh();
    return true;
  }

  /** The clock was moved: what is over ends, in the order of its time. */
  advance(): void {
    const now = this.#clock[0]!;
    if (now < this.#due[0]!) return;
    this.#collectAll();
    for (;;) {
      const place = this.#nextEvent();
      if (place === NO_PLACE || this.#eventTime(place) > now) break;
      if (this.states[place] === TENTATIVE) this.#becomeValid(place);
      else this.#expire(place);
    }
    this.#refresh();
  }

  /** When `advance` has something to do, microseconds; Infinity = never. */
  get deadline(): number {
    const place = this.#nextEvent();
    return place === NO_PLACE ? NEVER : this.#eventTime(place);
  }

  #refresh(): void {
    this.#due[0] = this.deadline;
    this.#tellAll();
  }

  /** What packets are judged by beside rules and addresses is another thing from this time on, or earlier if that is said. */
  trustNetwork(until: number): void {
    this.#trusted[0] = until;
    this.#tellAll();
  }

  #tellAll(): void {
    if (this.#observer === undefined) return;
    for (let place = 0; place < PLACES; place++) if (this.states[place] === VALID) this.#tell(place, this.#observer);
  }

  /** Tells the observer when an address ends, unless it is used meanwhile: at `due`, or earlier, that is told anew. */
  #tell(place: number, observer: IPv6Observer): void {
    const { origin, expiry } = this.#entries[place]!;
    // A link-local one that is alone stays; beside a tentative one it may end as soon as that is valid.
    const stays = place < FIRST_OTHER && this.#isOnlyLinkLocal(place);
    const own = origin !== "slaac" ? expiry : stays ? NEVER : this.#idleEnd(place);
    const end = Math.min(own, this.#trusted[0]!);
    if (end < this.#due[0]!) this.#due[0] = end;
    if (this.#told[place] === end) return;
    this.#told[place] = end;
    observer.bind(place, this.words, 4 * place, end);
  }

  #isOnlyLinkLocal(place: number): boolean {
    for (let other = 0; other < FIRST_OTHER; other++) {
      if (other !== place && this.#entries[other] !== undefined) return false;
    }
    return true;
  }

  /** What the observer has passed from an address counts as its use, too. */
  #collect(place: number): void {
    if (this.#told[place] === UNTOLD) return;
    const used = this.#observer!.lastUsed(place);
    if (!(used > this.#lastUsed[place]!)) return;
    this.#lastUsed[place] = used;
    this.#probes[place] = 0;
  }

  #collectAll(): void {
    if (this.#observer === undefined) return;
    for (let place = 0; place < PLACES; place++) this.#collect(place);
  }

  /** The place that something happens to first; of several at the same time the one noted first. */
  #nextEvent(): number {
    let next = NO_PLACE;
    for (let place = 0; place < PLACES; place++) {
      const entry = this.#entries[place];
      if (entry === undefined || this.#eventTime(place) === NEVER) continue;
      if (next === NO_PLACE || this.#isBefore(this.#eventTime(place), entry, next, this.#eventTime(next))) next = place;
    }
    return next;
  }

  #isBefore(time: number, entry: AddressEntry, other: number, otherTime: number): boolean {
    return time === otherTime ? entry.order < this.#entries[other]!.order : time < otherTime;
  }

  #eventTime(place: number): number {
    const entry = this.#entries[place]!;
    if (this.states[place] === TENTATIVE) return entry.since + TENTATIVE_TIME;
    if (entry.origin !== "slaac") return entry.expiry;
    if (place < FIRST_OTHER && this.#isLastLinkLocal(place)) return NEVER;
    return this.#idleEnd(place);
  }

  #idleEnd(place: number): number {
    return this.#lastUsed[place]! + IDLE_TIME + (this.#options.asks ? PROBES * PROBE_SPACING : 0);
  }

  #isLastLinkLocal(place: number): boolean {
    for (let other = 0; other < FIRST_OTHER; other++) {
      if (other !== place && this.states[other] === VALID) return false;
    }
    return true;
  }

  #becomeValid(place: number): void {
    const entry = this.#entries[place]!;
    this.states[place] = VALID;
    this.#lastUsed[place] = Math.max(this.#lastUsed[place]!, entry.since + TENTATIVE_TIME);
    entry.asked = false;
    this.#options.events.changed({ kind: "learned", bound: boundOf(entry) });
  }

  #expire(place: number): void {
    if (this.#entries[place]!.origin === "dhcpv6") this.#former.add(this.words, 4 * place);
    this.#clear(place, "expired");
  }

  #begin(words: Int32Array, asked: boolean): number {
    const now = this.#clock[0]!;
    const place = this.#placeFor(words);
    this.#clear(place, "replaced");
    this.#put(place, addressOfWords(words[0]!, words[1]!, words[2]!, words[3]!), "slaac");
    this.states[place] = TENTATIVE;
    this.#lastUsed[place] = now;
    const entry = this.#entries[place]!;
    entry.asked = asked;
    entry.since = asked ? NEVER : now;
    this.#refresh();
    return place;
  }

  /** A free place for an address, or that of the one unused for longest; NO_PLACE where those there are stay. */
  #placeFor(words: Int32Array, keep: readonly number[] = []): number {
    this.#collectAll();
    const linkLocal = isInLinkLocalPrefix(words);
    let oldest = NO_PLACE;
    const end = linkLocal ? FIRST_OTHER : PLACES;
    for (let place = linkLocal ? 0 : FIRST_OTHER; place < end; place++) {
      const entry = this.#entries[place];
      if (entry === undefined) return place;
      if (entry.origin !== "slaac" || keep.includes(place)) continue;
      const used = this.#lastUsed[place]!;
      if (oldest === NO_PLACE || this.#isBefore(used, entry, oldest, this.#lastUsed[oldest]!)) oldest = place;
    }
    return oldest;
  }

  #put(place: number, address: bigint, origin: BoundIPv6Address["origin"]): void {
    for (let word = 0; word < 4; word++) this.words[4 * place + word] = wordOf(address, word);
    this.#former.remove(this.words.subarray(4 * place, 4 * place + 4));
    this.#entries[place] = {
      address,
      order: this.#noted++,
      origin,
      since: 0,
      asked: false,
      detected: LONG_AGO,
      expiry: NEVER,
      lease: undefined,
    };
    this.#count++;
    this.#probes[place] = 0;
  }

  #clear(place: number, why: BindingEnd): void {
    const entry = this.#entries[place];
    if (entry === undefined) return;
    const valid = this.states[place] === VALID;
    if (this.#told[place] !== UNTOLD) this.#observer!.unbind(place);
    this.#told[place] = UNTOLD;
    this.#options.events.ended(place);
    this.states[place] = FREE;
    this.#entries[place] = undefined;
    this.words.fill(0, 4 * place, 4 * place + 4);
    this.#count--;
    if (valid) this.#options.events.changed({ kind: "lost", bound: boundOf(entry), why });
  }
}
