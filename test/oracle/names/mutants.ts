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
  mutant("an answer's id is not compared", "outstanding.ts", "entry.id !== id || ", ""),
  mutant("an answer's port is not compared", "outstanding.ts", "entry.port !== port || ", ""),
  mutant("a question is outstanding for ever", "outstanding.ts", "entry.end < now", "entry.end < 0"),
  mutant("the question section is not compared", "outstanding.ts", "&& isSame(entry, bytes, at, length)", ""),
  mutant("a UDP checksum is not verified", "name-flows.ts", "!view.udpChecksumIsRight", "false"),
  mutant("pairs live for ever", "pairs.ts", "pair.flows > 0 || now <=", "true || now <="),
];
