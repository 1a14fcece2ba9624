/**
 * `softnet libvirt-hook DOMAIN OPERATION SUB-OPERATION EXTRA`, for /etc/libvirt/hooks/qemu.d: libvirt gives the domain's XML on
 * stdin (libvirt.org/hooks.html).
 *
 * - `start begin`: libvirt has made the TAPs, and has not started QEMU yet. softnet is attached to each, and the hook returns
 *   when all of them filter. If one cannot, the hook fails, and with it the start of the domain.
 * - `release end`: the domain has ended, however that happened. Its softnets are ended, as far as they have not ended with
 *   their interfaces.
 *
 * A domain has softnet where root wrote a file for it, /etc/softnet/vms/NAME.conf, or where its metadata asks for it. The file
 * wins: what the domain's owner wrote does not count then. Nothing here calls libvirt, which waits for the hook.
 */
import { existsSync, mkdirSync, readdirSync, readSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { attachableCards, type Domain, LARGEST_DOMAIN, parseDomain } from "../operate/domain-xml.ts";
import { HOOK_FOLDER, hookFile, hookInstance, hookInstances } from "../operate/hook-files.ts";
import { isVmName } from "../registry/vm-names.ts";
import { UserError } from "../user-error.ts";
import { endSoftnet, startSoftnet } from "./hook-softnets.ts";
import { parseVmConfig } from "./vm-config.ts";
import { existingConfig, readVmConfig } from "./vm-config-file.ts";

const STDIN = 0;

/** Throws UserError: then the domain does not start. */
export async function libvirtHook(name: string, operation: string, subOperation: string): Promise<void> {
  if (operation === "start" && subOperation === "begin") await start(parseDomain(readBounded()), name);
  if (operation === "release" && subOperation === "end") await release(name);
}

async function start(domain: Domain, name: string): Promise<void> {
  if (domain.name !== name) throw new UserError("the domain's XML: its name is not that of the hook's first argument");
  const options = optionsOf(domain);
  if (options === undefined) return;
  const cards = attachableCards(domain);
  mkdirSync(dirname(HOOK_FOLDER), { recursive: true, mode: 0o755 }); // the registry's, which others read
  mkdirSync(HOOK_FOLDER, { recursive: true, mode: 0o700 });
  const files = cards.map(({ mac, target }, index) => {
    const text = [...options, `vm-mac-address ${mac}`, `attach ${target}`, ...nameOf(domain, index)].join("\n");
    parseVmConfig(text, `domain ${name}`); // all of them, before the first one starts
    return { instance: hookInstance(name, index), text };
  });
  try {
    for (const { instance, text } of files) {
      writeFileSync(hookFile(instance), `${text}\n`, { mode: 0o600 });
      await startSoftnet(instance);
    }
  } catch (error) {
    await release(name);
    throw error;
  }
}

/** Lines of a VM's file; undefined where the domain is to have no softnet. Throws UserError. */
function optionsOf(domain: Domain): readonly string[] | undefined {
  const path = existingConfig(domain.name);
  if (path === undefined) return domain.options;
  // These two are the hook's: a file for `softnet run-config` may have them.
  return readVmConfig(path)
    .split("\n")
    .filter((line) => !/^\s*(attach|vm-mac-address|name)\s/.test(line));
}

/** For `softnet list`: the domain's name, with a number from the second card on. */
function nameOf({ name }: Domain, index: number): string[] {
  const own = index === 0 ? name : `${name}-${index + 1}`;
  return isVmName(own) ? [`name ${own}`] : [];
}

async function release(name: string): Promise<void> {
  const files = existsSync(HOOK_FOLDER) ? readdirSync(HOOK_FOLDER) : [];
  for (const instance of hookInstances(name, files)) await endSoftnet(instance);
}

/** stdin, of which libvirt closes its end. Throws UserError where it is too long. */
function readBounded(): string {
  const bytes = Buffer.alloc(LARGEST_DOMAIN + 1);
  let size = 0;
  while (size < bytes.length) {
    const read = readSync(STDIN, bytes, size, bytes.length - size, null);
    if (read === 0) return bytes.toString("utf8", 0, size);
    size += read;
  }
  throw new UserError(`the domain's XML: it has more than ${LARGEST_DOMAIN} bytes`);
}
