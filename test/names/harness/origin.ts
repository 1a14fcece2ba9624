/**
 * One nginx that has, under each of its names, what each client of the tests wants: a page, a Debian repository with one package,
 * an npm registry with one package, a Git repository. All by TLS, with a certificate that the clients are given as an authority.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../lab/harness/program.ts";
import { INTERNET_2, type Lab } from "../../lab/harness/topology.ts";
import { makeCertificate, startNginx } from "./tenants.ts";

export const PAGE = "a page of the lab";
export const PACKAGE = "tiny";
export const VERSION = "1.0.0";

export interface Origin {
  /** The file with the authority. */
  readonly authority: string;
}

/** Starts it at INTERNET_2 with these names. */
export async function startOrigin(lab: Lab, names: readonly string[]): Promise<Origin> {
  const folder = join(lab.directory, "origin");
  const made = join(folder, "made");
  mkdirSync(made, { recursive: true });
  const { key, certificate } = makeCertificate(folder, names);
  for (const name of names) {
    const root = join(folder, "www", name);
    mkdirSync(root, { recursive: true });
    writeFileSync(join(root, "page"), `${PAGE}\n`);
    writeDebian(made, join(root, "debian"));
    writeNpm(made, join(root, "npm"), `https://${name}/npm`);
    writeGit(made, join(root, "tiny.git"));
  }
  const socket = join(folder, "cgi");
  const cgi = lab.start(lab.internet, "fcgiwrap", ["-s", `unix:${socket}`], { env: PRIVATE_GIT });
  await until("the CGI server listens", () => {
    if (cgi.exit !== undefined) throw new Error(`it has ended\n${cgi.text()}`);
    return existsSync(socket);
  });
  const parameters = {
    ...{ SCRIPT_FILENAME: "/usr/lib/git-core/git-http-backend", GIT_PROJECT_ROOT: `${join(folder, "www")}/$host` },
    ...{ GIT_HTTP_EXPORT_ALL: "1", PATH_INFO: "$1", REQUEST_METHOD: "$request_method" },
    ...{ QUERY_STRING: "$query_string", CONTENT_TYPE: "$content_type", CONTENT_LENGTH: "$content_length" },
  };
  const lines = Object.entries(parameters).map(([name, value]) => `      fastcgi_param ${name} ${value};\n`);
  const server =
    `  server {\n    listen ${INTERNET_2}:80;\n    listen ${INTERNET_2}:443 ssl http2;\n` +
    `    ssl_certificate ${certificate};\n    ssl_certificate_key ${key};\n    root ${join(folder, "www")}/$host;\n` +
    `    location = /npm/${PACKAGE} { default_type application/json; try_files /npm/${PACKAGE}.json =404; }\n` +
    `    location ~ ^/smart(/.+)$ {\n${lines.join("")}      fastcgi_pass unix:${socket};\n    }\n  }\n`;
  await startNginx(lab, folder, server);
  return { authority: certificate };
}

/** A flat repository (`deb URL ./`) with one package, made the first time. */
function writeDebian(made: string, root: string): void {
  mkdirSync(root);
  const tree = join(made, "debian");
  mkdirSync(join(tree, "DEBIAN"), { recursive: true });
  const control = `Package: ${PACKAGE}\nVersion: ${VERSION}\nArchitecture: all\nMaintainer: softnet lab <lab@example.com>\nDescription: nothing\n`;
  writeFileSync(join(tree, "DEBIAN", "control"), control);
  const file = `${PACKAGE}_${VERSION}_all.deb`;
  execFileSync("dpkg-deb", ["--root-owner-group", "--build", tree, join(root, file)], { stdio: "ignore" });
  const bytes = readFileSync(join(root, file));
  const sum = createHash("sha256").update(bytes).digest("hex");
  writeFileSync(join(root, "Packages"), `${control}Filename: ./${file}\nSize: ${bytes.length}\nSHA256: ${sum}\n`);
}

function writeNpm(made: string, root: string, url: string): void {
  mkdirSync(root);
  mkdirSync(join(made, "package"), { recursive: true });
  writeFileSync(join(made, "package", "package.json"), JSON.stringify({ name: PACKAGE, version: VERSION }));
  const file = `${PACKAGE}-${VERSION}.tgz`;
  execFileSync("tar", ["-czf", join(root, file), "-C", made, "package"]);
  const integrity = `sha512-${createHash("sha512")
    .update(readFileSync(join(root, file)))
    .digest("base64")}`;
  const dist = { tarball: `${url}/${file}`, integrity };
  const versions = { [VERSION]: { name: PACKAGE, version: VERSION, dist } };
  writeFileSync(
    join(root, `${PACKAGE}.json`),
    JSON.stringify({ name: PACKAGE, "dist-tags": { latest: VERSION }, versions }),
  );
}

/** A repository with one commit: for clients that read its files, and below /smart for those that talk with Git. */
function writeGit(made: string, root: string): void {
  const tree = join(made, "git");
  const git = (...args: readonly string[]): void => {
    const who = ["-c", "user.name=lab", "-c", "user.email=lab@example.com", "-c", "init.defaultBranch=main"];
    execFileSync("git", [...who, ...args], { stdio: "ignore", env: { ...process.env, ...PRIVATE_GIT } });
  };
  git("init", tree);
  writeFileSync(join(tree, "README"), `${PAGE}\n`);
  git("-C", tree, "add", "README");
  git("-C", tree, "commit", "--allow-empty", "-m", "A page");
  git("clone", "--bare", tree, root);
  git("-C", root, "update-server-info");
}

/** Git reads nothing that the machine's owner has set. */
export const PRIVATE_GIT = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null", GIT_TERMINAL_PROMPT: "0" };
