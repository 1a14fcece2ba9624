/**
 * The methods of the control channel. `softnet.policy.get` and `.set` are an interface that other programs depend on.
 * Parameters are checked strictly: a missing, unknown or duplicate one is refused.
 */
import type { NameQuestion, PolicyQuestion } from "../guard/types.ts";
import { nameAdvice } from "../policy/name-advice.ts";
import { parsePolicyRules } from "../policy/only.ts";
import type { Rule } from "../policy/rule.ts";
import { UserError } from "../user-error.ts";
import { formatIPv4, parseIPv4 } from "../wire/address.ts";
import { parseDomainName } from "../wire/domain-name.ts";
import { formatIPv6, parseIPv6 } from "../wire/ipv6-address.ts";
import type { Channel } from "./channel.ts";
import type { Events } from "./events.ts";
import { type Json, JsonArray, JsonNumber, JsonObject } from "./json.ts";
import type { LivePolicy } from "./live-policy.ts";
import { INVALID_PARAMS, METHOD_NOT_FOUND, type Request, RpcError, surplusKey, unsigned64 } from "./rpc.ts";

/** What the methods read and change. */
export interface ControlTarget {
  readonly policy: LivePolicy;
  readonly events: Events;
  /** Whether the network isolates the VM from other VMs. */
  readonly isolated: boolean;
  /** Both return an object that is sent as JSON; `explain` throws UserError for what cannot be asked. */
  status(): object;
  explain(question: PolicyQuestion): object;
  explainName(question: NameQuestion): object;
  /** What was asked and said by name, counted name by name. */
  names(): readonly object[];
  /** The limits in force, and what they held back; `setLimits` replaces them, or throws UserError and changes nothing. */
  limits(): object;
  setLimits(text: string): void;
  /** Whether the express lane passes anything from now on: returns its state, or why there is none. */
  turnLane(on: boolean): object | string;
}

/** Returns the result of a request as JSON. Throws RpcError. */
export function answerRequest(target: ControlTarget, { method, params }: Request, channel: Channel): string {
  switch (method) {
    case "softnet.policy.get":
      members(params, []);
      return policyResult(target.policy);
    case "softnet.policy.set":
      return setPolicy(target, members(params, ["allow", "block", "only", "desiredRevision", "isolation"]));
    case "softnet.status":
      members(params, []);
      return JSON.stringify(target.status());
    case "softnet.lane.set":
      return setLane(target, members(params, ["state"]));
    case "softnet.limits.get":
      members(params, []);
      return JSON.stringify(target.limits());
    case "softnet.limits.set":
      return setLimits(target, members(params, ["limits"]));
    case "softnet.explain":
      return explain(target, members(params, ["direction", "protocol", "remote", "port"]));
    case "softnet.names":
      members(params, []);
      return JSON.stringify({ names: target.names() });
    case "softnet.events":
      members(params, []);
      target.events.subscribe(channel);
      return '{"subscribed":true}';
    default:
      throw new RpcError(METHOD_NOT_FOUND, `there is no method ${JSON.stringify(method)}`);
  }
}

type Members = ReadonlyMap<string, Json>;

/** The parameters by name; absent params and null are an empty map. */
function members(params: Json | undefined, known: readonly string[]): Members {
  if (params === undefined) return new Map();
  if (!(params instanceof JsonObject)) throw wrong("params are not an object");
  if (params.duplicate !== undefined) throw wrong(`the key ${JSON.stringify(params.duplicate)} comes twice`);
  const unknown = surplusKey(params, known);
  if (unknown !== undefined) throw wrong(`the key ${JSON.stringify(unknown)} is not known`);
  return params.members;
}

function setPolicy({ policy, isolated }: ControlTarget, given: Members): string {
  const lists = { allow: ruleList(given, "allow"), block: ruleList(given, "block") };
  const only = given.has("only") ? ruleList(given, "only") : undefined;
  let rules: readonly Rule[] = [];
  const desired = given.get("desiredRevision");
  const revision = desired === undefined ? undefined : unsigned64(desired);
  if (desired !== undefined && revision === undefined) throw wrong("desiredRevision is not an unsigned 64-bit integer");
  const keepsIsolation = given.has("isolation");
  if (keepsIsolation && given.get("isolation") !== "keep") throw wrong('isolation is not "keep"');
  const read = (): readonly Rule[] => {
    rules = parsePolicyRules(lists.allow, lists.block, only);
    return rules;
  };
  policy.set(read, { revision, keepsIsolation });
  const warnings = nameAdvice(rules);
  return policyResult(policy, {
    ...(revision !== undefined && { desiredRevision: revision }),
    ...(keepsIsolation && { isolated: String(isolated) }),
    ...(warnings.length > 0 && { warnings: JSON.stringify(warnings) }),
  });
}

function ruleList(given: Members, key: string): string[] {
  const list = given.get(key);
  if (!(list instanceof JsonArray)) throw wrong(`${key} is ${list === undefined ? "missing" : "not an array"}`);
  if (list.length > list.elements.length) throw wrong(`${key} has ${list.length} rules: too many`);
  return list.elements.map((rule) => {
    if (typeof rule !== "string") throw wrong(`${key} has something that is not a string`);
    return rule;
  });
}

/** `more`: values that are JSON already, since a revision may exceed 2^53. */
function policyResult({ lists: { allow, block } }: LivePolicy, more: Readonly<Record<string, string>> = {}): string {
  const result = JSON.stringify({ allow, block, ruleCount: allow.length + block.length });
  const members = Object.entries(more).map(([key, value]) => `,"${key}":${value}`);
  return `${result.slice(0, -1)}${members.join("")}}`;
}

function setLane(target: ControlTarget, given: Members): string {
  const result = target.turnLane(word(given, "state", ["on", "off"] as const) === "on");
  if (typeof result === "string") throw wrong(`there is no express lane: ${result}`);
  return JSON.stringify(result);
}

function setLimits(target: ControlTarget, given: Members): string {
  const list = ruleList(given, "limits");
  try {
    target.setLimits(list.join(","));
  } catch (error) {
    throw error instanceof UserError ? wrong(error.message) : error;
  }
  return JSON.stringify(target.limits());
}

function explainName(
  target: ControlTarget,
  direction: string,
  protocol: PolicyQuestion["protocol"],
  name: string,
  port?: number,
): string {
  if (direction === "in") throw wrong("nobody connects to the VM from a name: ask about out, or give an address");
  if (protocol !== "tcp" && protocol !== "udp") throw wrong("only tcp and udp connect to a name");
  if (port === undefined) throw wrong("port is missing: a rule with a name depends on it");
  return JSON.stringify({ direction, protocol, remote: name, port, ...target.explainName({ name, protocol, port }) });
}

function explain(target: ControlTarget, given: Members): string {
  const direction = word(given, "direction", ["out", "in"] as const);
  const protocol = readProtocol(given);
  const text = given.get("remote");
  const remote = typeof text === "string" ? (parseIPv4(text) ?? parseIPv6(text)) : undefined;
  if (remote === undefined && typeof text === "string" && parseDomainName(text) !== undefined) {
    return explainName(target, direction, protocol, text, readPort(given.get("port")));
  }
  if (remote === undefined) {
    throw wrong(`remote is not an ${typeof text === "string" && text.includes(":") ? "IPv6" : "IPv4"} address`);
  }
  const port = readPort(given.get("port"));
  if (port !== undefined && protocol !== "tcp" && protocol !== "udp") throw wrong("only tcp and udp have a port");
  const shown = typeof remote === "bigint" ? formatIPv6(remote) : formatIPv4(remote);
  const asked = { direction, protocol, remote: shown, ...(port !== undefined && { port }) };
  try {
    return JSON.stringify({ ...asked, ...target.explain({ direction, protocol, remote, port }) });
  } catch (error) {
    throw error instanceof UserError ? wrong(error.message) : error;
  }
}

function readProtocol(given: Members): PolicyQuestion["protocol"] {
  const value = given.get("protocol");
  if (!(value instanceof JsonNumber)) return word(given, "protocol", ["tcp", "udp", "icmp"] as const);
  if (/^(0|[1-9]\d{0,2})$/.test(value.text) && Number(value.text) < 256) return Number(value.text);
  throw wrong("protocol is not a number from 0 to 255");
}

function word<T extends string>(given: Members, key: string, words: readonly T[]): T {
  const found = words.find((one) => one === given.get(key));
  if (found === undefined) throw wrong(`${key} is none of ${words.join(", ")}`);
  return found;
}

function readPort(value: Json | undefined): number | undefined {
  if (value === undefined) return undefined;
  const port = value instanceof JsonNumber && /^[1-9]\d{0,4}$/.test(value.text) ? Number(value.text) : 65_536;
  if (port > 65_535) throw wrong("port is not an integer from 1 to 65535");
  return port;
}

function wrong(why: string): RpcError {
  return new RpcError(INVALID_PARAMS, why);
}
