/** softnet with real libvirt, by the lines of docs/libvirt.md: as its passt in a user's session, and as its hook. */
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { INTERNET, Lab, labNeeds } from "../lab/harness/topology.ts";
import { KERNEL_ARGUMENTS } from "../lab/qemu/desk.ts";
import { URL, worked } from "../lab/qemu/guest.ts";
import { initramfs, type SystemOptions } from "../lab/qemu/initramfs.ts";
import { kernel, needsKernel } from "../lab/qemu/kernel.ts";
import { executable } from "../support/executable.ts";
import { LIMIT } from "../support/patience.ts";
import { pathOf } from "../support/tools.ts";
import { PrivateHost } from "./harness/private-host.ts";

const MAC = "52:54:00:00:00:01";
/** A user without any rights. */
const USER = 65_534;

/** A domain that boots the lab's system. `card` is its interface, `metadata` what its owner wrote. */
function domain(folder: string, system: SystemOptions, card: string, metadata = ""): string {
  const linux = kernel();
  copyFileSync(linux.image, join(folder, "linux"));
  writeFileSync(join(folder, "initramfs"), initramfs(linux, system));
  return `<domain type="qemu">
  <name>vm1</name>
  ${metadata}
  <memory unit="MiB">256</memory>
  <os>
    <type arch="x86_64" machine="q35">hvm</type>
    <kernel>${folder}/linux</kernel>
    <initrd>${folder}/initramfs</initrd>
    <cmdline>${KERNEL_ARGUMENTS}</cmdline>
  </os>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>${pathOf("qemu-system-x86_64")}</emulator>
    ${card}
    <serial type="file"><source path="${folder}/console"/></serial>
    <memballoon model="none"/>
  </devices>
</domain>`;
}

const PASST_CARD = (folder: string): string => `<interface type="user">
      <backend type="passt" logFile="${folder}/softnet.log"/>
      <mac address="${MAC}"/>
      <model type="virtio"/>
    </interface>`;

/** Sends with an address that is not its own. */
const SPOOF = `ip address add 10.77.0.77/32 dev eth0; ping -c 2 -W 1 -I 10.77.0.77 ${INTERNET}`;

suite("with real libvirt", () => {
  test("a user's session with <backend type='passt'/>: lease, download; a spoofed address is dropped; all ends with the domain", {
    ...needsKernel(),
    ...labNeeds("libvirtd", "virsh", "passt", "qemu-system-x86_64", "busybox", "setpriv"),
    ...LIMIT,
  }, async (t) => {
    const program = executable();
    const lab = Lab.open(t);
    await lab.services();
    const host = await PrivateHost.open(lab);
    const folder = join(lab.directory, "session");
    const bin = join(lab.directory, "bin");
    for (const path of [folder, bin]) mkdirSync(path);
    chmodSync(folder, 0o777);
    copyFileSync(program, join(bin, "softnet"));
    symlinkSync("softnet", join(bin, "passt"));
    writeFileSync(join(folder, "vm1.xml"), domain(folder, { url: URL, last: SPOOF }, PASST_CARD(folder)));
    writeFileSync(join(folder, "console"), "");
    chmodSync(join(folder, "console"), 0o666);
    const asUser = `setpriv --reuid ${USER} --regid ${USER} --clear-groups env HOME=${folder} XDG_RUNTIME_DIR=${folder} PATH=${bin}:$PATH`;
    await host.run(
      `mkdir -p ${folder}/.config/libvirt; printf 'stdio_handler = "file"\\n' >${folder}/.config/libvirt/qemu.conf`,
    );
    await host.run(`chown -R ${USER} ${folder}`);
    host.start(`${asUser} libvirtd`);
    await host.until(`${asUser} virsh -c qemu:///session list >&2`);
    await host.run(`${asUser} virsh -c qemu:///session create ${folder}/vm1.xml`);
    const console = host.start(`tail -n +1 -F ${folder}/console`);
    await worked(console, { isGatewayClosed: true });
    await host.until("! pgrep -x 'softnet|passt'");
    const log = readFileSync(join(folder, "softnet.log"), "utf8");
    assert.match(log, /message=summary .*ipv4\.source=\d/);
    assert.match(log, /message=stopped/);
  });
});
