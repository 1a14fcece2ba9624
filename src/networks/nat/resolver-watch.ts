/**
 * Follows the host's DNS servers (resolvers.ts): a VPN that comes up, a laptop in another network. The kernel reports when
 * one of the folders changes that the files are in.
 */
import { type FSWatcher, realpathSync, watch } from "node:fs";
import { dirname } from "node:path";
import { hostResolvers, RESOLVER_FILES, readOrNothing } from "./resolvers.ts";

/** Milliseconds: a file is often written in several steps. */
const QUIET = 500;

/** Addresses of IPv4 (numbers), or of both families. */
type Server = number | bigint;

export class ResolverWatch {
  readonly #watchers: FSWatcher[] = [];
  readonly #onChange: (servers: readonly Server[]) => void;
  readonly #find: () => readonly Server[];
  #servers: readonly Server[];
  #timer: NodeJS.Timeout | undefined;

  /** `onChange` is called with the servers that `find` returns, when they are others than `servers` and not none. */
  constructor(
    servers: readonly Server[],
    onChange: (servers: readonly Server[]) => void,
    find: () => readonly Server[] = () => hostResolvers(readOrNothing),
  ) {
    this.#servers = servers;
    this.#onChange = onChange;
    this.#find = find;
    this.#watch();
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.splice(0)) watcher.close();
  }

  #watch(): void {
    for (const folder of folders()) {
      try {
        const watcher = watch(folder, { persistent: false }, this.#changed);
        watcher.on("error", () => watcher.close());
        this.#watchers.push(watcher);
      } catch {
        // No such folder, or no more watches: what is in it is not followed.
      }
    }
  }

  readonly #changed = (_event: string, file: string | null): void => {
    if (file !== null && !RESOLVER_FILES.some((path) => path.endsWith(`/${file}`)) && file !== "resolv.conf") return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#look, QUIET);
    this.#timer.unref();
  };

  readonly #look = (): void => {
    this.close();
    this.#watch(); // a link may lead elsewhere now
    const servers = this.#find();
    if (servers.length === 0 || String(servers) === String(this.#servers)) return;
    this.#servers = servers;
    this.#onChange(servers);
  };
}

/** Where the files are, and where their links lead. */
function folders(): Set<string> {
  return new Set(RESOLVER_FILES.flatMap((path) => [dirname(path), dirname(realPath(path))]));
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
