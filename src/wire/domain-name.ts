/**
 * Domain names as people write them, and as wire labels (host-name.ts). A user's name is normalised: lower case, no dot at
 * the end, Unicode as A-labels (RFC 5890 2.3.2.1).
 */
import { HostName, LONGEST_LABEL, LONGEST_NAME } from "./host-name.ts";

/** Characters of the longest name without a dot at its end. */
const LONGEST_TEXT = LONGEST_NAME - 2;
/** How much of a wrong name a message repeats. */
const LONGEST_REPEATED = 80;

/** ASCII that is in no name. */
const NOT_IN_NAMES = /[\p{ASCII}--[a-zA-Z0-9._\-]]/v;
const NOT_ASCII = /\P{ASCII}/v;

/**
 * The name as wire labels, normalised; undefined for what is none, for which `domainNameRemedy` has the reason.
 * `fewestLabels`: a name of fewer labels is none.
 */
export function parseDomainName(text: string, fewestLabels = 2): Uint8Array | undefined {
  const ascii = asciiOf(text);
  if (ascii === undefined) return undefined;
  const name = new HostName();
  name.start();
  for (let at = 0; at < ascii.length; at++) {
    if (!name.push(ascii.charCodeAt(at))) return undefined;
  }
  if (!name.end(true) || name.isNumeric || name.labelCount < fewestLabels) return undefined;
  return name.labels.slice(0, name.length);
}

/** One line with the value, what is wrong with it, and what to write; undefined for what `parseDomainName` takes. */
export function domainNameRemedy(text: string, fewestLabels = 2): string | undefined {
  if (parseDomainName(text, fewestLabels) !== undefined) return undefined;
  const value = quoted(text);
  if (text === "" || text === ".") return `${value} is no domain name: give one such as registry.npmjs.org`;
  const wrong = NOT_IN_NAMES.exec(text)?.[0];
  if (wrong !== undefined) {
    return `${value} has ${quoted(wrong)}: a domain name has letters, digits, hyphens, underscores and dots`;
  }
  const ascii = asciiOf(text);
  if (ascii === undefined) return `${value} has no form in ASCII (A-labels): check its spelling`;
  return formRemedy(value, ascii.replace(/\.$/, ""), fewestLabels);
}

/**
 * The text of a name: of wire labels that begin at `at` and are not compressed. Bytes that a host name does not have are
 * written with a backslash, as three decimal digits (RFC 1035 5.1), so that different names never have the same text.
 * "." is the root.
 */
export function formatDomainName(labels: Uint8Array, at = 0): string {
  let text = "";
  let size = labels[at] ?? 0;
  while (size > 0) {
    if (text !== "") text += ".";
    for (const end = at + size; at < end; ) text += characterOf(labels[++at] ?? 0);
    size = labels[++at] ?? 0;
  }
  return text === "" ? "." : text;
}

/** `text` is ASCII without a dot at its end. */
function formRemedy(value: string, text: string, fewestLabels: number): string {
  const labels = text.split(".");
  const longest = labels.find((label) => label.length > LONGEST_LABEL);
  const hyphened = labels.find((label) => /^-|-$/.test(label));
  if (labels.includes("")) return `${value} has an empty label: write one dot between two labels, and none before them`;
  if (longest !== undefined) {
    return `${value} has a label of ${longest.length} characters, ${quoted(longest)}: ${LONGEST_LABEL} is the most`;
  }
  if (text.length > LONGEST_TEXT) return `${value} has ${text.length} characters: ${LONGEST_TEXT} is the most`;
  if (hyphened !== undefined) return `${value} has a label that begins or ends with a hyphen: remove that hyphen`;
  if (/(^|\.)\d+$/.test(text)) {
    return `${value} ends in a number, so it is no domain name: give an IPv4 address as a CIDR, such as 192.0.2.1/32`;
  }
  return `${value} has ${counted(labels.length)}: give a name of at least ${fewestLabels}, such as ${text}.example.com`;
}

/** Undefined for a text that has no form in ASCII, or has ASCII that is in no name. */
function asciiOf(text: string): string | undefined {
  if (NOT_IN_NAMES.test(text)) return undefined;
  // The URL standard's domain to ASCII (UTS 46); only for names that need it, since it also rewrites numbers.
  return NOT_ASCII.test(text) ? URL.parse(`http://${text}/`)?.hostname : text;
}

const counted = (labels: number): string => (labels === 1 ? "one label" : `${labels} labels`);

/** On one line, whatever is in it. */
function quoted(text: string): string {
  return JSON.stringify(text.length > LONGEST_REPEATED ? `${text.slice(0, LONGEST_REPEATED)}…` : text);
}

function characterOf(byte: number): string {
  const character = String.fromCharCode(byte);
  return /[a-zA-Z0-9_-]/.test(character) ? character : `\\${String(byte).padStart(3, "0")}`;
}
