/**
 * HTTP over the kernel's TCP: a server of which a page can be read, to which a password can be sent, and from which
 * bytes of a known pattern can be downloaded; and its client.
 */
import { createServer, request } from "node:http";

export interface WebPlan {
  readonly address: string;
  /** What `GET /` answers. */
  readonly page: string;
}

const PORT = 80;

/** Serves until the process ends. */
export function serveWeb(plan: WebPlan): Promise<void> {
  const server = createServer((incoming, response) => {
    incoming.resume();
    const size = /^\/bytes\/(\d{1,8})$/.exec(incoming.url ?? "")?.[1];
    if (incoming.method === "POST") response.end("welcome");
    else response.end(size === undefined ? plan.page : pattern(Number(size)));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(PORT, plan.address, resolve);
  });
}

export interface WebRequest {
  readonly address: string;
  readonly path?: string;
  /** Sent as a POST when it is there. */
  readonly body?: string;
  /** Milliseconds. */
  readonly timeout: number;
}

/** The answer's body as text; null when none came in time. */
export async function askWeb(asked: WebRequest): Promise<string | null> {
  return (await exchange(asked))?.toString() ?? null;
}

/** Whether `size` bytes arrive, each as it was sent. */
export async function download(asked: WebRequest & { readonly size: number }): Promise<boolean> {
  const body = await exchange({ ...asked, path: `/bytes/${asked.size}` });
  return body?.equals(pattern(asked.size)) ?? false;
}

function exchange(asked: WebRequest): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const outgoing = request(
      {
        host: asked.address,
        port: PORT,
        path: asked.path ?? "/",
        method: asked.body === undefined ? "GET" : "POST",
        agent: false,
        signal: AbortSignal.timeout(asked.timeout),
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("end", () => resolve(Buffer.concat(parts)));
        response.on("error", () => resolve(null));
      },
    );
    outgoing.on("error", () => resolve(null));
    outgoing.end(asked.body);
  });
}

/** Bytes that no shift, gap or repetition leaves as they are. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let index = 0; index < size; index++) bytes[index] = (index * 31 + (index >> 8)) & 255;
  return bytes;
}
