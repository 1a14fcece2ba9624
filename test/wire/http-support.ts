/** Heads of HTTP for tests, in chunks of any size. */
import { formatDomainName } from "../../src/wire/domain-name.ts";
import { HEAD_NAMED, HttpHead } from "../../src/wire/http-head.ts";

/** Feeds chunks of these sizes, the last one again and again; around a chunk in memory is what must not be read. */
export function feedHead(reader: HttpHead, text: string, sizes: readonly number[]): void {
  const stream = Buffer.from(text, "latin1");
  let at = 0;
  for (let index = 0; at < stream.length; index++) {
    const size = Math.min(sizes[Math.min(index, sizes.length - 1)]!, stream.length - at);
    const memory = Buffer.concat([Buffer.from("\r\n"), stream.subarray(at, at + size), Buffer.from("\r\n\r\n")]);
    reader.feed(memory, 2, size);
    at += size;
  }
}

/** The host and its port, or what else the reader says. */
export function readHead(text: string, sizes: readonly number[] = [text.length || 1]): string | number {
  const reader = new HttpHead();
  reader.start();
  feedHead(reader, text, sizes);
  return saidOf(reader);
}

export function saidOf({ state, host }: HttpHead): string | number {
  if (state !== HEAD_NAMED) return state;
  return host.port === 0 ? formatDomainName(host.name.labels) : `${formatDomainName(host.name.labels)}:${host.port}`;
}
