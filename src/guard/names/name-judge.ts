/** What an inspection asks about names; the guard of names answers (docs/guard-names.md). Names are in wire form. */

export interface NameJudge {
  /** What names say for TCP and a port: as NameTable.ask, NAME_ALLOWED, NAME_BLOCKED or NAME_UNSAID. */
  ask(labels: Uint8Array, length: number, port: number): number;
  /** Whether the name and the flow's remote address are a pair that is alive. */
  hasPair(labels: Uint8Array, length: number, remote: number, port: number): boolean;
  /** Judges a question by TCP, and notes it where it passes. `port`: the VM's. */
  judgeQuestion(bytes: Uint8Array, at: number, length: number, remote: number, port: number): number;
  /** Judges an answer by TCP, and learns from it where it passes. */
  judgeAnswer(bytes: Uint8Array, at: number, length: number, remote: number, port: number): number;
  /** Writes softnet's own answer to a question that drops for `verdict` to `out` at `to`; returns its length, 0 = none. */
  putAnswer(bytes: Uint8Array, at: number, length: number, verdict: number, out: Uint8Array, to: number): number;
  /** First bytes were judged. `length` 0: they name nobody. */
  tellConnection(remote: number, port: number, labels: Uint8Array, length: number, verdict: number): void;
}
