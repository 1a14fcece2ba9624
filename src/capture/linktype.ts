/**
 * Link types: the protocol of a captured frame's first bytes. The guard judges Ethernet frames; for anything else the
 * error names the file's link type and how to capture Ethernet instead.
 *
 * Source of numbers and names: https://www.tcpdump.org/linktypes.html
 */
import { CaptureError } from "./errors.ts";

export const LINKTYPE_ETHERNET = 1;

/** Frames that a reader skipped, because their interfaces are not Ethernet. */
export interface SkippedFrames {
  readonly frames: number;
  /**
   * Link types by the interfaces' numbers in their section; with several sections the last such interface of a number.
   */
  readonly linkTypes: ReadonlyMap<number, number>;
}

export const NOTHING_SKIPPED: SkippedFrames = Object.freeze({ frames: 0, linkTypes: new Map() });

/** Link types that users capture by mistake. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0, "BSD loopback"],
  [9, "PPP"],
  [12, "raw IP"],
  [14, "raw IP"],
  [101, "raw IP"],
  [105, "Wi-Fi"],
  [108, "OpenBSD loopback"],
  [113, "Linux cooked, from the interface any"],
  [119, "Wi-Fi"],
  [127, "Wi-Fi with radiotap"],
  [189, "USB"],
  [220, "USB"],
  [228, "raw IPv4"],
  [229, "raw IPv6"],
  [249, "USB"],
  [253, "netlink"],
  [276, "Linux cooked, from the interface any"],
]);

export function notEthernet(path: string, linkType: number): CaptureError {
  const name = NAMES.get(linkType);
  const what = `link type ${linkType}${name === undefined ? "" : ` (${name})`} is not Ethernet`;
  return new CaptureError("CAPTURE_LINK_TYPE", path, what, "capture on the VM's own network interface");
}
