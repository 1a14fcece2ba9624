/**
 * Where the libvirt hook keeps the options of the softnets that it starts: one file for each card of a domain, `DOMAIN:NUMBER.conf`,
 * the first card's number being 0. `DOMAIN:NUMBER` is also the instance of softnet@.service, where systemd runs it.
 */

/** Root's alone. */
export const HOOK_FOLDER = "/run/softnet/libvirt";

const SUFFIX = ".conf";
/** What a unit's instance may have (systemd.unit(5)), a colon only where this module puts one. */
const INSTANCE = /^(?:[A-Za-z0-9_.-]|:[0-9A-F]{2})+:\d{1,2}$/;

/** Whether a word is of that form. A VM's name has no colon. */
export function isHookInstance(word: string): boolean {
  return INSTANCE.test(word);
}

export function hookInstance(domain: string, card: number): string {
  return `${encoded(domain)}:${card}`;
}

/** Those of the folder's files that are a domain's instances. */
export function hookInstances(domain: string, files: readonly string[]): string[] {
  return files
    .filter((file) => file.endsWith(SUFFIX))
    .map((file) => file.slice(0, -SUFFIX.length))
    .filter((instance) => isHookInstance(instance) && instance.replace(/:\d+$/, "") === encoded(domain));
}

export function hookFile(instance: string): string {
  return `${HOOK_FOLDER}/${instance}${SUFFIX}`;
}

/** Every byte but letters, digits and `_.-` as a colon and two hexadecimal digits: no two names become the same. */
function encoded(domain: string): string {
  return [...Buffer.from(domain)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[A-Za-z0-9_.-]/.test(character) ? character : `:${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
}
