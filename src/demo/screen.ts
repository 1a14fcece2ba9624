/**
 * The demo's output: lines of text, and a temporary line that shows what is being tried. Colours and the temporary line
 * appear on a terminal only; NO_COLOR is respected (by node:util's styleText).
 */
import { styleText } from "node:util";

export type Style = "bold" | "dim" | "red" | "green" | "yellow";

const ERASE_LINE = "\r\x1b[K";

export class Screen {
  readonly #stream: NodeJS.WriteStream;
  #passing = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  line(text = ""): void {
    this.clear();
    this.#stream.write(`${text}\n`);
  }

  /** Shows what is going on until the next line comes. */
  passing(text: string): void {
    if (!this.#stream.isTTY) return;
    this.clear();
    this.#stream.write(this.style("dim", text));
    this.#passing = true;
  }

  /** Removes the temporary line. */
  clear(): void {
    if (this.#passing) this.#stream.write(ERASE_LINE);
    this.#passing = false;
  }

  style(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#stream });
  }

  /** Pads before styling, since colours have no width. */
  cell(text: string, width: number, style?: Style): string {
    const padded = text.padEnd(width);
    return style === undefined ? padded : this.style(style, padded);
  }
}
