/**
 * `softnet replay CAPTURE`: runs every frame of a capture through the guard, with the capture's own timestamps as the
 * clock, and prints each verdict: to see how softnet would judge traffic, or why a running one dropped it.
 */

import { CaptureError } from "../capture/errors.ts";
import type { CapturedFrame } from "../capture/frame.ts";
import { notEthernet } from "../capture/linktype.ts";
import { type CaptureReader, openCapture } from "../capture/read.ts";
import { type Guard, verdictObject } from "../guard/guard.ts";
import { DROP_REASONS, verdictOf } from "../guard/reasons.ts";
import { parseExposures } from "../networks/exposures.ts";
import { DIRECTION_NAMES, type Direction, type DirectionName, EGRESS, INGRESS } from "../relay/direction.ts";
import { parseOffloadNote } from "../session/offload-notes.ts";
import { type GuardArguments, guardOptions } from "../session/options.ts";
import { rulesOf } from "../session/policy-rules.ts";
import { CAPTURE_INTERFACES } from "../session/recording.ts";
import { refuseWithoutIPv6 } from "../session/vm-addresses.ts";
import { UserError } from "../user-error.ts";
import { parseMac } from "../wire/address.ts";
import { describeFrame } from "../wire/describe.ts";
import { FrameView } from "../wire/frame-view.ts";
import { isLeftToCard } from "../wire/offloads.ts";
import { COMPLETE } from "../wire/virtio-net.ts";
import { Output } from "./output.ts";
import { ReplayGuard } from "./replay-guard.ts";

export interface ReplayArguments extends GuardArguments {
  readonly fromVm?: boolean;
  readonly fromHost?: boolean;
  readonly vmInterface?: number;
  /** Fill in checksums and lengths that the sender left to its network card. */
  readonly offloads?: boolean;
  /** As for `softnet` itself. */
  readonly expose?: string;
  readonly json?: boolean;
}

/** The output for one frame. */
interface Line {
  readonly frame: number;
  /** Seconds since the first frame. */
  readonly time: number;
  readonly direction: DirectionName;
  readonly verdict: "pass" | "drop";
  readonly reason?: string;
  /** Bytes on the wire. */
  readonly length: number;
}

interface Summary {
  readonly pass: number;
  readonly drop: number;
  readonly reasons: Readonly<Record<string, number>>;
  /** Skipped frames, of interfaces that are not Ethernet; absent if there are none. */
  readonly skipped?: number;
  /** Dropped frames with fields left to the sender's card; absent if there are none. */
  readonly offloads?: number;
}

const TRUNCATED = verdictOf("frame.truncated");

/** Drop reasons that fields left to the card can cause. */
const UNFINISHED = new Set(["ipv4.format", "ipv4.checksum", "dhcp.checksum", "dhcpv6.checksum"]);

/**
 * Prints verdicts to `descriptor` (stdout). Throws UserError; a CaptureError follows the summary of the frames before.
 */
export function replay(path: string, given: ReplayArguments, descriptor: number): void {
  const choices = [
    given.fromVm && "--from-vm",
    given.fromHost && "--from-host",
    given.vmInterface !== undefined && "--vm-interface",
  ];
  const chosen = choices.filter((choice) => choice);
  if (chosen.length > 1) throw new UserError(`${chosen.join(" and ")} exclude each other: give one`);
  refuseWithoutIPv6(given);
  const exposedPorts = parseExposures(given.expose ?? "").map(({ internal }) => internal);
  const options = { ...guardOptions(given, rulesOf(given)), exposedPorts };
  const guard = new ReplayGuard(options);
  const output = new Output(descriptor);
  const report = given.json ? new JsonReport(output) : new Table(output);
  const capture = openCapture(path);
  try {
    judgeAll(path, capture, guard, given, report);
    report.end(capture.skipped.frames);
  } catch (error) {
    // The frames before the error were printed.
    if (error instanceof CaptureError) report.end(capture.skipped.frames);
    throw error;
  } finally {
    capture.close();
    output.flush();
  }
}

/** Judges the frames in order, until the file ends or the output's reader has closed it. */
function judgeAll(
  path: string,
  capture: CaptureReader,
  guard: ReplayGuard,
  given: ReplayArguments,
  report: Report,
): void {
  const directionOf = directionBy(given, capture, path);
  const view = new FrameView();
  let first: number | undefined;
  let latest = 0;
  for (const frame of capture) {
    first ??= frame.time;
    latest = Math.max(latest, frame.time);
    const unfinished = isLeftToCard(frame.bytes, 0, frame.bytes.length, given.offloads === true);
    view.read(frame.bytes, 0, frame.bytes.length, wroteIt(capture) ? offloadOf(frame) : COMPLETE);
    const direction = directionOf(frame, view);
    guard.advance(latest, wroteIt(capture));
    const verdict = verdictObject(judge(guard.current, view, frame.originalLength, direction));
    if (unfinished && verdict.reason !== undefined && UNFINISHED.has(verdict.reason)) report.offloads++;
    const time = (latest - first) / 1e6;
    report.frame(
      { frame: frame.number, time, direction: DIRECTION_NAMES[direction], ...verdict, length: frame.originalLength },
      view,
    );
    if (!report.wanted) return;
  }
  const linkType = capture.skipped.linkTypes.get(given.vmInterface ?? -1);
  if (linkType !== undefined) throw notEthernet(path, linkType);
}

function judge(guard: Guard, view: FrameView, originalLength: number, direction: Direction): number {
  if (view.length < originalLength) return TRUNCATED;
  return direction === EGRESS ? guard.judgeEgress(view) : guard.judgeIngress(view);
}

/** What the frame's sender had left to do, as softnet noted it. */
function offloadOf({ comment = "", secondComment = "" }: CapturedFrame): number {
  return parseOffloadNote(secondComment) ?? parseOffloadNote(comment) ?? COMPLETE;
}

/**
 * A frame's direction: as the options say; in a capture that softnet wrote, by its interface; else egress if the source
 * is the VM's MAC address.
 */
function directionBy(
  given: ReplayArguments,
  capture: CaptureReader,
  path: string,
): (frame: CapturedFrame, view: FrameView) => Direction {
  if (given.fromVm) return () => EGRESS;
  if (given.fromHost) return () => INGRESS;
  const chosen = given.vmInterface;
  if (chosen !== undefined && capture.format !== "pcapng") {
    throw new UserError(`--vm-interface ${chosen}: ${path} is pcap, which has no interfaces; leave it out`);
  }
  if (chosen !== undefined) return (frame) => (frame.interfaceIndex === chosen ? EGRESS : INGRESS);
  const mac = parseMac(given.vmMacAddress ?? "");
  return (frame, view) => {
    if (wroteIt(capture)) return frame.interfaceIndex === 0 ? EGRESS : INGRESS;
    return view.sourceMac === mac ? EGRESS : INGRESS;
  };
}

/** Whether a running softnet wrote the current section (recording.ts). */
function wroteIt(capture: CaptureReader): boolean {
  return (
    (capture.writer ?? "").startsWith("softnet ") &&
    CAPTURE_INTERFACES.every(({ name }, index) => capture.interfaceNames[index] === name)
  );
}

/** Counts the frames, and prints them. */
abstract class Report {
  protected readonly output: Output;
  readonly #counts = new Map<string, number>();
  #pass = 0;
  #drop = 0;
  /** Drops of frames with fields left to the sender's card. */
  offloads = 0;

  constructor(output: Output) {
    this.output = output;
  }

  /** False once the output's reader has closed it. */
  get wanted(): boolean {
    return this.output.open;
  }

  frame(line: Line, view: FrameView): void {
    if (line.reason === undefined) this.#pass++;
    else {
      this.#drop++;
      this.#counts.set(line.reason, (this.#counts.get(line.reason) ?? 0) + 1);
    }
    this.print(line, view);
  }

  /** `skipped`: number of skipped frames. */
  end(skipped: number): void {
    this.summarize({
      pass: this.#pass,
      drop: this.#drop,
      reasons: Object.fromEntries(this.#counts),
      ...(skipped > 0 && { skipped }),
      ...(this.offloads > 0 && { offloads: this.offloads }),
    });
  }

  protected abstract print(line: Line, view: FrameView): void;
  protected abstract summarize(summary: Summary): void;
}

/** One JSON object a line. */
class JsonReport extends Report {
  protected print({ frame, time, direction, verdict, reason, length }: Line): void {
    this.output.line(
      JSON.stringify({ frame, time, direction, verdict, ...(reason !== undefined && { reason }), length }),
    );
  }

  protected summarize(summary: Summary): void {
    this.output.line(JSON.stringify({ summary }));
  }
}

const REASON_WIDTH = Math.max(...DROP_REASONS.map(({ name }) => name.length));

/** A table as text. */
class Table extends Report {
  #headed = false;

  #head(): void {
    if (this.#headed) return;
    this.#headed = true;
    this.output.line(
      `${"frame".padStart(7)} ${"seconds".padStart(13)}  way      ${"verdict".padEnd(REASON_WIDTH)} ${"bytes".padStart(6)}  what`,
    );
  }

  protected print(line: Line, view: FrameView): void {
    this.#head();
    const verdict = (line.reason ?? "pass").padEnd(REASON_WIDTH);
    const time = line.time.toFixed(6).padStart(13);
    const what = describeFrame(view);
    this.output.line(
      `${String(line.frame).padStart(7)} ${time}  ${line.direction.padEnd(7)}  ${verdict} ${String(line.length).padStart(6)}  ${what}`,
    );
  }

  protected summarize({ pass, drop, reasons, skipped, offloads }: Summary): void {
    this.output.line("");
    this.output.line(`${pass} passed, ${drop} dropped`);
    const most = Object.entries(reasons).sort(([, a], [, b]) => b - a);
    for (const [name, count] of most) {
      const text = DROP_REASONS.find((reason) => reason.name === name)!.text;
      this.output.line(`${String(count).padStart(7)}  ${name.padEnd(REASON_WIDTH)} ${text}`);
    }
    if (skipped !== undefined) this.output.line(`${skipped} of interfaces that are not Ethernet: left out`);
    if (offloads !== undefined) {
      this.output.line(
        `${offloads} of the dropped were captured on the sending host, before its card finished them: --offloads does that`,
      );
    }
  }
}
