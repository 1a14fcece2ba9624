/**
 * Web servers with many names on one address, as hosters and CDNs run them: nginx and haproxy. Each tenant says its own name, so
 * that an answer shows whose it was. The address is INTERNET_2, and dnsmasq, the announced server, resolves every name to it.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startDnsmasq } from "../../lab/harness/names.ts";
import { type Program, until } from "../../lab/harness/program.ts";
import { DNS_SERVER, INTERNET_2, type Lab } from "../../lab/harness/topology.ts";

export const ALLOWED = "allowed.example.com";
export const FORBIDDEN = "forbidden.example.com";
/** A tenant whose server answers 421 (RFC 9110 15.5.20) where the request's host is not the hello's. nginx only. */
export const GUARDED = "guarded.example.com";
const TENANTS = [ALLOWED, FORBIDDEN, GUARDED];

/** All tenants' names at the announced server. */
export async function resolveTenants(lab: Lab): Promise<void> {
  const records = TENANTS.map((name) => `--host-record=${name},${INTERNET_2}`);
  await startDnsmasq(lab, lab.neighbour, DNS_SERVER, records);
}

export interface Certificate {
  readonly key: string;
  readonly certificate: string;
}

/** Makes a key, and a certificate for these names that is its own authority, in a folder of the lab's. */
export function makeCertificate(folder: string, names: readonly string[]): Certificate {
  const made = { key: join(folder, "key.pem"), certificate: join(folder, "certificate.pem") };
  const subject = ["-subj", `/CN=${names[0]}`, "-days", "2", "-keyout", made.key, "-out", made.certificate];
  const alternatives = `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`;
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  execFileSync("openssl", ["req", "-x509", ...key, ...subject, "-addext", alternatives], { stdio: "ignore" });
  return made;
}

/** Starts nginx in the internet with these `server` blocks. */
export async function startNginx(lab: Lab, folder: string, servers: string): Promise<void> {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `  ${kind}_temp_path ${join(folder, kind)};\n`,
  );
  const config = join(folder, "nginx.conf");
  writeFileSync(
    config,
    `daemon off;\nmaster_process off;\nuser root;\npid ${join(folder, "pid")};\nerror_log stderr notice;\nevents {}\n` +
      `http {\n  access_log off;\n${temporary.join("")}${servers}}\n`,
  );
  const nginx = lab.start(lab.internet, "nginx", ["-e", "stderr", "-p", folder, "-c", config]);
  await listens(lab, nginx);
}

async function listens(lab: Lab, server: Program): Promise<void> {
  await until(`${server.label} listens`, async () => {
    if (server.exit !== undefined) throw new Error(`${server.label} has ended\n${server.text()}`);
    return (await lab.internet.run("ss", ["-lnt"])).stdout.includes(`${INTERNET_2}:443`);
  });
}

function folderOf(lab: Lab, name: string): string {
  const folder = join(lab.directory, name);
  mkdirSync(folder);
  return folder;
}

export type TenantServer = "nginx" | "haproxy";

export const TENANT_SERVERS: Readonly<Record<TenantServer, (lab: Lab) => Promise<void>>> = {
  /** One certificate for all names; the tenant is chosen by the request's host, which clients of HTTP/2 may change. */
  async nginx(lab) {
    const folder = folderOf(lab, "nginx");
    const { key, certificate } = makeCertificate(folder, TENANTS);
    const servers = TENANTS.map(
      (name) =>
        `  server {\n    listen ${INTERNET_2}:80;\n    listen ${INTERNET_2}:443 ssl http2;\n    server_name ${name};\n` +
        `    ssl_certificate ${certificate};\n    ssl_certificate_key ${key};\n` +
        (name === GUARDED ? "    if ($ssl_server_name != $host) { return 421; }\n" : "") +
        `    return 200 "tenant=${name} hello=$ssl_server_name\\n";\n  }\n`,
    );
    await startNginx(lab, folder, servers.join(""));
  },

  /** A certificate for each name; the tenant of a TLS connection is chosen by the hello, before it is decrypted. */
  async haproxy(lab) {
    const folder = folderOf(lab, "haproxy");
    const tenants = [ALLOWED, FORBIDDEN].map((name, index) => {
      const own = join(folder, name);
      mkdirSync(own);
      const { key, certificate } = makeCertificate(own, [name]);
      const both = join(own, "both.pem");
      writeFileSync(both, execFileSync("cat", [certificate, key]));
      return { name, both, port: 8441 + index, label: name.split(".")[0]! };
    });
    const answer = (name: string): string =>
      `  http-request return status 200 content-type text/plain lf-string "tenant=${name} hello=%[ssl_fc_sni]\\n"\n`;
    const config = join(folder, "haproxy.cfg");
    writeFileSync(
      config,
      "global\n  log stderr format raw local0\n" +
        "defaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  timeout connect 60s\n" +
        `frontend plain\n  bind ${INTERNET_2}:80\n` +
        tenants.map(({ name, label }) => `  use_backend ${label} if { hdr(host) -i ${name} }\n`).join("") +
        tenants.map(({ name, label }) => `backend ${label}\n${answer(name)}`).join("") +
        `frontend by-hello\n  mode tcp\n  bind ${INTERNET_2}:443\n  tcp-request inspect-delay 60s\n` +
        "  tcp-request content accept if { req_ssl_hello_type 1 }\n" +
        tenants.map(({ name, label }) => `  use_backend tls-${label} if { req_ssl_sni -i ${name} }\n`).join("") +
        tenants
          .map(({ label, port }) => `backend tls-${label}\n  mode tcp\n  server own 127.0.0.1:${port}\n`)
          .join("") +
        tenants
          .map(
            ({ name, both, port, label }) =>
              `frontend own-${label}\n  bind 127.0.0.1:${port} ssl crt ${both} alpn h2,http/1.1\n${answer(name)}`,
          )
          .join(""),
    );
    const haproxy = lab.start(lab.internet, "haproxy", ["-db", "-f", config]);
    await listens(lab, haproxy);
  },
};
