/**
 * The names that a DHCP client gives itself: option 12 (RFC 2132 3.14) and option 81 (RFC 4702). Many servers put them
 * into the network's DNS, so a client can take another machine's name there (threat row D32).
 */

const LONGEST_NAME = 253;
/** Flags and two result codes come before the name of option 81 (RFC 4702 2). */
const FQDN_HEADER = 3;
/** The flag that says that the name of option 81 is in DNS's wire format, not text. */
const FQDN_ENCODED = 4;
const LONGEST_LABEL = 63;

const LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
const HOSTNAME = new RegExp(`^${LABEL}(\\.${LABEL})*$`);
const DOMAIN = /^[a-z0-9_.-]*$/;

/** A host name in lower case (RFC 1123 2.1), of one label or more; undefined for what is none. */
export function parseHostname(text: string): string | undefined {
  const name = text.toLowerCase();
  return name.length <= LONGEST_NAME && HOSTNAME.test(name) ? name : undefined;
}

/** The name in option 12, in lower case; "" = none. Zero bytes and a dot at its end are no part of it. */
export function nameOf(bytes: Uint8Array, length: number): string {
  return textOf(bytes, 0, length);
}

/** The name in option 81, in lower case; "" = none, undefined = it cannot be read in one way only. */
export function fullNameOf(bytes: Uint8Array, length: number): string | undefined {
  if (length === 0) return "";
  if (length < FQDN_HEADER) return undefined;
  const encoded = (bytes[0]! & FQDN_ENCODED) !== 0;
  return encoded ? decodeName(bytes, FQDN_HEADER, length) : textOf(bytes, FQDN_HEADER, length);
}

/** Whether `said` is no other name than `name`: nothing, `name`, or, if `name` is one label, `name` with a domain. */
export function isSameName(said: string | undefined, name: string): boolean {
  if (said === undefined) return false;
  if (said === "" || said === name) return true;
  return !name.includes(".") && said.startsWith(`${name}.`) && DOMAIN.test(said.slice(name.length));
}

function textOf(bytes: Uint8Array, at: number, end: number): string {
  while (end > at && bytes[end - 1] === 0) end--; // some clients include a C string's final zero byte
  return String.fromCharCode(...bytes.subarray(at, end))
    .toLowerCase()
    .replace(/\.$/, "");
}

/** Labels, each preceded by its length; the final zero may be missing (RFC 4702 2.3.1). */
function decodeName(bytes: Uint8Array, at: number, end: number): string | undefined {
  const labels: string[] = [];
  while (at < end && bytes[at] !== 0) {
    const next = at + 1 + bytes[at]!;
    if (bytes[at]! > LONGEST_LABEL || next > end) return undefined;
    const label = String.fromCharCode(...bytes.subarray(at + 1, next));
    if (label.includes(".")) return undefined;
    labels.push(label.toLowerCase());
    at = next;
  }
  return at + 1 < end ? undefined : labels.join(".");
}
