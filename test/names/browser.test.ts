/**
 * Rules by name with Chromium, whose hello needs two segments (X25519MLKEM768) and has encrypted_client_hello as GREASE, which
 * tries QUIC where a server offers it, and which uses a connection of HTTP/2 for other names of its certificate:
 * `npm run test:names`.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { lease } from "../lab/harness/clients.ts";
import type { Guest } from "../lab/harness/guest.ts";
import { dropsOf, openNameScene, runNamed, startDnsmasq } from "../lab/harness/names.ts";
import { DNS_SERVER, INTERNET_2, type Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import { makeCertificate, startNginx } from "./harness/tenants.ts";

const BROWSE = fileURLToPath(new URL("tools/browse.sh", import.meta.url));

/** At INTERNET_2, with HTTP/1.1, a connection for each request, and the offer of QUIC. */
const GOOD = "good.example.com";
const SECOND = "second.example.com";
const EVIL = "evil.example.com";
/** At another address, with HTTP/2. */
const KEPT_AT = "93.184.215.1";
const KEPT = "kept.example.com";
const KEPT_SECOND = "kept-second.example.com";
const KEPT_EVIL = "kept-evil.example.com";
const ADDRESSES: readonly (readonly [address: string, names: readonly string[]])[] = [
  [INTERNET_2, [GOOD, SECOND, EVIL]],
  [KEPT_AT, [KEPT, KEPT_SECOND, KEPT_EVIL]],
];
const NAMES = ADDRESSES.flatMap(([, names]) => names);

/** X25519MLKEM768 and encrypted_client_hello (RFC 9849), as tshark shows them. */
const HYBRID = "4588";
const ECH = "65037";

/** A page that asks each of these names for a script, which says by what hello it came; the page says who did not answer. */
function pageOf(names: readonly string[]): string {
  const note = `const note = (text) => document.body.append(text, document.createElement("br"));`;
  const scripts = names.map(
    (name) => `<script src="https://${name}/who.js" onerror="note('${name} failed')"></script>`,
  );
  return `<!doctype html><body><script>${note}</script>${scripts.join("")}</body>`;
}

async function startPages(lab: Lab): Promise<string> {
  const folder = join(lab.directory, "pages");
  mkdirSync(folder);
  const { key, certificate } = makeCertificate(folder, NAMES);
  lab.internet.ip("address", "add", `${KEPT_AT}/32`, "dev", "lo");
  const servers = ADDRESSES.map(([address, names]) => {
    const root = join(folder, address);
    mkdirSync(root);
    writeFileSync(join(root, "index.html"), pageOf(names));
    const once = `    keepalive_timeout 0;\n    add_header Alt-Svc 'h3=":443"; ma=3600';\n`;
    return (
      `  server {\n    listen ${address}:443 ssl${address === KEPT_AT ? " http2" : ""};\n    root ${root};\n    default_type text/html;\n` +
      `    ssl_certificate ${certificate};\n    ssl_certificate_key ${key};\n${address === INTERNET_2 ? once : ""}` +
      "    location = /who.js { default_type text/javascript; " +
      `return 200 'note("$host hello=$ssl_server_name $server_protocol");'; }\n  }\n`
    );
  });
  await startNginx(lab, folder, servers.join(""));
  return certificate;
}

interface Hello {
  readonly name: string;
  /** Bytes of TCP data in the frame that ends it. */
  readonly lastSegment: number;
  /** Bytes of the handshake message. */
  readonly length: number;
  readonly extensions: readonly string[];
  readonly groups: readonly string[];
}

async function hellosIn(lab: Lab, file: string): Promise<Hello[]> {
  const extension = "tls.handshake.extension";
  const groups = `${extension}s_key_share_group`;
  const fields = [`${extension}s_server_name`, "tcp.len", "tls.handshake.length", `${extension}.type`, groups];
  const args = ["-r", file, "-Y", "tls.handshake.type==1", "-T", "fields", ...fields.flatMap((field) => ["-e", field])];
  const { stdout, stderr } = await lab.internet.run("tshark", args);
  const lines = stdout.split("\n").filter((line) => line !== "");
  assert.ok(lines.length > 0, stderr);
  return lines.map((line) => {
    const [name, last, length, types, shares] = line.split("\t") as [string, string, string, string, string];
    return {
      ...{ name, lastSegment: Number(last), length: Number(length) },
      ...{ extensions: types.split(","), groups: shares.split(",") },
    };
  });
}

const NEEDS = {
  ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "openssl", "nginx", "chromium", "certutil", "tcpdump", "tshark"),
  ...LIMIT,
};

suite("rules by name with a browser", () => {
  for (const [how, ...more] of [["in large frames"], ["in two segments", "--no-offloads"]] as const) {
    test(
      `N3 N4 Chromium: its hello ${how} passes with an allowed name, QUIC gives way to TCP, another name fails`,
      NEEDS,
      async (t) => {
        const records = ADDRESSES.flatMap(([address, names]) =>
          names.map((name) => `--host-record=${name},${address}`),
        );
        const resolver = (lab: Lab): Promise<unknown> => startDnsmasq(lab, lab.neighbour, DNS_SERVER, records);
        const list = [GOOD, SECOND, KEPT, KEPT_SECOND].join();
        const { lab, client, guest } = await openNameScene(t, list, resolver, more);
        const certificate = await startPages(lab);
        const bare = await lab.guest({ bare: true });
        await lease(bare);

        /** The lines of the pages' text. */
        const browse = async (who: Guest, ...names: readonly string[]): Promise<string[]> => {
          const folder = join(lab.directory, `browser-${who.link}`);
          mkdirSync(folder);
          const urls = names.map((name) => `https://${name}/`);
          const { stdout, stderr } = await runNamed(lab, who)("sh", BROWSE, folder, certificate, ...urls);
          const lines = [...stdout.matchAll(/([a-z.-]+ (?:hello=[a-z.-]+ HTTP\/[012.]+|failed))<br>/g)].map(
            ([, text]) => text!,
          );
          assert.ok(lines.length > 0, `${stdout}\n${stderr.slice(-4000)}`);
          return lines;
        };
        const own = (name: string): string => `${name} hello=${name} HTTP/${name === KEPT ? "2.0" : "1.1"}`;
        const reused = (name: string): string => `${name} hello=${KEPT} HTTP/2.0`;

        const open = [own(GOOD), own(SECOND), own(EVIL), own(KEPT), reused(KEPT_SECOND), reused(KEPT_EVIL)];
        assert.deepEqual(await browse(bare, GOOD, KEPT), open, "without softnet");

        const file = join(lab.directory, "hellos.pcap");
        const dump = lab.start(lab.internet, "tcpdump", ["-i", "up0", "-U", "-w", file, "tcp port 443"]);
        await dump.line(/listening on/);
        const page = [own(GOOD), own(SECOND), `${EVIL} failed`];
        // A name that is looked up first cannot be reached by a kept connection either.
        const kept = [own(KEPT), reused(KEPT_SECOND), `${KEPT_EVIL} failed`];
        assert.deepEqual(await browse(guest, GOOD, KEPT, GOOD), [...page, ...kept, ...page]);
        const drops = await dropsOf(client!);
        for (const reason of ["name.quic", "dns.denied", "dns.type"]) assert.ok((drops[reason] ?? 0) > 0, reason);
        assert.equal(drops["name.format"], undefined);

        await dump.stop("SIGINT");
        const hellos = await hellosIn(lab, file);
        assert.deepEqual([...new Set(hellos.map(({ name }) => name))].toSorted(), [GOOD, KEPT, SECOND].toSorted());
        for (const { name, length, lastSegment, extensions, groups } of hellos) {
          assert.ok(groups.includes(HYBRID) && extensions.includes(ECH), `${name}: ${groups} ${extensions}`);
          assert.ok(length > 1460, `${name}: ${length} bytes`);
          if (how === "in two segments") assert.ok(lastSegment < length, `${name}: ${length} bytes in one segment`);
        }
      },
    );
  }
});
