/**
 * What an ICMP error quotes must be a packet that its receiver has sent (docs/guard.md, IPv4; threat row I14): hosts believe
 * quotations of others, too.
 */
import type { FrameView } from "../../wire/frame-view.ts";

/** Whether an ICMP error to the VM is about a packet from its own address, in host order; 0 = it has none. */
export function isAboutPacketOf(own: number, view: FrameView): boolean {
  return own !== 0 && view.destination === own && quotesItsReceiver(view);
}

/** Whether an ICMP error from the VM is about a packet to its own address, from where the error goes. */
export function isAboutPacketTo(own: number, view: FrameView): boolean {
  return quotesItsReceiver(view) && view.quotedDestination === own;
}

/** Whether an ICMP error is about a packet that its own destination has sent. */
function quotesItsReceiver(view: FrameView): boolean {
  return view.quotes && view.quotedSource === view.destination;
}
