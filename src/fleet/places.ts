/**
 * Where a fleet's state stands in NATS, so that rights can be given by subject (docs/fleet.md, Rights):
 *
 *   KV bucket softnet_policy    all | host.HOST | group.LABEL | vm.NAME     documents (document.ts)
 *   KV bucket softnet_state     HOST.VM                                     what an agent sees of a VM; ends by itself
 *   softnet.ask.HOST.VM         questions to one VM, answered by its host's agent
 *   softnet.event.HOST.VM       drops and bindings as they happen
 *
 * A name is one token of a subject: what may not stand in one, a dot, is written as =2E.
 */
export const POLICY_BUCKET = "softnet_policy";
export const STATE_BUCKET = "softnet_state";

/** Milliseconds after which a VM that no agent tells of is forgotten, and between two times that it is told of. */
export const STATE_LIFE = 30_000;
export const STATE_INTERVAL = 5_000;

/** Earlier revisions of a document that are kept. */
export const HISTORY = 16;

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$/;

/** Whether hosts, labels and VMs may be called so. */
export function isFleetName(text: string): boolean {
  return NAME.test(text);
}

export function token(name: string): string {
  return name.replaceAll(".", "=2E");
}

export function nameOf(token: string): string {
  return token.replaceAll("=2E", ".");
}

export const ALL_KEY = "all";
export const hostKey = (host: string): string => `host.${token(host)}`;
export const groupKey = (label: string): string => `group.${token(label)}`;
export const vmKey = (name: string): string => `vm.${token(name)}`;
export const stateKey = (host: string, vm: string): string => `${token(host)}.${token(vm)}`;

export const askSubject = (host: string, vm: string): string => `softnet.ask.${token(host)}.${token(vm)}`;
export const eventSubject = (host: string, vm: string): string => `softnet.event.${token(host)}.${token(vm)}`;

/** Where the answers to an agent's own questions come. */
export const inboxOf = (host: string): string => `_INBOX.softnet.${token(host)}`;

/** What a key of the policy bucket is for people, `group web`; undefined for one that is no document's. */
export function describeKey(key: string): string | undefined {
  if (key === ALL_KEY) return "all";
  const [kind = "", name = "", more] = key.split(".");
  if (more !== undefined || !["host", "group", "vm"].includes(kind) || !isFleetName(nameOf(name))) return undefined;
  return `${kind} ${nameOf(name)}`;
}
