/** Checks of src/guard/names that are taken out one by one: the comparison must see each. */
export interface NameMutant {
  readonly name: string;
  /** In src/guard/names/. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const mutant = (name: string, file: string, from: string, to: string): NameMutant => ({ name, file, from, to });

export const MUTANTS: readonly NameMutant[] = [
  mutant("no bucket of questions", "dns-gate.ts", "if (!this.#questions.take(now)) return BUDGET;", ""),
  mutant("a lookup that is not allowed passes", "dns-gate.ts", "closed ? said !== NAME_ALLOWED : ", ""),
  mutant("HTTPS records pass", "dns-gate.ts", "|| type === RECORD_HTTPS ", ""),
  mutant("unusual types pass", "dns-gate.ts", "if (type >= FIRST_UNUSUAL && type !== RECORD_CAA) return TYPE;", ""),
  mutant("an answer may come twice", "dns-gate.ts", "this.#outstanding.forget(asked);", ""),
  mutant("private addresses are pinned", "dns-gate.ts", "if (this.#isPinnable(address)) {", "if (address) {"),
  mutant("rebinding is not noted", "dns-gate.ts", "this.unpinned.add(address, now);", ""),
  mutant(
    "an answer's id is not compared",
    "outstanding.ts",
    "let index = this.#ids.indexOf(id); index >= 0; index = this.#ids.indexOf(id, index + 1)",
    "let index = 0; index < MOST_OUTSTANDING; index++",
  ),
  mutant("an answer's port is not compared", "outstanding.ts", "port !== exchange.port || ", ""),
  mutant("a question is outstanding for ever", "outstanding.ts", "asked.end >= now", "asked.end >= 0"),
  mutant(
    "the question section is not compared",
    "outstanding.ts",
    "if (this.question[index] !== bytes[at + index]) return false",
    "",
  ),
  mutant("a UDP checksum is not verified", "family-names.ts", "!view.udpChecksumIsRight", "false"),
  mutant("QUIC opens by name", "family-names.ts", "|| isQuic(protocol, port) ", ""),
  mutant("pairs live for ever", "pairs.ts", "pair.flows > 0 || now <=", "true || now <="),
  mutant(
    "the hour holds for every port",
    "pairs.ts",
    "verified ? pair.verifiedEnd : pair.otherEnd",
    "pair.verifiedEnd",
  ),
  mutant("a flow does not keep its pair", "pairs.ts", "pair.flows > 0 || now <=", "now <="),
  mutant("a hello needs no pair", "first-bytes-guard.ts", "|| !judge.hasPair(reader.name, length, remote)", ""),
  mutant("a hello's name is not asked about", "first-bytes-guard.ts", "said !== NAME_ALLOWED || ", ""),
  mutant(
    "changed bytes pass",
    "ordered-bytes.ts",
    "!== this.bytes[offset + index]) return CHANGED",
    "=== -1) return CHANGED",
  ),
  mutant("what comes ahead is taken", "ordered-bytes.ts", "offset < 0 || offset > this.held", "offset < 0"),
  mutant("a SYN has data", "inspections.ts", "dataOf(syn) === 0 && isReadable(syn)", "isReadable(syn)"),
  mutant("URG is not looked at", "inspections.ts", "|| (view.tcpFlags & TCP_URG) !== 0", ""),
  mutant(
    "a TCP checksum is not verified",
    "inspections.ts",
    "view.offload !== COMPLETE || view.tcpChecksumIsRight",
    "true",
  ),
  mutant("the inspection never ends", "inspections.ts", "inspection.state = DONE;\n    return PASS", "return PASS"),
  mutant(
    "what an address opened goes on by name",
    "name-flows.ts",
    "if (this.#pairs[flow] === undefined) return false;",
    "",
  ),
  mutant("broken off and not cut", "name-flows.ts", "this.#flows.cut(flow);", ""),
  mutant("the other side gets no RST", "name-flows.ts", "inspections.reset(slot);", ""),
  mutant(
    "the VM gets no RST for what it did not send",
    "name-flows.ts",
    "if (reset) this.#resets()",
    "if (false) this.#resets()",
  ),
  mutant(
    "a RST begins with the first byte",
    "inspections.ts",
    "this.#resets.add(ends, passed);",
    "this.#resets.add(ends, passed - passed);",
  ),
  mutant(
    "an answer by TCP does not end the connection",
    "dns-stream.ts",
    "TCP_ACK | TCP_PSH | TCP_FIN",
    "TCP_ACK | TCP_PSH",
  ),
  mutant(
    "an answer by TCP acknowledges nothing",
    "dns-stream.ts",
    "(view.tcpSequence + length) >>> 0",
    "view.tcpSequence",
  ),
  mutant(
    "what said nothing goes on by name when names come back",
    "name-flows.ts",
    "if (this.#said[flow] === undefined) this.#forgetPair(flow);",
    "",
  ),
  mutant(
    "a name that was taken away goes on by another one",
    "name-flows.ts",
    "if (said === undefined) return this.names",
    "if (said !== null) return this.names",
  ),
  mutant(
    "what drops acknowledges",
    "dns-stream.ts",
    "if (verdict === PASS && (view.tcpFlags & TCP_ACK) !== 0)",
    "if ((view.tcpFlags & TCP_ACK) !== 0)",
  ),
];
