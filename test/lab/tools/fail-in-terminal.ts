/** A program that has taken the terminal as softnet top does, and fails. */
import { Terminal } from "../../../src/operate/top/terminal.ts";

const ignore = (): void => {};
const terminal = new Terminal(process.stdin, process.stdout, { onKey: ignore, onResize: ignore, onEnd: ignore });
terminal.draw("on the screen of its own");
setTimeout(() => {
  throw new Error("a fault of softnet's own");
}, 200);
