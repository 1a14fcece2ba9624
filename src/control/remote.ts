/** The remote address of a frame: the key of the table of first drops. */
import { type Direction, EGRESS } from "../relay/direction.ts";
import { TYPE_ARP, TYPE_IPV4 } from "../wire/ethernet.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { SOUND } from "../wire/malformed.ts";

/** The address beyond the network, host order: of the destination from the VM, of the source to it; 0 where there is none. */
export function remoteOf(direction: Direction, view: FrameView): number {
  const egress = direction === EGRESS;
  if (view.type === TYPE_IPV4) return egress ? view.destination : view.source;
  if (view.type !== TYPE_ARP || view.malformed !== SOUND) return 0;
  return egress ? view.targetProtocol : view.senderProtocol;
}
