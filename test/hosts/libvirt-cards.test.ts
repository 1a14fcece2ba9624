/** Cards that are plugged into a running domain of the real libvirt, for which it runs no hook: list, top and metrics show them. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { softnetCommand } from "../lab/harness/softnet.ts";
import { BRIDGE } from "../lab/harness/topology.ts";
import { URL } from "../lab/qemu/guest.ts";
import { MARK } from "../lab/qemu/initramfs.ts";
import { asks, CARD, domain, MAC, NEEDS, scene } from "./harness/libvirt.ts";

const PLUGGED = "52:54:00:00:00:02";
const VIRSH = "virsh -c qemu:///system";
/** The system does nothing more; the test ends it. */
const STAYS = { url: URL, first: `echo "${MARK} stays"; sleep 100000` };
const softnet = (...words: readonly string[]): string => softnetCommand(words).join(" ");

test(
  "a card that is plugged into a running domain is UNGUARDED until softnet is attached, or it is unplugged",
  NEEDS,
  async (t) => {
    const { host, folder } = await scene(t);
    const row = async (mac: string): Promise<string[] | undefined> =>
      (await host.run(softnet("list")))
        .split("\n")
        .map((line) => line.split(/ {2,}/))
        .find(([, found]) => found === mac);
    const unguarded = async (): Promise<string> =>
      /^softnet_unguarded_interfaces\{vm="vm1"\} (\d+)$/m.exec(await host.run(softnet("metrics")))?.[1] ?? "none";
    const top = async (): Promise<string> => await host.run(softnet("top", "--once", "--interval", "1"));

    writeFileSync(join(folder, "vm1.xml"), domain(folder, STAYS, CARD, asks("")));
    await host.run(`${VIRSH} create ${folder}/vm1.xml`);
    await host.start(`tail -n +1 -F ${folder}/console`).line(new RegExp(`${MARK} stays`));
    const [name, , state, first] = (await row(MAC))!;
    assert.deepEqual([name, state], ["vm1", "live"]);
    assert.equal(await unguarded(), "0");

    writeFileSync(join(folder, "card.xml"), CARD.replace(MAC, PLUGGED));
    await host.run(`${VIRSH} attach-device vm1 ${folder}/card.xml`);
    const [domainName, , shown, plugged, ...more] = (await row(PLUGGED))!;
    assert.deepEqual([domainName, shown], ["vm1", "UNGUARDED"]);
    assert.match(plugged!, /^vnet\d+$/);
    assert.notEqual(plugged, first);
    assert.equal(more.at(-1), `bridge ${BRIDGE}`);
    t.diagnostic((await host.run(softnet("list"))).trimEnd());
    assert.equal(await unguarded(), "1");
    assert.match(await top(), new RegExp(`^UNGUARDED: vm1 ${PLUGGED} ${plugged}, bridge ${BRIDGE}$`, "m"));
    const other = await host.attempt(`setpriv --reuid=65534 --clear-groups ${softnet("list")}`);
    assert.equal(other.code, 0, other.stderr);
    assert.match(other.stderr, /libvirt's domains \(1 run\).*only root sees/);

    const attached = host.start(softnet("attach", plugged!, "--vm-mac-address", PLUGGED, "--name", "vm1-2"));
    await attached.line(/message=started/);
    assert.deepEqual((await row(PLUGGED))!.slice(0, 4), ["vm1-2", PLUGGED, "live", plugged]);
    assert.equal(await unguarded(), "0");
    assert.doesNotMatch(await top(), /UNGUARDED/);
    const { pid } = JSON.parse((await host.run(`${softnet("list", "--json")} | grep ${PLUGGED}`)).trim());
    await host.run(`kill -s KILL ${pid}`);
    await attached.ended();
    assert.equal((await row(PLUGGED))![2], "closed");
    assert.equal(await unguarded(), "0", "a closed card passes nothing");

    await host.run(softnet("detach", plugged!));
    assert.equal((await row(PLUGGED))![2], "UNGUARDED");
    await host.run(`${VIRSH} detach-device vm1 ${folder}/card.xml`);
    await host.until(`! ${softnet("list")} | grep -q UNGUARDED`);
    assert.equal(await unguarded(), "0");
    assert.equal((await row(MAC))![2], "live", "the first card was never open");
    await host.run(`${VIRSH} destroy vm1`);
    await host.until(`! ${softnet("metrics")} | grep -q unguarded_interfaces.*vm1`);
  },
);

test("a domain that asks for softnet where no hook is installed runs, and its card is UNGUARDED", NEEDS, async (t) => {
  const { host, folder } = await scene(t);
  await host.run("rm /etc/libvirt/hooks/qemu.d/softnet");
  writeFileSync(join(folder, "vm1.xml"), domain(folder, STAYS, CARD, asks("")));
  await host.run(`${VIRSH} create ${folder}/vm1.xml`);
  assert.match(
    await host.run(softnet("list")),
    new RegExp(`^vm1 +${MAC} +UNGUARDED +vnet\\d+ .*bridge ${BRIDGE}$`, "m"),
  );
  await host.run(`${VIRSH} destroy vm1`);
  assert.equal(await host.run(softnet("list")), "");
});
