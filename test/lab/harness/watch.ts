/** Frames seen on a link, as an independent program (tools/watch.py) tells them. */
import type { Namespace } from "./netns.ts";
import { type Program, until } from "./program.ts";
import { type Lab, tool } from "./topology.ts";

/** A frame's fields; those of the layers that it has. */
export interface Seen {
  /** True when the link's own namespace sent it. */
  readonly sent: boolean;
  /** Milliseconds since 1970, when the kernel had the frame at this link. */
  readonly time: number;
  readonly length: number;
  readonly source: string;
  readonly destination: string;
  readonly type: number;
  readonly arp?: {
    readonly operation: number;
    readonly senderMac: string;
    readonly sender: string;
    readonly target: string;
  };
  readonly ip?: { readonly source: string; readonly destination: string; readonly protocol: number };
  readonly ip6?: {
    readonly source: string;
    readonly destination: string;
    /** Numbers of the extension headers, in order. */
    readonly extensions: readonly number[];
    /** Behind them. */
    readonly protocol: number;
    /** ICMPv6's type, and the target of a neighbour solicitation or advertisement. */
    readonly icmp?: number;
    readonly target?: string;
    readonly udp?: { readonly source: number; readonly destination: number };
  };
  readonly udp?: { readonly source: number; readonly destination: number };
  readonly dhcp?: {
    readonly operation: number;
    readonly xid: number;
    readonly ciaddr: string;
    readonly yiaddr: string;
    readonly chaddr: string;
    /** Option 53. */
    readonly type?: number;
    /** Option 50. */
    readonly requested?: string;
    /** Option 54. */
    readonly server?: string;
    /** Option 61, hexadecimal. */
    readonly clientIdentifier?: string;
  };
}

export class Watch {
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
  }

  static async start(lab: Lab, namespace: Namespace, link: string): Promise<Watch> {
    const program = lab.start(namespace, "/usr/bin/python3", [tool("watch.py"), link]);
    await program.line(/^ready$/);
    return new Watch(program);
  }

  /** All frames so far. */
  get frames(): Seen[] {
    return this.#program.stdout.slice(1).map((line) => JSON.parse(line) as Seen);
  }

  count(matches: (frame: Seen) => boolean): number {
    return this.frames.filter(matches).length;
  }

  some(matches: (frame: Seen) => boolean): boolean {
    return this.frames.some(matches);
  }

  /** Waits until a frame matches, and answers the first that does. */
  async until(what: string, matches: (frame: Seen) => boolean, timeout?: number): Promise<Seen> {
    return await until(what, () => this.frames.find(matches), timeout);
  }
}
