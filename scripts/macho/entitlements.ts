/**
 * Entitlements in the two forms that a signature carries: the property list as it is, and DER, which is what macOS 12 and
 * later looks at. Only what softnet and Node need: a dictionary whose values are all `true`.
 */

/** ASN.1 (X.690): universal tags, and the two of Apple's own around the dictionary. */
const INTEGER = 0x02;
const BOOLEAN = 0x01;
const UTF8_STRING = 0x0c;
const SEQUENCE = 0x30;
const APPLICATION_16 = 0x70;
const CONTEXT_16 = 0xb0;
const VERSION = 1;

/** The keys of a property list. Throws Error for anything but keys with `true`; a comment too, which macOS refuses. */
export function entitlementKeys(plist: string): string[] {
  const [, content] =
    /^\s*(?:<\?xml[^>]*\?>\s*)?(?:<!DOCTYPE[^>]*>\s*)?<plist[^>]*>\s*<dict>(.*)<\/dict>\s*<\/plist>\s*$/s.exec(plist) ??
    [];
  if (content === undefined) throw new Error("the entitlements are not a property list with one dictionary");
  const pair = /\s*<key>([\w.-]+)<\/key>\s*<true\/>\s*/y;
  const keys: string[] = [];
  while (pair.lastIndex < content.length) {
    const at = pair.lastIndex;
    const key = pair.exec(content)?.[1];
    if (key === undefined) {
      throw new Error(
        `the entitlements have something else than keys with <true/>: ${content.slice(at).trim().slice(0, 60)}`,
      );
    }
    if (keys.includes(key)) throw new Error(`the entitlements have ${key} twice`);
    keys.push(key);
  }
  return keys;
}

export function entitlementsDer(keys: readonly string[]): Buffer {
  const entries = keys
    .toSorted()
    .map((key) => element(SEQUENCE, element(UTF8_STRING, Buffer.from(key)), element(BOOLEAN, Buffer.from([0xff]))));
  return element(APPLICATION_16, element(INTEGER, Buffer.from([VERSION])), element(CONTEXT_16, ...entries));
}

function element(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, ...lengthOf(content.length)]), content]);
}

/** Short up to 127, else the number of bytes and then these (X.690, 8.1.3). */
function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}
