/**
 * Offloads that are turned off on either side of softnet: on the guest's card, and on the interface that softnet has on the
 * host. Of all switches on both sides any two stand together in each of their four ways, and TCP and UDP in segments go both
 * ways, compared byte by byte or by digest.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { attachedGuest } from "./harness/attached.ts";
import { lease } from "./harness/clients.ts";
import { pairwise, setFeatures } from "./harness/features.ts";
import type { Guest } from "./harness/guest.ts";
import { attachedNatGuest, natGuest, tapOf } from "./harness/nat.ts";
import { DhcpServer } from "./harness/servers.ts";
import { assertInnocent } from "./harness/softnet.ts";
import { INTERNET, Lab, labNeeds, tool } from "./harness/topology.ts";
import type { Feature } from "./tools/features.ts";

const PYTHON = "/usr/bin/python3";
const BYTES = 1 << 19;
const PORT = "7000";

const OF_TAP: readonly Feature[] = ["tx", "tso", "gso", "gro", "uso"];
/** A TAP leaves no choice about checksums of what it receives. */
const OF_VETH: readonly Feature[] = [...OF_TAP, "rx"];

interface Scene {
  readonly title: string;
  readonly features: readonly Feature[];
  readonly open: (lab: Lab) => Promise<{ readonly guest: Guest; readonly port: string }>;
}

const SCENES: readonly Scene[] = [
  {
    title: "two TAPs, bridge",
    features: OF_TAP,
    open: async (lab) => {
      await DhcpServer.start(lab, "dnsmasq");
      const guest = await lab.guest({ bare: false });
      await lease(guest);
      return { guest, port: tapOf(guest) };
    },
  },
  {
    title: "two TAPs, nat",
    features: OF_TAP,
    open: async (lab) => {
      const guest = await natGuest(lab);
      await lease(guest);
      return { guest, port: tapOf(guest) };
    },
  },
  {
    title: "attached to a veth, bridge",
    features: OF_VETH,
    open: async (lab) => {
      const guest = await attachedGuest(lab, "10.77.0.41");
      return { guest, port: guest.port };
    },
  },
  {
    title: "attached to a veth, nat",
    features: OF_VETH,
    open: async (lab) => {
      const [link, mac] = ["ovm1", "7e:1a:00:00:02:01"];
      const guest = await attachedNatGuest(lab, "veth", { link, mac, args: ["--dns", INTERNET] });
      await lease(guest);
      return { guest, port: `a-${link}` };
    },
  },
];

/** TCP and UDP both ways, intact. */
async function exchange(guest: Guest): Promise<void> {
  assert.equal(await guest.download(BYTES), BYTES, "the download is not intact");
  const upload = await guest.namespace.run(process.execPath, [tool("upload.ts"), `http://${INTERNET}/`, String(BYTES)]);
  assert.equal(upload.stdout.trim(), String(BYTES), `the upload is not intact: ${upload.stderr}`);
  const args = [tool("segments.py"), "exchange", INTERNET, PORT, "1200", "40"];
  const { code, stdout, stderr } = await guest.namespace.run(PYTHON, args);
  assert.equal(code, 0, stderr);
  const [sent, came] = stdout.trim().split(" ");
  assert.equal(came, sent, "the datagrams are not intact");
}

suite("offloads turned off on either side", { concurrency: 1 }, () => {
  for (const { title, features, open } of SCENES) {
    test(`${title}: any two of them in each of their ways`, {
      ...labNeeds("udhcpc", "dnsmasq", "nft"),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await lab.services();
      await lab.start(lab.internet, PYTHON, [tool("segments.py"), "echo", INTERNET, PORT]).line(/^ready$/);
      const { guest, port } = await open(lab);
      for (const row of pairwise(2 * features.length)) {
        const side = (from: number) =>
          Object.fromEntries(features.map((feature, index) => [feature, row[from + index]]));
        const near = await setFeatures(guest.namespace, guest.link, side(0));
        const far = await setFeatures(lab.host, port, side(features.length));
        await t.test(`guest: ${near.join(" ")}; host: ${far.join(" ")}`, () => exchange(guest));
      }
      assertInnocent(await guest.stop());
    });
  }
});
