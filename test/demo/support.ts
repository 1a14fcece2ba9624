/** What tests of the demo need around it. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";

const PLACES = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/**
 * A command that runs where a file lies over a program, wherever softnet looks for that: in a mount namespace of its own,
 * so that nobody else misses the program. Over it with /dev/null, it cannot be executed.
 */
export function maskedCommand(program: string, file: string, command: readonly string[]): string[] {
  const places = PLACES.map((place) => `${place}/${program}`).filter(existsSync);
  const script = 'file=$1; shift; for place in $PLACES; do mount --bind "$file" "$place" || exit 99; done; exec "$@"';
  return ["unshare", "--mount", "env", `PLACES=${places.join(" ")}`, "sh", "-c", script, "sh", file, ...command];
}

/** A command that runs where the kernel seems to have no IPv6: an empty folder lies over its settings, for it alone. */
export function withoutIPv6Command(empty: string, command: readonly string[]): string[] {
  const script = 'mount --bind "$1" /proc/sys/net/ipv6 || exit 99; shift; exec "$@"';
  return ["unshare", "--mount", "sh", "-c", script, "sh", empty, ...command];
}

/** The processes in all namespaces of one demo. */
export function inhabitants(demo: number): string[] {
  const ip = (...args: string[]) => execFileSync("ip", args, { encoding: "utf8" }).split("\n").filter(Boolean);
  const names = ip("netns", "list").map((line) => line.split(" ")[0]!);
  return names.filter((name) => name.startsWith(`softnet-demo-${demo}-`)).flatMap((name) => ip("netns", "pids", name));
}
