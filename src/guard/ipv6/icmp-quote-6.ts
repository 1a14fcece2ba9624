/** What an ICMPv6 error quotes must be a packet that its receiver has sent (docs/guard-ipv6.md, Both directions; threat row I14). */
import type { FrameView } from "../../wire/frame-view.ts";
import { NO_PLACE, type OwnPlaces } from "./own-places.ts";

/** Whether an ICMPv6 error to the VM is about a packet from its own valid address in `place`, which it goes to; NO_PLACE: to no such. */
export function isAboutPacketOf(place: number, view: FrameView): boolean {
  return place !== NO_PLACE && quotesItsReceiver(view);
}

/** Whether an ICMPv6 error from the VM is about a packet to a valid address of its own, from where the error goes. */
export function isAboutPacketTo(own: OwnPlaces, view: FrameView): boolean {
  return quotesItsReceiver(view) && own.placeOf(view.quotedDestination6) !== NO_PLACE;
}

/** Whether an ICMPv6 error is about a packet that its own destination has sent. */
function quotesItsReceiver(view: FrameView): boolean {
  if (!view.quotes6) return false;
  const { quotedSource6: quoted, destination6: receiver } = view;
  return (
    quoted[0] === receiver[0] && quoted[1] === receiver[1] && quoted[2] === receiver[2] && quoted[3] === receiver[3]
  );
}
