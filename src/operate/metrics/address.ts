/** Where `softnet metrics --listen` listens: a unix socket, or a port of this host's loopback. */
import { isIPv4 } from "node:net";
import { UserError } from "../../user-error.ts";

export type ListenAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** Bytes of sockaddr_un.sun_path without its last zero: of Linux; macOS has 103. */
const LONGEST_PATH = 103;

/** Parses `unix:PATH`, `127.0.0.1:PORT` or `[::1]:PORT`. Throws UserError for all else, which names the option. */
export function parseListenAddress(text: string, option = "--listen"): ListenAddress {
  const path = /^unix:([^\0]+)$/.exec(text)?.[1];
  if (path !== undefined && Buffer.byteLength(path) <= LONGEST_PATH) return { path };
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):([1-9]\d{0,4})$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? "";
  const port = Number(digits);
  if (port <= 65_535 && (bracketed === "::1" || (isIPv4(plain ?? "") && host.startsWith("127."))))
    return { host, port };
  throw new UserError(
    `${option} ${JSON.stringify(text)} is not valid: give unix:PATH (at most ${LONGEST_PATH} bytes), 127.0.0.1:PORT or [::1]:PORT; softnet listens on no other address`,
  );
}
