/**
 * `softnet top`: a live screen of all VMs of this host whose softnet runs, or of one of them. Reads only what any client of
 * the control sockets can read.
 */
import { isatty, type WriteStream } from "node:tty";
import type { DomainsCards, UnguardedCard } from "../operate/libvirt-cards.ts";
import type { Line, Size } from "../operate/top/line.ts";
import { paint, plainText } from "../operate/top/paint.ts";
import { type Row, rowsOf } from "../operate/top/rates.ts";
import { RecentNames } from "../operate/top/recent-names.ts";
import { type NameTotal, type Sample, takeSample } from "../operate/top/sample.ts";
import { drawScreen } from "../operate/top/screen.ts";
import { AT_START, indexOf, press, type ScreenState } from "../operate/top/state.ts";
import { Terminal } from "../operate/top/terminal.ts";
import type { FindVms } from "./ctl-targets.ts";
import { Output } from "./output.ts";

export interface TopArguments {
  /** Print one screen as text, and end. */
  readonly once?: boolean;
  /** Seconds between two looks. */
  readonly interval: number;
}

const STDIN = 0;
const STDOUT = 1;

/** Every how many looks all VMs are asked for their names; the one in detail is asked each time. */
const NAMES_EVERY = 5;

/** Of a screen that nobody looks at: wide enough for every column. */
const WIDE = 160;

/** Returns the exit code. Rejects with UserError where the VMs cannot be found. */
export async function top(
  { once = false, interval }: TopArguments,
  find: FindVms,
  findDomains: () => Promise<DomainsCards>,
): Promise<number> {
  const model = new TopModel(find, findDomains);
  if (once || !isatty(STDIN) || !isatty(STDOUT)) {
    await model.look();
    await new Promise((resolve) => setTimeout(resolve, interval * 1000));
    await model.look();
    const output = new Output(STDOUT);
    output.add(plainText(model.draw({ columns: WIDE, rows: Number.POSITIVE_INFINITY }).slice(0, -1)));
    output.flush();
    return 0;
  }
  await model.look();
  await show(model, interval);
  return 0;
}

/** Until the user ends it, or a signal. Rejects where looking fails. */
async function show(model: TopModel, interval: number): Promise<void> {
  const colour = !process.env.NO_COLOR;
  let end: (why?: unknown) => void = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    end = (error) => (error === undefined ? resolve() : reject(error));
  });
  const draw = (): void => terminal.draw(paint(model.draw(terminal.size), colour));
  const terminal = new Terminal(process.stdin, process.stdout as WriteStream, {
    onKey: (key) => {
      if (key === "quit") return end();
      model.state = press(model.state, key, model.keys);
      draw();
      if (key === "enter" || key === "right") model.look().then(draw, end);
    },
    onResize: draw,
    onEnd: () => end(),
  });
  const timer = setInterval(() => void model.look().then(draw, end), interval * 1000);
  try {
    draw();
    await ended;
  } finally {
    clearInterval(timer);
    terminal.close();
  }
}

/** What was seen, and what the user has chosen. */
class TopModel {
  readonly #find: FindVms;
  readonly #findDomains: () => Promise<DomainsCards>;
  readonly #recent = new RecentNames();
  /** By the path of the control socket. */
  readonly #names = new Map<string, readonly NameTotal[]>();
  #rows: readonly Row[] = [];
  #unguarded: readonly UnguardedCard[] = [];
  #last: Sample | undefined;
  #looks = 0;
  #looking: Promise<void> | undefined;
  state: ScreenState = AT_START;

  constructor(find: FindVms, findDomains: () => Promise<DomainsCards>) {
    this.#find = find;
    this.#findDomains = findDomains;
  }

  get keys(): readonly string[] {
    return this.#rows.map(({ key }) => key);
  }

  /** Asks all VMs. One look at a time: who calls meanwhile waits for that one. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  draw(size: Size): Line[] {
    return drawScreen({
      rows: this.#rows,
      unguarded: this.#unguarded,
      state: this.state,
      size,
      clock: new Date().toTimeString().slice(0, 8),
      recent: ({ vm }) => this.#recent.of(vm.found.control),
      names: ({ vm }) => this.#names.get(vm.found.control ?? "") ?? [],
    });
  }

  async #look(): Promise<void> {
    const all = this.#looks++ % NAMES_EVERY === 0;
    const chosen = this.state.detail ? this.#rows[indexOf(this.state, this.keys)]?.vm.found.control : undefined;
    const sample = await takeSample(await this.#find(), (control) => all || control === chosen);
    this.#rows = rowsOf(sample, this.#last);
    this.#unguarded = (await this.#findDomains()).unguarded;
    this.#last = sample;
    this.#recent.note(sample);
    for (const [path, names] of sample.names) this.#names.set(path, names);
    for (const path of this.#names.keys()) if (!this.keys.includes(path)) this.#names.delete(path);
  }
}
