/** H12 the host's DNS servers change under a running VM: they are followed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { LIMIT } from "../../support/patience.ts";
import { needs, needsRoot } from "../../support/tools.ts";

const WATCHER = `
import { ResolverWatch } from "${new URL("../../../src/networks/nat/resolver-watch.ts", import.meta.url)}";
import { formatResolvers, hostResolvers, readOrNothing } from "${new URL("../../../src/networks/nat/resolvers.ts", import.meta.url)}";
const before = hostResolvers(readOrNothing);
new ResolverWatch(before, (servers) => console.log(formatResolvers(servers)));
setInterval(() => {}, 1000);
console.log("watches", formatResolvers(before));
`;

/** Mounts of its own, so that the machine's files stay as they are. */
const SCRIPT = `
mount -t tmpfs none /mnt && cp -L /etc/resolv.conf /mnt/host 2>/dev/null
mkdir /mnt/etc && mount --bind /mnt/etc /etc || exit 1
echo "nameserver 192.0.2.1" > /etc/resolv.conf
exec "$0" --input-type=module-typescript -e "$1"
`;

test("H12 resolv.conf that is written, replaced, or a link that leads elsewhere is followed; an empty one is not", {
  ...needsRoot(),
  ...needs("unshare"),
  ...LIMIT,
}, async (t) => {
  const child = spawn("unshare", ["--mount", "sh", "-c", SCRIPT, process.execPath, WATCHER], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => (await lines.next()).value as string;
  const change = (script: string): void => {
    // Where the test itself runs in a chroot, --root is what leads to its files; never to those of the machine.
    const guarded = `grep -q " /etc " /proc/self/mounts || exit 1; ${script}`;
    const within = spawn("nsenter", ["--target", String(child.pid), "--mount", "--root", "sh", "-c", guarded], {
      stdio: "inherit",
    });
    t.after(() => within.kill("SIGKILL"));
  };
  assert.equal(await next(), "watches 192.0.2.1");
  change("echo nameserver 192.0.2.2 > /etc/resolv.conf");
  assert.equal(await next(), "192.0.2.2");
  change("echo nameserver 192.0.2.3 > /etc/new; mv /etc/new /etc/resolv.conf");
  assert.equal(await next(), "192.0.2.3");
  change(
    "mkdir /etc/vpn; echo nameserver 192.0.2.4 > /etc/vpn/resolv.conf; ln -sf /etc/vpn/resolv.conf /etc/resolv.conf",
  );
  assert.equal(await next(), "192.0.2.4");
  change("echo > /etc/vpn/resolv.conf; sleep 2; echo nameserver 192.0.2.5 > /etc/vpn/resolv.conf");
  assert.equal(await next(), "192.0.2.5");
});
