/** What to write in place of a text that is no rule. */
import { parseIPv4 } from "../wire/address.ts";
import { parseIPv6 } from "../wire/ipv6-address.ts";
import { parseTarget, TARGET_FORMS, TARGET_FORMS_6, targetRemedy } from "./targets/kinds.ts";

export const PORTS = "ports go from 1 to 65535, the first one first, as in 10.0.0.0/8:80 or 10.0.0.0/8:8000-8999";
const PORTS_6 = "ports go from 1 to 65535, the first one first, as in [2001:db8::/32]:80 or [2001:db8::/32]:8000-8999";

/** How much of a wrong rule is looked at. */
const LONGEST = 80;

const PORT = /^[1-9]\d{0,4}(?:-[1-9]\d{0,4})?$/;

/** One line; `text` is what `parseRule` refuses. */
export function remedyFor(text: string): string {
  const nearly = targetRemedy(text);
  if (nearly !== undefined) return nearly;
  const seen = text.slice(0, LONGEST);
  const [, way = "", body = ""] = /^((?:in|out) +)?(.*)$/s.exec(seen) ?? [];
  if (looksLikeIPv6(body)) return ipv6Remedy(way, body);
  const [, target = "", port] = /^([^ :]{1,32})(?::(.*))?$/.exec(body) ?? [];
  if (port !== undefined && parseTarget(target)) return PORTS;
  return forms(TARGET_FORMS);
}

const forms = (targets: string): string =>
  `give ${targets}, with "in " or "out " before it and :PORT or :FIRST-LAST behind it if wanted`;

/** Brackets, or more colons than one port has. */
function looksLikeIPv6(body: string): boolean {
  return /^\[/.test(body) || /^[\da-fA-F:.]*:[\da-fA-F.]*:/.test(body);
}

function ipv6Remedy(way: string, body: string): string {
  const zone = /%[^/\]: ]*/.exec(body)?.[0];
  if (zone !== undefined) {
    const meant = corrected(body.replace(zone, ""));
    return `a zone (${zone}) is no part of an address${meant === undefined ? "" : `, give ${way}${meant}`}`;
  }
  const meant = corrected(body);
  if (meant !== undefined) return `did you mean ${way}${meant}?`;
  const [, inner, behind] = /^\[([^[\]]*)\](?::(.*))?$/s.exec(body) ?? [];
  if (behind !== undefined && isRight(inner!)) return PORTS_6;
  if (inner !== undefined && parseTarget(inner)) return forms(`${inner} without brackets`);
  const length = /^\[?([\da-fA-F:.]+)\/(\d+)\]?/.exec(body);
  if (length && parseIPv6(length[1]!) !== undefined && Number(length[2]) > 128) return "a prefix length is 0 to 128";
  return forms(TARGET_FORMS_6);
}

const isRight = (text: string): boolean => parseTarget(text)?.cidr6 !== undefined;

/** The rule without its direction, as it is probably meant; undefined where that cannot be said. */
function corrected(body: string): string | undefined {
  const [, inside, lengthBehind, port] = /^\[([^[\]]*)\](\/\d+)?(?::([\d-]+))?$/.exec(body) ?? [];
  if (port !== undefined && !PORT.test(port)) return undefined;
  const ports = port === undefined ? "" : `:${port}`;
  if (inside !== undefined) {
    // The length behind the brackets, an address without one, or what needs no brackets.
    const inner = parseIPv6(inside) === undefined ? inside : `${inside}${lengthBehind ?? "/128"}`;
    if (isRight(inner)) return ports === "" ? inner : `[${inner}]${ports}`;
    const plain = parseIPv4(inside) === undefined ? inside : `${inside}${lengthBehind ?? "/32"}`;
    return parseTarget(plain) === undefined ? undefined : `${plain}${ports}`;
  }
  if (isRight(body)) return body;
  if (parseIPv6(body) !== undefined) return `${body}/128`;
  // The port without brackets around what is before it.
  const [, before = "", behind = ""] = /^([^[\]]*\/\d{1,3}):([\d-]+)$/.exec(body) ?? [];
  return isRight(before) && PORT.test(behind) ? `[${before}]:${behind}` : undefined;
}
