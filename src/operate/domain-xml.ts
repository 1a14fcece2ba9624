/**
 * A libvirt domain's XML, as its hooks get it on stdin: name, network cards, and what softnet is asked for in the metadata.
 *
 *     <metadata>
 *       <softnet:vm xmlns:softnet="urn:softnet:libvirt:1">
 *         <softnet:block>@private</softnet:block>
 *         <softnet:reject/>
 *       </softnet:vm>
 *     </metadata>
 *
 * Each element is an option of softnet's. Whoever may define a domain wrote it, so it is hostile: its size and depth are bounded,
 * a document type (and with it every entity of its own) is refused, and only options that say what the VM may send count.
 */
import { SaxesParser, type SaxesTagNS } from "saxes";
import { UserError } from "../user-error.ts";
import { parseMac } from "../wire/address.ts";

export const SOFTNET_NAMESPACE = "urn:softnet:libvirt:1";

/** Bytes. */
export const LARGEST_DOMAIN = 1 << 20;

/** libvirt's own nesting is less than half of it. */
const DEEPEST = 64;
const MOST_CARDS = 64;
const MOST_OPTIONS = 1024;
/** Characters. */
const LONGEST_VALUE = 4096;

/** What the VM may send and get, and nothing that names files, users or interfaces of the host. */
const OPTIONS = new Set([
  "allow",
  "block",
  "only",
  "reject",
  "gateway",
  "gateway-mac",
  "dhcp-server",
  "dhcp-server-mac",
  "vm-ip-address",
  "vm-hostname",
  "ipv6",
  "router6",
  "mtu",
  "no-offloads",
  "no-express-lane",
]);

export interface DomainCard {
  /** libvirt's type: bridge, network, ethernet, user … */
  readonly type: string;
  readonly mac?: string;
  /** The interface on the host, as soon as there is one. */
  readonly target?: string;
}

export interface Domain {
  readonly name: string;
  readonly cards: readonly DomainCard[];
  /** Lines of a VM's file; undefined where the domain does not ask for softnet. */
  readonly options?: readonly string[];
}

/** Throws UserError for anything but a domain. */
export function parseDomain(text: string): Domain {
  if (text.length > LARGEST_DOMAIN) throw refusal(`it has more than ${LARGEST_DOMAIN} bytes`);
  const reader = new DomainReader();
  const parser = new SaxesParser({ xmlns: true });
  parser.on("error", (error) => {
    throw refusal(error.message.slice(0, 120));
  });
  parser.on("doctype", () => {
    throw refusal("a document type is not allowed in it");
  });
  parser.on("opentag", (tag) => reader.open(tag));
  parser.on("closetag", () => reader.close());
  parser.on("text", (part) => reader.text(part));
  parser.on("cdata", (part) => reader.text(part));
  parser.write(text).close();
  return reader.domain();
}

class DomainReader {
  /** Names of the elements that are open; softnet's own begin with its namespace. */
  readonly #open: string[] = [];
  readonly #cards: { type: string; mac?: string; target?: string }[] = [];
  #name = "";
  #options: string[] | undefined;
  #text = "";

  open(tag: SaxesTagNS): void {
    if (this.#open.length >= DEEPEST) throw refusal(`its elements are nested more than ${DEEPEST} deep`);
    const isOwn = tag.uri === SOFTNET_NAMESPACE;
    this.#open.push(isOwn ? `{softnet}${tag.local}` : tag.uri === "" ? tag.local : `{}${tag.local}`);
    this.#text = "";
    const attribute = (name: string): string => tag.attributes[name]?.value ?? "";
    switch (this.#open.join("/")) {
      case "domain/devices/interface":
        if (this.#cards.length >= MOST_CARDS) throw refusal(`it has more than ${MOST_CARDS} interfaces`);
        this.#cards.push({ type: attribute("type") });
        return;
      case "domain/devices/interface/mac":
        this.#cards.at(-1)!.mac = attribute("address");
        return;
      case "domain/devices/interface/target":
        this.#cards.at(-1)!.target = attribute("dev");
        return;
      case `${METADATA}`:
        if (this.#options !== undefined) throw refusal("it has two softnet:vm elements");
        this.#options = [];
    }
  }

  text(part: string): void {
    if (this.#text.length + part.length <= LONGEST_VALUE) this.#text += part;
    else if (this.#isOption()) throw refusal(`a value in softnet:vm has more than ${LONGEST_VALUE} characters`);
  }

  close(): void {
    const value = this.#text.trim();
    if (this.#open.join("/") === "domain/name") this.#name = value;
    else if (this.#isOption()) this.#addOption(this.#open.at(-1)!, value);
    this.#open.pop();
    this.#text = "";
  }

  domain(): Domain {
    if (this.#name === "") throw refusal("it is no domain with a name");
    const options = this.#options === undefined ? {} : { options: this.#options };
    return { name: this.#name, cards: this.#cards, ...options };
  }

  /** Also what is nested too deeply to be one, so that nothing is overlooked there. */
  #isOption(): boolean {
    return this.#open.length > 3 && this.#open.slice(0, 3).join("/") === METADATA;
  }

  #addOption(element: string, value: string): void {
    const name = element.replace("{softnet}", "");
    if (this.#open.length !== 4 || name === element || !OPTIONS.has(name)) {
      throw refusal(`${JSON.stringify(name.slice(0, 40))} in softnet:vm is no option that may stand there`);
    }
    if (/\p{Cc}|(^|\s)#/u.test(value)) throw refusal(`softnet:${name} has a line break or a "#" in its value`);
    if (this.#options!.length >= MOST_OPTIONS) throw refusal(`softnet:vm has more than ${MOST_OPTIONS} options`);
    this.#options!.push(`${name} ${value}`.trim());
  }
}

const METADATA = "domain/metadata/{softnet}vm";

/** Types whose interface on the host softnet can be attached to. */
const ATTACHABLE = new Set(["bridge", "network", "ethernet"]);
const INTERFACE = /^[^\s/:#]{1,15}$/;

/** A card that softnet can be attached to. */
export interface AttachableCard {
  readonly mac: string;
  readonly target: string;
}

/** All cards of a domain. Throws UserError where there is one that would stay without softnet. */
export function attachableCards({ name, cards }: Domain): AttachableCard[] {
  return cards.map(({ type, mac = "", target = "" }) => {
    const who = `domain ${JSON.stringify(name.slice(0, 80))}, interface ${JSON.stringify(mac.slice(0, 20))}`;
    if (!ATTACHABLE.has(type)) {
      throw new UserError(
        `${who}: softnet cannot filter type=${JSON.stringify(type.slice(0, 20))}: use bridge, network or ethernet`,
      );
    }
    if (parseMac(mac) === undefined) throw new UserError(`${who}: it has no MAC address: give it one`);
    if (!INTERFACE.test(target) || target === "." || target === "..") {
      throw new UserError(
        `${who}: it has no interface on the host; where type is network, give it forward mode nat or bridge`,
      );
    }
    return { mac, target };
  });
}

function refusal(why: string): UserError {
  return new UserError(`the domain's XML: ${why}`);
}
