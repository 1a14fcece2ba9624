/**
 * A header may ask the kernel to cut UDP over IPv6 into fragments, in front of softnet: it gives them an identification
 * (RFC 8200 4.5) by chance, so the same frame comes with another one each time.
 */

const TYPE = 12;
const TYPE_IPV6 = 0x86dd;
const NEXT_HEADER = 20;
const FRAGMENT = 44;
const IDENTIFICATION = 58;

/** Clears the identification where the first header behind IPv6's is a fragment header. */
export function clearIdentification<T extends Uint8Array>(frame: T): T {
  const end = IDENTIFICATION + 4;
  const type = (frame[TYPE]! << 8) | frame[TYPE + 1]!;
  if (frame.length >= end && type === TYPE_IPV6 && frame[NEXT_HEADER] === FRAGMENT) frame.fill(0, IDENTIFICATION, end);
  return frame;
}
