/**
 * The grammar of /etc/softnet.conf (docs/privileges.md): what root lets ordinary users ask of a softnet that has root's
 * rights, and what softnet shall do where the caller does not say. One a line; `#` begins a comment; what is not
 * understood is an error, never ignored.
 *
 *     allow-bridge br0 user alice     this bridge, for one user
 *     allow-tap vm0 group kvm         this TAP that exists already, for a group's members
 *     allow-ports 80                  this external port below 1024, for everybody
 *     allow-ports 443-500 user 1001   a range
 *     vm-net-type private             macOS: the network's type where --vm-net-type is not given, as by Tart
 */
import { UserError } from "../user-error.ts";

/** For whom a line is: everybody, or the user or group of that name or number. */
export type Grantee = { readonly kind: "everybody" } | { readonly kind: "user" | "group"; readonly name: string };

export type Permission =
  | { readonly what: "bridge" | "tap"; readonly name: string; readonly grantee: Grantee }
  | { readonly what: "ports"; readonly first: number; readonly last: number; readonly grantee: Grantee };

export type VmNetType = "nat" | "host" | "private";
const VM_NET_TYPES: readonly VmNetType[] = ["nat", "host", "private"];

/** What softnet shall do where the caller does not say. */
export interface Settings {
  readonly vmNetType?: VmNetType;
}

type Setting = { readonly what: "vm-net-type"; readonly type: VmNetType };

/** The permissions. Throws UserError with the line's number. `path` is for errors. */
export function parseConf(text: string, path: string): Permission[] {
  return parseLines(text, path).filter((line) => line.what !== "vm-net-type");
}

/** The settings. Throws as `parseConf`; the last line counts. */
export function parseSettings(text: string, path: string): Settings {
  const setting = parseLines(text, path).findLast((line) => line.what === "vm-net-type");
  return setting === undefined ? {} : { vmNetType: setting.type };
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
    if (rest.length > 0) return refuse(`${JSON.stringify(rest[0])} is too much: a type is for everybody`);
    return { what: "vm-net-type", type };
  }
  if (keyword !== "allow-bridge" && keyword !== "allow-tap" && keyword !== "allow-ports") {
    return refuse(`${JSON.stringify(keyword)} is not known: write allow-bridge, allow-tap, allow-ports or vm-net-type`);
  }
  if (subject === undefined) return refuse(`${keyword} wants ${keyword === "allow-ports" ? "a port" : "a name"}`);
  const grantee = parseGrantee(rest, refuse);
  if (keyword === "allow-ports") return { what: "ports", ...parsePorts(subject, refuse), grantee };
  if (!/^[^\s/:%]{1,15}$/.test(subject)) return refuse(`${JSON.stringify(subject)} is not an interface's name`);
  return { what: keyword === "allow-bridge" ? "bridge" : "tap", name: subject, grantee };
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
