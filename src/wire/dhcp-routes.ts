/**
 * The static routes of a DHCP message: option 121 (RFC 3442), which is also sent as option 249, and option 33 (RFC 2132
 * 5.8). A classless route is a prefix length, as many bytes of the prefix as that needs, and the router.
 */
import { get32 } from "./bytes.ts";

/** No router: the options name none, or say 0.0.0.0, which means that the destination is on the link. */
export const NO_ROUTER = 0;

/**
 * The router of the first route to 0.0.0.0/0 that has one; NO_ROUTER also where the option is not made of whole routes.
 */
export function defaultRouter(bytes: Uint8Array, length: number): number {
  let found = NO_ROUTER;
  for (let at = 0; at < length; ) {
    const end = endOfRoute(bytes, at, length);
    if (end < 0) return NO_ROUTER;
    if (bytes[at] === 0 && found === NO_ROUTER) found = get32(bytes, end - 4);
    at = end;
  }
  return found;
}

/** Whether a route has another router than this one; true also when the option is not made of whole routes. */
export function leadsElsewhere(bytes: Uint8Array, length: number, router: number): boolean {
  for (let at = 0; at < length; ) {
    const end = endOfRoute(bytes, at, length);
    if (end < 0 || isOther(get32(bytes, end - 4), router)) return true;
    at = end;
  }
  return false;
}

/** As `leadsElsewhere` for option 33 (`stride` 8: destination, router) or option 3 (`stride` 4: routers). */
export function listsOther(bytes: Uint8Array, length: number, stride: 4 | 8, router: number): boolean {
  for (let end = stride; end <= length; end += stride) if (isOther(get32(bytes, end - 4), router)) return true;
  return length % stride !== 0;
}

function isOther(named: number, router: number): boolean {
  return named !== NO_ROUTER && named !== router;
}

/** Where the route at `at` ends; -1 = it runs past `length`, or its prefix is longer than 32 bits. */
function endOfRoute(bytes: Uint8Array, at: number, length: number): number {
  const prefix = bytes[at]!;
  if (prefix > 32) return -1;
  const end = at + 1 + ((prefix + 7) >>> 3) + 4;
  return end <= length ? end : -1;
}
