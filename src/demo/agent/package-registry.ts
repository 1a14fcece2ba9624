/**
 * A package registry as npm's is: it describes a package as JSON, which says where its file is and which hash that has.
 * The files have a name of their own, and a third name belongs to somebody else on the same addresses, as at a CDN.
 */
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:https";
import type { TLSSocket } from "node:tls";
import type { TlsKey } from "./web-exchange.ts";

export interface RegistryPlan {
  readonly addresses: readonly string[];
  readonly key: TlsKey;
  readonly registry: string;
  readonly files: string;
}

export const PACKAGE = "left-pad";
export const FILE_SIZE = 300_000; // bytes
const PORT = 443;

/** What a registry says of a package, as far as an installer needs it. */
export interface Description {
  readonly dist: {
    readonly tarball: string;
    /** As of Subresource Integrity: algorithm, hyphen, base64. */
    readonly integrity: string;
  };
}

export function integrityOf(bytes: Uint8Array): string {
  return `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
}

/** Serves until the process ends; by the name in the hello. */
export async function serveRegistry({ addresses, key, registry, files }: RegistryPlan): Promise<void> {
  const file = randomBytes(FILE_SIZE);
  const tarball = `https://${files}/${PACKAGE}.tgz`;
  const description: Description = { dist: { tarball, integrity: integrityOf(file) } };
  for (const address of addresses) {
    const server = createServer({ pskCallback: () => key, ciphers: "PSK" }, (incoming, response) => {
      const name = (incoming.socket as TLSSocket).servername;
      if (name === registry) response.end(JSON.stringify(description));
      else if (name === files) response.end(file);
      else takeIt();
      /** Whoever has the third name confirms what he received. */
      function takeIt(): void {
        const parts: Buffer[] = [];
        incoming.on("data", (part: Buffer) => parts.push(part));
        incoming.on("end", () => response.end(confirmation(Buffer.concat(parts).toString())));
      }
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(PORT, address, resolve);
    });
  }
}

export function confirmation(received: string): string {
  return `received: ${received}`;
}
