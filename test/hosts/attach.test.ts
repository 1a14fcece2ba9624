/**
 * softnet attached to what real programs made, with the lines of docs/attach.md: a libvirt domain's vnetN, the veth of a
 * container of Docker's, and of one of podman's.
 */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { DhcpServer } from "../lab/harness/servers.ts";
import { Softnet, softnetCommand } from "../lab/harness/softnet.ts";
import { GATEWAY, INTERNET, Lab, labNeeds, NEIGHBOUR } from "../lab/harness/topology.ts";
import { KERNEL_ARGUMENTS } from "../lab/qemu/desk.ts";
import { blocks } from "../lab/qemu/document.ts";
import { URL, worked } from "../lab/qemu/guest.ts";
import { initramfs } from "../lab/qemu/initramfs.ts";
import { kernel, needsKernel } from "../lab/qemu/kernel.ts";
import { LIMIT } from "../support/patience.ts";
import { pathOf } from "../support/tools.ts";
import { Docker } from "./harness/firewalls.ts";
import { PrivateHost } from "./harness/private-host.ts";

const MAC = "52:54:00:00:00:01";

/** Pastes lines of the documentation, with this source as `softnet`. Processes of the host have numbers of their own. */
function paste(host: PrivateHost, lines: string): Softnet {
  const log = ["--log-format", "json", "--log-level", "debug"];
  const command = softnetCommand([]).map((word) => `'${word}'`);
  const pid = join(host.lab.directory, "softnet.pid");
  const script = join(host.lab.directory, "paste.sh");
  writeFileSync(
    script,
    `set -e\nsoftnet() { echo $$ >${pid}; exec ${command.join(" ")} "$@" ${log.join(" ")}; }\n${lines}`,
  );
  const program = host.start(`bash ${script}`);
  return new Softnet(program, {
    signal: async (signal) => void (await host.run(`kill -${signal.slice(3)} $(cat ${pid})`)),
    ended: (timeout) => program.ended(timeout),
  });
}

/** A domain that boots the lab's system, on the lab's bridge. */
function domain(folder: string): string {
  const linux = kernel();
  copyFileSync(linux.image, join(folder, "linux"));
  writeFileSync(join(folder, "initramfs"), initramfs(linux, { url: URL }));
  return `<domain type="qemu">
  <name>vm1</name>
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
    <interface type="bridge">
      <source bridge="br0"/>
      <mac address="${MAC}"/>
      <model type="virtio"/>
    </interface>
    <serial type="file"><source path="${folder}/console"/></serial>
    <memballoon model="none"/>
  </devices>
</domain>`;
}

/** libvirt's QEMU without a user, a confinement and control groups of its own, of which a private host has none. */
const QEMU_CONF =
  'user = "root"\ngroup = "root"\nsecurity_driver = "none"\ncgroup_controllers = [ ]\nnamespaces = [ ]\nstdio_handler = "file"\n';

/** Programs that run containers, without limits for them, of which a private host has none. */
const ENGINES = [
  {
    name: "Docker",
    program: "docker",
    tools: ["dockerd"],
    options: "--cgroupns host",
    start: (host: PrivateHost) => new Docker().start(host),
    tidy: "true",
  },
  {
    name: "podman",
    program: "podman",
    tools: ["podman", "netavark"],
    options: "--cgroupns host --pids-limit 0 --cap-add NET_RAW",
    start: async (host: PrivateHost) => {
      await host.run(`printf '${CONTAINERS_CONF}' >/etc/containers/containers.conf`);
      await host.run(`printf '${STORAGE_CONF}' >/etc/containers/storage.conf`);
    },
    // What it leaves of control groups, which are the machine's.
    tidy: "find /sys/fs/cgroup/libpod_parent -depth -type d -exec rmdir {} +",
  },
] as const;

/** podman, with all that it keeps in memory. */
const CONTAINERS_CONF =
  '[engine]\\ncgroup_manager = "cgroupfs"\\nevents_logger = "none"\\n[network]\\nnetwork_backend = "netavark"\\n';
const STORAGE_CONF = '[storage]\\ndriver = "vfs"\\nrunroot = "/run/podman"\\ngraphroot = "/run/podman-data"\\n';

suite("attached to what real programs made", () => {
  test("a libvirt domain's vnetN: lease, ping, TCP download; softnet ends with the domain", {
    ...needsKernel(),
    ...labNeeds("libvirtd", "virsh", "dbus-daemon", "qemu-system-x86_64", "busybox", "dnsmasq", "nft"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await Promise.all([DhcpServer.start(lab, "dnsmasq"), lab.services()]);
    const host = await PrivateHost.open(lab);
    const folder = join(lab.directory, "domain");
    mkdirSync(folder);
    writeFileSync(join(folder, "vm1.xml"), domain(folder));
    writeFileSync(join(folder, "console"), "");
    await host.run(`printf '${QEMU_CONF.replaceAll("\n", "\\n")}' > /etc/libvirt/qemu.conf`);
    await host.run("dbus-daemon --system --fork --nopidfile");
    host.start("libvirtd");
    await host.until("virsh -c qemu:///system list >&2");
    await host.run(`virsh -c qemu:///system create ${folder}/vm1.xml`);
    const console = host.start(`tail -n +1 -F ${folder}/console`);
    const [lines] = blocks("libvirt", "sh", "attach.md");
    const softnet = paste(host, lines!);
    await softnet.ready();
    await worked(console, { router: GATEWAY });
    assert.deepEqual((await softnet.ended()).exit, { code: 0, signal: null });
    assert.match(String(softnet.records.find(({ message }) => message === "started")?.vm), /^attach vnet\d+$/);
  });

  for (const engine of ENGINES) {
    test(`a container of ${engine.name}: what the policy allows passes, what it does not drops`, {
      ...labNeeds(...engine.tools, "iptables", "busybox", "nft"),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await lab.services();
      const host = await PrivateHost.open(lab);
      await engine.start(host);
      const root = join(lab.directory, "image");
      mkdirSync(join(root, "bin"), { recursive: true });
      copyFileSync(pathOf("busybox")!, join(root, "bin/busybox"));
      const { program } = engine;
      await host.run(`tar -C ${root} -c . | ${program} import - box`);
      await host.run(`${program} run --detach --name web ${engine.options} box /bin/busybox sleep 100000`);
      const reach = async (address: string): Promise<boolean> =>
        (await host.attempt(`${program} exec web /bin/busybox ping -c 3 -W 2 ${address}`)).code === 0;
      assert.ok(await reach(NEIGHBOUR), "without softnet the container does not reach the neighbour");
      const [lines] = blocks("Docker and podman", "sh", "attach.md");
      const softnet = paste(host, lines!.replace("engine=docker", `engine=${program}`));
      await softnet.ready();
      assert.ok(await reach(INTERNET));
      assert.equal(await reach(NEIGHBOUR), false);
      const download = `${program} exec web /bin/busybox wget -q -O /dev/null http://${INTERNET}/1000000`;
      await host.run(download);
      await softnet.stop();
      assert.equal(await reach(INTERNET), false, "closed");
      await host.run(`${program} rm --force web`);
      await host.run(engine.tidy);
    });
  }
});
