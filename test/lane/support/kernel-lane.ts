/**
 * The lane's programs, loaded into this machine's kernel and attached to nothing: each frame is shown to them by
 * BPF_PROG_TEST_RUN, at a time that the test chooses. They share their memory with an ExpressLane, as in production.
 */
import assert from "node:assert/strict";
import { INTERFACES } from "../../../src/lane/bytecode.ts";
import { ExpressLane } from "../../../src/lane/express-lane.ts";
import { readKernelTypes } from "../../../src/lane/kernel-types.ts";
import { type LaneMemory, makeLaneMemory } from "../../../src/lane/lane-memory.ts";
import { type Bytecode, type KernelTypes, loadBytecode } from "../../../src/lane/load.ts";
import { BOTH_LANE, IPV4_LANE, type LaneCode, type Places } from "../../../src/lane/relay-tap.ts";
import { createMap, setElement } from "../../../src/native/linux/bpf.ts";
import { bootClock } from "../../../src/native/linux/clock.ts";
import { EGRESS, INGRESS } from "../../../src/relay/direction.ts";
import { libc } from "../../support/sockets.ts";
import { needsRoot, type Skip } from "../../support/tools.ts";
import { LONGEST, SHORTEST, TestRun } from "./test-run.ts";

/** Options for a test that shows frames to the lane's programs. */
export function needsLane(): Skip {
  const skip = needsRoot();
  if (skip.skip !== undefined) return skip;
  const types = readKernelTypes();
  return typeof types === "string" ? { skip: types } : {};
}

/** linux/pkt_cls.h */
const UNSPEC = -1;
const SHOT = 2;
const REDIRECT = 7;

/** Words of struct vm (src/lane/bpf/admitted.h), and of a processor's counts. */
const VM = { openUntil: 0, expiry: 1, ahead: 2, secret: 11 } as const;
const COUNT_WORDS = 16;
/** src/lane/bpf/admitted6.h: places, and the 64-bit numbers of struct place. */
const PLACES = 32;
const PLACE = { size: 4, expiry: 0, used: 1 } as const;

/** Where no test looks into the secret, it is this one: a test can make flows that collide. */
export const SECRET = [0x5eed_0001, 0x0bad_cafe] as const;

/** Microseconds of a second behind which a run might end in the next one. */
const LATE = 960_000;
const SECOND = 1_000_000;
/** Where a frame's type begins. */
const IS_IPV6 = 12;
/** Where nothing is attached. */
const NOWHERE: Places = { vm: 1, relay: 11, network: 1 };

/** The programs, loaded. */
interface Loaded {
  readonly fromVm: number;
  readonly fromNetwork: number;
  readonly toVm: number;
}

export class KernelLane {
  readonly #memory: LaneMemory;
  readonly interfaces: number;
  readonly #types: KernelTypes;
  readonly #run = new TestRun(libc);
  readonly #clock = bootClock(libc);
  readonly #times: BigInt64Array;
  readonly #counts: Int32Array;
  /** Of the VM's IPv6 addresses, each in its place; of length 0 where the lane passes none. */
  readonly #places: BigInt64Array;
  /** When something was last seen to pass, by place. */
  readonly #used = new BigInt64Array(PLACES);
  #loaded: Loaded;
  /** Frames that passed so slowly that the kernel may have seen the next second. */
  disturbed = 0;
  /** When the kernel's time was made another one. */
  #shownSince = 0;
  untestable = 0;

  /** `code`: softnet's own, or others of its source. `ipv6`: with memory for it. */
  constructor(code: LaneCode = IPV4_LANE, { vm, relay, network }: Places = NOWHERE, ipv6 = code === BOTH_LANE) {
    const types = readKernelTypes();
    if (typeof types === "string") throw new Error(types);
    this.#types = types;
    this.#memory = makeLaneMemory(libc, ipv6);
    this.interfaces = createMap(libc, INTERFACES);
    setElement(libc, this.interfaces, 0, new Uint8Array(Uint32Array.of(vm, relay, network).buffer));
    this.#times = new BigInt64Array(this.#memory.vm.buffer, 0, 3);
    this.#counts = new Int32Array(this.#memory.counts.buffer);
    this.#places = new BigInt64Array(this.#memory.ipv6?.own.buffer ?? new ArrayBuffer(0));
    this.#loaded = this.#load(code);
  }

  /** Puts other programs in the place of those loaded. Throws Error where the kernel refuses one. */
  replace(code: LaneCode): void {
    const loaded = this.#load(code);
    this.#unload();
    this.#loaded = loaded;
  }

  #load({ fromVm, fromNetwork, toVm }: LaneCode): Loaded {
    const maps = { ...this.#memory.maps, interfaces: this.interfaces };
    const load = (program: Bytecode): number => loadBytecode(libc, program, maps, this.#types);
    const first = load(fromVm);
    try {
      return { fromVm: first, fromNetwork: load(fromNetwork), toVm: load(toVm) };
    } catch (error) {
      libc.close(first);
      throw error;
    }
  }

  #unload(): void {
    for (const program of Object.values(this.#loaded)) libc.close(program);
  }

  /** An empty lane for a VM. `clock`: microseconds. */
  open(mac: number, mtu: number, clock: () => number): ExpressLane {
    const memory = this.#memory;
    const { own, flows } = memory.ipv6 ?? {};
    for (const shared of [memory.vm, memory.flows, memory.counts, own, flows]) {
      if (shared !== undefined) new Int32Array(shared.buffer).fill(0);
    }
    this.#used.fill(0n);
    const lane = new ExpressLane({ memory, mac, mtu, clock });
    // Its own flows read the secret from here, too.
    new Int32Array(memory.vm.buffer).set(SECRET, VM.secret);
    return lane;
  }

  /** Keeps the lane open until a second behind this time, whatever softnet has said. */
  keepOpen(time: number): void {
    this.#times[VM.openUntil] = BigInt(time + SECOND) * 1000n;
  }

  /** Nothing passes from now on, until the lane is opened. */
  shut(): void {
    this.#times[VM.openUntil] = 0n;
  }

  /** Descriptors of the programs. */
  get programs(): Loaded {
    return this.#loaded;
  }

  /**
   * Whether the programs pass the frame at this time, microseconds. Both programs for frames to the VM must agree. The
   * kernel's second is never behind the guard's, nor in front of it: see `disturbed`.
   */
  passes(fromVm: boolean, frame: Uint8Array, time: number): boolean {
    if (frame.length < SHORTEST || frame.length > LONGEST) {
      this.untestable++;
      return false;
    }
    const run = this.#run;
    run.frame = frame;
    const { counted } = this;
    const shown = this.#setTime(time);
    const isOpen = this.#times[VM.openUntil]! > BigInt(shown) * 1000n;
    const begin = this.#clock();
    const returned = fromVm ? run.run(this.#loaded.fromVm) : this.#runToVm();
    const taken = this.#clock() - begin + 1;
    if (returned === undefined) {
      this.untestable++;
      return false;
    }
    const passed = this.counted - counted;
    assert.ok(isOpen || passed === 0, "nothing passes where the lane is closed");
    if (fromVm) assert.equal(returned, REDIRECT, "lane_from_vm redirects");
    else assert.equal(returned === UNSPEC, passed === 1, "lane_to_vm counts what it passes");
    this.#checkUse(passed === 1 && fromVm && frame[IS_IPV6] === 0x86, shown, time);
    if (passed > 0 && Math.floor((shown + taken) / SECOND) !== Math.floor(time / SECOND)) this.disturbed++;
    return passed === 1;
  }

  /**
   * What passes from an IPv6 address of the VM's, and nothing else, is a use of that one address, at that time; which is
   * noted to be the time that the guard sees, since the kernel's goes on meanwhile.
   */
  #checkUse(isUse: boolean, shown: number, time: number): void {
    let uses = 0;
    const latest = BigInt(Math.ceil(shown + this.#clock() - this.#shownSince + 2)) * 1000n;
    for (let place = 0; place * PLACE.size < this.#places.length; place++) {
      const at = place * PLACE.size + PLACE.used;
      const used = this.#places[at]!;
      if (used === this.#used[place]!) continue;
      if (used !== 0n) {
        uses++;
        assert.ok(used >= BigInt(shown - 2) * 1000n && used <= latest, "a use is noted now");
        this.#places[at] = BigInt(time) * 1000n;
      }
      this.#used[place] = this.#places[at]!;
    }
    assert.equal(uses, isUse ? 1 : 0, "uses of an address");
  }

  /** What lane_to_vm returns. */
  #runToVm(): number | undefined {
    const { fromNetwork, toVm } = this.#loaded;
    const first = this.#run.run(fromNetwork);
    const second = this.#run.run(toVm);
    if (first === undefined || second === undefined) return undefined;
    assert.ok(second === UNSPEC || second === SHOT, `lane_to_vm returns ${second}`);
    // Where a lease, or the lane, was over in between, the first one says so by now.
    const agreed = second === SHOT && first === REDIRECT ? this.#run.run(fromNetwork) : first;
    assert.equal(agreed, second === UNSPEC ? REDIRECT : UNSPEC, "both programs for frames to the VM agree");
    return second;
  }

  /** Words of the flows (src/lane/bpf/admitted.h, struct flow). */
  get flows(): Int32Array {
    return new Int32Array(this.#memory.flows.buffer);
  }

  /** The same of IPv6 (src/lane/bpf/admitted6.h, struct flow6); empty where the lane passes none. */
  get flows6(): Int32Array {
    return new Int32Array(this.#memory.ipv6?.flows.buffer ?? new ArrayBuffer(0));
  }

  /** Frames that the programs have counted, both ways. */
  get counted(): number {
    let sum = 0;
    for (let at = 0; at < this.#counts.length; at += COUNT_WORDS) {
      sum += this.#counts[at + EGRESS * 2]! + this.#counts[at + INGRESS * 2]!;
    }
    return sum;
  }

  /**
   * Makes the kernel's time this one, at the next run; returns what it is then. It goes on meanwhile, so near the end of a
   * second it begins a little earlier, unless a lease or the lane would be over then.
   */
  #setTime(time: number): number {
    const second = Math.floor(time / SECOND) * SECOND;
    let shown = time;
    if (time - second > LATE) {
      const now = BigInt(time) * 1000n;
      let over = [VM.openUntil, VM.expiry].some((end) => this.#times[end]! <= now);
      for (let at: number = PLACE.expiry; at < this.#places.length; at += PLACE.size) {
        const end = this.#places[at]!;
        over ||= end !== 0n && end <= now;
      }
      if (!over) shown = second + LATE;
    }
    this.#shownSince = this.#clock();
    this.#times[VM.ahead] = (BigInt(shown) - BigInt(this.#shownSince)) * 1000n;
    return shown;
  }

  free(): void {
    this.#unload();
    libc.close(this.interfaces);
    this.#memory.free();
    this.#run.free();
  }
}
