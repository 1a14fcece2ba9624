/**
 * libnftables (libnftables(3)), the library of nft(8): runs commands in nft's language in this process. A table made
 * with `flags owner` belongs to the netlink socket of its context: the kernel removes the table when the last
 * descriptor of that socket is closed, in whichever process that is.
 */
import { readdirSync } from "node:fs";
import koffi from "koffi";
import type { LinuxLibc } from "./libc.ts";
import { SO_PROTOCOL, SOL_SOCKET } from "./libc.ts";
import { NETLINK_NETFILTER } from "./netlink.ts";

const LIBRARY = "libnftables.so.1";

export interface Nftables {
  /** The netlink socket that owns the tables. */
  readonly fd: number;
  /** Runs commands as one transaction. Returns the first line of the error, undefined on success. */
  run(commands: readonly string[]): string | undefined;
}

/** Throws Error where the library is missing or cannot open its socket. */
export function openNftables(libc: LinuxLibc): Nftables {
  const library = koffi.load(LIBRARY);
  const make = library.func("void *nft_ctx_new(uint32_t flags)");
  const bufferOutput = library.func("int nft_ctx_buffer_output(void *context)");
  const bufferError = library.func("int nft_ctx_buffer_error(void *context)");
  const runBuffer = library.func("int nft_run_cmd_from_buffer(void *context, str commands)");
  // The buffers are emptied by reading them.
  const output = library.func("str nft_ctx_get_output_buffer(void *context)");
  const errors = library.func("str nft_ctx_get_error_buffer(void *context)");
  const before = netfilterSockets(libc);
  const context: unknown = make(0);
  const fd = netfilterSockets(libc).find((each) => !before.includes(each));
  if (context === null || fd === undefined) throw new Error("libnftables opens no netlink socket");
  bufferOutput(context);
  bufferError(context);
  return {
    fd,
    run: (commands) => {
      const status: number = runBuffer(context, commands.join("\n"));
      const said: string = errors(context) ?? "";
      output(context);
      if (status === 0) return undefined;
      return firstError(said);
    },
  };
}

/** The error's first line: nft repeats the command below it. */
function firstError(said: string): string {
  const line = said.split("\n").find((text) => /Error: /.test(text)) ?? said.split("\n")[0];
  return line?.replace(/^.*?Error: /, "").trim() || "no reason given";
}

/** Descriptors of this process that are netlink sockets of netfilter's. */
function netfilterSockets(libc: LinuxLibc): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => {
      const value: [number] = [0];
      return libc.getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, value, [4]) === 0 && value[0] === NETLINK_NETFILTER;
    });
}
