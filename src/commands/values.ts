/** Parsers of the options' values. Each throws UserError: one line with the value and the remedy. */
import { parseOnly } from "../policy/only.ts";
import { parseRule, type Rule } from "../policy/rule.ts";
import { checkTapName } from "../ports/tap-name.ts";
import { isVmName, LONGEST_NAME } from "../registry/vm-names.ts";
import { parseVmAddresses } from "../session/vm-addresses.ts";
import { UserError } from "../user-error.ts";
import { parseIPv4, parseMac } from "../wire/address.ts";
import { parseHostname } from "../wire/dhcp-names.ts";
import { isLinkLocal, parseIPv6 } from "../wire/ipv6-address.ts";

const MOST_LABELS = 16;

/** A value that one of the library's parsers must accept. */
export function valid<T>(option: string, wanted: string, parse: (text: string) => T | undefined) {
  return (text: string): string => {
    if (parse(text) === undefined)
      throw new UserError(`${option} ${JSON.stringify(text)} is not valid: give ${wanted}`);
    return text;
  };
}

export const macAddress = (option: string) =>
  valid(option, "six hexadecimal bytes such as 7e:1a:00:00:00:01", parseMac);

export const ipv4Address = (option: string) => valid(option, "an IPv4 address such as 192.168.64.1", parseIPv4);

/** The router's own address on the link, as its advertisements come from it; a zone (%eth0) is no part of it. */
export const routerAddress6 = (option: string) =>
  valid(option, "the router's link-local address, such as fe80::1, without %interface", (text) => {
    const address = parseIPv6(text);
    return address !== undefined && isLinkLocal(address) ? address : undefined;
  });

/** An IPv4 address, an IPv6 address, or one of each with a comma between. */
export const vmAddresses = (option: string) =>
  valid(
    option,
    "an IPv4 address such as 192.168.64.5, a global or unique local IPv6 address such as fd00::5, or one of each with a comma between",
    parseVmAddresses,
  );

/** The name of a user's TAP. */
export function tapName(option: string) {
  return (text: string): string => {
    checkTapName(option, text);
    return text;
  };
}

export const hostname = (option: string) =>
  valid(option, "letters, digits and hyphens, such as web1 or web1.example.com", parseHostname);

/** A VM's name. */
export const vmName = (option: string) =>
  valid(option, `1 to ${LONGEST_NAME} of A-Z, a-z, 0-9, ".", "_", "-", not "." or "-" first`, (text) =>
    isVmName(text) ? text : undefined,
  );

/** Labels of a VM, comma-separated. */
export function labels(text: string): readonly string[] {
  const found = text.split(",").map((label) => label.trim());
  const wrong = found.find((label) => !isVmName(label));
  if (wrong !== undefined) throw new UserError(`--label ${JSON.stringify(wrong)} is no label: give names such as web`);
  if (found.length > MOST_LABELS)
    throw new UserError(`--label: ${found.length} labels are too many: at most ${MOST_LABELS}`);
  return [...new Set(found)];
}

/** A whole number within bounds, decimal. */
export function wholeNumber(option: string, least: number, most: number) {
  return (text: string): number => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new UserError(`${option} ${JSON.stringify(text)} is not valid: give a whole number from ${least} to ${most}`);
  };
}

/** A number of bytes: decimal, with K, M or G for powers of 1,024. */
export function byteSize(option: string, least: number, most: number) {
  return (text: string): number => {
    const match = /^(\d{1,12})([KMG]?)$/i.exec(text);
    const value = match ? Number(match[1]) * 1024 ** " KMG".indexOf(match[2]!.toUpperCase() || " ") : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new UserError(`${option} ${JSON.stringify(text)} is not a size: give bytes such as 64M, at least ${least}`);
  };
}

/** One of a few words. */
export function oneOf<T extends string>(option: string, words: readonly T[]) {
  return (text: string): T => {
    const word = words.find((candidate) => candidate === text);
    if (word !== undefined) return word;
    throw new UserError(`${option} ${JSON.stringify(text)} is not known: give ${words.join(" or ")}`);
  };
}

/** A comma-separated list of rules; the option may be given several times. An empty list is no rule at all. */
export function ruleList(action: "allow" | "block") {
  return (text: string, before: readonly Rule[] = []): readonly Rule[] => {
    if (text.trim() === "") return before;
    try {
      return [...before, ...text.split(",").map((rule) => parseRule(action, rule.trim()))];
    } catch (error) {
      // The message begins with the action, which is also the option's name.
      throw error instanceof UserError ? new UserError(`--${error.message}`) : error;
    }
  };
}

/** As `ruleList`, for `--only`; an empty list is a mistake. */
export function onlyList(text: string, before: readonly Rule[] = []): readonly Rule[] {
  try {
    return [...before, ...parseOnly(text.split(",").map((rule) => rule.trim()))];
  } catch (error) {
    throw error instanceof UserError ? new UserError(`--${error.message}`) : error;
  }
}
