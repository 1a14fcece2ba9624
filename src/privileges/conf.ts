/**
 * The grammar of /etc/softnet.conf (docs/privileges.md): what ordinary users may request of a softnet that has root's
 * rights, and defaults for options that the caller does not give. One entry a line; `#` begins a comment; an invalid
 * line is an error.
 *
 *     allow-bridge br0 user alice     this bridge, for one user
 *     allow-tap vm0 group kvm         this TAP that exists already, for a group's members
 *     allow-attach vnet0 user alice   softnet attach, to this interface of a hypervisor or a container
 *     allow-new-tap web* user alice   new TAPs of such a name
 *     allow-ports 80                  this external port, for everybody
 *     allow-ports 443-500 user 1001   a range
 *     allow-subnet 10.9.0.0/24        --subnet within it
 *     max-vms 50 group kvm            at most 50 softnets at once for each of a group's members
 *     vm-net-type private             macOS: the network's type where --vm-net-type is not given, as by Tart
 *     ipv6                            macOS: as if --ipv6 were given
 */
import { type Cidr, formatCidr, parseCidr } from "../policy/cidr.ts";
import { UserError } from "../user-error.ts";

/** The users that a line is for: all, or the user or group of that name or number. */
export type Grantee = { readonly kind: "everybody" } | { readonly kind: "user" | "group"; readonly name: string };

export type Permission =
  | { readonly what: "bridge" | "tap" | "attach"; readonly name: string; readonly grantee: Grantee }
  | { readonly what: "new-tap"; readonly name: string; readonly isPrefix: boolean; readonly grantee: Grantee }
  | { readonly what: "ports"; readonly first: number; readonly last: number; readonly grantee: Grantee }
  | { readonly what: "subnet"; readonly subnet: Cidr; readonly grantee: Grantee }
  | { readonly what: "vms"; readonly most: number; readonly grantee: Grantee };

/** Every permission's keyword and its argument. */
const PERMISSIONS = {
  "allow-bridge": "a name",
  "allow-tap": "a name",
  "allow-attach": "a name",
  "allow-new-tap": "a name",
  "allow-ports": "a port",
  "allow-subnet": "a subnet",
  "max-vms": "a number",
} as const;
type Keyword = keyof typeof PERMISSIONS;

/** Those for one interface each. */
const NAMED = { "allow-bridge": "bridge", "allow-tap": "tap", "allow-attach": "attach" } as const;

/** Softnets of one user at once that a line may allow: also the number of places kept for each user (places.ts). */
export const MOST_VMS = 4096;
/** The longest prefix that a network for a VM fits into. */
const LONGEST_SUBNET = 30;

export type VmNetType = "nat" | "host" | "private";
const VM_NET_TYPES: readonly VmNetType[] = ["nat", "host", "private"];

/** Defaults for options that the caller does not give. */
export interface Settings {
  readonly vmNetType?: VmNetType;
  readonly ipv6?: boolean;
}

type Setting = { readonly what: "vm-net-type"; readonly type: VmNetType } | { readonly what: "ipv6" };

/** The permissions. Throws UserError with the line's number. `path` is for errors. */
export function parseConf(text: string, path: string): Permission[] {
  return parseLines(text, path).filter((line) => line.what !== "vm-net-type" && line.what !== "ipv6");
}

/** The settings. Throws as `parseConf`; of the lines vm-net-type the last one counts. */
export function parseSettings(text: string, path: string): Settings {
  const lines = parseLines(text, path);
  const setting = lines.findLast((line) => line.what === "vm-net-type");
  const ipv6 = lines.some((line) => line.what === "ipv6");
  return { ...(setting && { vmNetType: setting.type }), ...(ipv6 && { ipv6 }) };
}

function parseLines(text: string, path: string): (Permission | Setting)[] {
  return text.split("\n").flatMap((line, index) => {
    const words = line
      .replace(/#.*/, "")
      .split(/[ \t\r]+/)
      .filter((word) => word !== "");
    if (words.length === 0) return [];
    const refuse = (why: string): never => {
      throw new UserError(`${path} line ${index + 1}: ${why}`);
    };
    return [parseLine(words, refuse)];
  });
}

function parseLine(words: readonly string[], refuse: (why: string) => never): Permission | Setting {
  const [keyword, subject, ...rest] = words;
  if (keyword === "vm-net-type") {
    const type = VM_NET_TYPES.find((each) => each === subject);
    if (type === undefined) return refuse(`vm-net-type wants ${VM_NET_TYPES.join(" or ")}`);
    if (rest.length > 0) return refuse(`${JSON.stringify(rest[0])} is too much: a type is for all users`);
    return { what: "vm-net-type", type };
  }
  if (keyword === "ipv6") {
    if (subject !== undefined) return refuse(`${JSON.stringify(subject)} is too much: ipv6 is for all users`);
    return { what: "ipv6" };
  }
  if (!isKeyword(keyword)) {
    const known = [...Object.keys(PERMISSIONS), "vm-net-type", "ipv6"].join(", ");
    return refuse(`${JSON.stringify(keyword)} is not known: write one of ${known}`);
  }
  if (subject === undefined) return refuse(`${keyword} wants ${PERMISSIONS[keyword]}`);
  const grantee = parseGrantee(rest, refuse);
  switch (keyword) {
    case "allow-ports":
      return { what: "ports", ...parsePorts(subject, refuse), grantee };
    case "allow-subnet":
      return { what: "subnet", subnet: parseSubnet(subject, refuse), grantee };
    case "max-vms":
      return { what: "vms", most: parseMost(subject, refuse), grantee };
    case "allow-new-tap": {
      const isPrefix = subject.endsWith("*");
      return { what: "new-tap", name: parseName(isPrefix ? subject.slice(0, -1) : subject, refuse), isPrefix, grantee };
    }
    default:
      return { what: NAMED[keyword], name: parseName(subject, refuse), grantee };
  }
}

function isKeyword(word: string | undefined): word is Keyword {
  return word !== undefined && Object.hasOwn(PERMISSIONS, word);
}

function parseName(text: string, refuse: (why: string) => never): string {
  if (/^[^\s/:%*]{1,15}$/.test(text)) return text;
  return refuse(`${JSON.stringify(text)} is not an interface's name`);
}

function parseSubnet(text: string, refuse: (why: string) => never): Cidr {
  const subnet = parseCidr(text);
  if (subnet !== undefined && formatCidr(subnet) === text && subnet.length <= LONGEST_SUBNET) return subnet;
  return refuse(`${JSON.stringify(text)} is not a subnet: write A.B.C.D/N with N up to ${LONGEST_SUBNET}`);
}

function parseMost(text: string, refuse: (why: string) => never): number {
  if (/^\d{1,4}$/.test(text) && Number(text) <= MOST_VMS) return Number(text);
  return refuse(`${JSON.stringify(text)} is not a number of VMs: write 0 to ${MOST_VMS}`);
}

function parsePorts(text: string, refuse: (why: string) => never): { first: number; last: number } {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (first >= 1 && first <= last && last <= 65_535) return { first, last };
  return refuse(`${JSON.stringify(text)} is not a port: write 1 to 65535, or FIRST-LAST`);
}

function parseGrantee(words: readonly string[], refuse: (why: string) => never): Grantee {
  const [kind, name, more] = words;
  if (kind === undefined) return { kind: "everybody" };
  if (kind !== "user" && kind !== "group") return refuse(`${JSON.stringify(kind)}: write user NAME or group NAME`);
  if (name === undefined) return refuse(`${kind} wants a name`);
  if (more !== undefined) return refuse(`${JSON.stringify(more)} is too much: one user or group a line`);
  return { kind, name };
}
