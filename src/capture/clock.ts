/**
 * The clock of a pcapng interface: how its 64-bit time stamps become microseconds since 1970.
 *
 * if_tsresol (section 4.2) is a negative power: of 10, or of 2 when its highest bit is set; if_tsoffset are whole
 * seconds to be added. Powers up to 127 do not fit into a number, so all but the usual case are computed with bigints.
 */

/** Microseconds for a time stamp's two halves; NaN when they are no safe integer (years beyond 2255). */
export type Clock = (high: number, low: number) => number;

/** if_tsresol when the option is absent: microseconds. */
export const DEFAULT_RESOLUTION = 6;

/** `resolution` is the byte of if_tsresol, `offset` the seconds of if_tsoffset. */
export function clockOf(resolution: number, offset: bigint): Clock {
  if (resolution === 6 && offset === 0n) {
    return (high, low) => exact(high * 0x1_0000_0000 + low);
  }
  const unitsPerSecond = (resolution & 0x80) === 0 ? 10n ** BigInt(resolution) : 2n ** BigInt(resolution & 0x7f);
  const offsetMicroseconds = offset * 1_000_000n;
  return (high, low) => {
    const stamp = (BigInt(high) << 32n) | BigInt(low);
    return exact(Number((stamp * 1_000_000n) / unitsPerSecond + offsetMicroseconds));
  };
}

function exact(microseconds: number): number {
  return Number.isSafeInteger(microseconds) ? microseconds : Number.NaN;
}
