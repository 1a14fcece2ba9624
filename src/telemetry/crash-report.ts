/**
 * Sends one crash (crash.ts) to Sentry, in a process of its own. Only this process loads Sentry's package, and only its
 * core, which patches no other module and installs no handlers.
 */
import { arch, platform, release } from "node:os";
import { createStackParser, createTransport } from "@sentry/core";
import { ServerRuntimeClient } from "@sentry/core/server";
import { CRASH, type Crash } from "./crash.ts";

const TIMEOUT = 5_000; // milliseconds

/** Sends the crash in the environment. A report that cannot be sent is lost, since the crashed process has ended. */
export async function sendCrashReport(environment: NodeJS.ProcessEnv, version: string): Promise<void> {
  const { SENTRY_DSN, CIRRUS_SENTRY_TAGS = "", [CRASH]: text } = environment;
  if (SENTRY_DSN === undefined || text === undefined) return;
  const { type, value, frames } = JSON.parse(text) as Crash;
  const client = new ServerRuntimeClient({
    dsn: SENTRY_DSN,
    release: `softnet@${version}`,
    platform: "node",
    runtime: { name: "node", version: process.version },
    integrations: [],
    stackParser: createStackParser(),
    transport: (options) => createTransport(options, ({ body }) => post(options.url, body)),
  });
  client.captureEvent({
    level: "fatal",
    tags: parseTags(CIRRUS_SENTRY_TAGS),
    contexts: { os: { name: platform(), version: release() }, device: { arch: arch() } },
    // Sentry expects the innermost frame last.
    exception: { values: [{ type, value, stacktrace: { frames: frames.toReversed() } }] },
  });
  await client.flush(TIMEOUT);
}

/** Parses `key=value,key=value`; entries without a key or a value are ignored. */
export function parseTags(text: string): Record<string, string> {
  const pairs = text.split(",").map((pair): [string, string] => {
    const middle = pair.indexOf("=");
    return middle < 0 ? ["", ""] : [pair.slice(0, middle).trim(), pair.slice(middle + 1).trim()];
  });
  return Object.fromEntries(pairs.filter(([key, value]) => key !== "" && value !== ""));
}

async function post(url: string, body: string | Uint8Array) {
  const bytes = typeof body === "string" ? body : new Uint8Array(body);
  const response = await fetch(url, { method: "POST", body: bytes, signal: AbortSignal.timeout(TIMEOUT) });
  await response.arrayBuffer();
  return { statusCode: response.status };
}
