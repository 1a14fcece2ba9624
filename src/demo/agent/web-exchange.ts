/** One request by HTTP or HTTPS to an address, with any name in the TLS hello or in the Host field. */
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";

/**
 * Client and server of the demo know each other by a key made for it (TLS with a pre-shared key, RFC 8446 2.2), so that
 * no certificate is needed.
 */
export type TlsKey = Uint8Array;

export interface WebExchange {
  readonly address: string;
  /** The name in the hello and in the Host field. */
  readonly name: string;
  /** HTTPS with it, HTTP without. */
  readonly key?: TlsKey;
  readonly path?: string;
  /** Sent as a POST when it is there. */
  readonly body?: string;
  /** Milliseconds. */
  readonly timeout: number;
}

/** The body, or Node's code of the error: `ECONNREFUSED`, `ECONNRESET`; `ABORT_ERR` when the time was up. */
export type WebAnswer = { readonly body: Uint8Array } | { readonly code: string };

export function exchange({ address, name, key, path = "/", body, timeout }: WebExchange): Promise<WebAnswer> {
  const method = body === undefined ? "GET" : "POST";
  const options = {
    ...{ host: address, path, method, headers: { host: name }, agent: false as const },
    signal: AbortSignal.timeout(timeout),
  };
  const psk = { pskCallback: () => ({ psk: key!, identity: "demo" }), ciphers: "PSK" };
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException) => resolve({ code: String(error.code) });
    const outgoing =
      key === undefined
        ? requestHttp(options)
        : requestHttps({ ...options, ...psk, servername: name, checkServerIdentity: () => undefined });
    outgoing.on("error", fail);
    outgoing.on("response", (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => resolve({ body: Buffer.concat(parts) }));
      response.on("error", fail);
    });
    outgoing.end(body);
  });
}
