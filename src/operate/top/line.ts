/** What a screen is made of: lines of text, each with what it is for. */

export type Style = "title" | "heading" | "chosen" | "warning" | "plain" | "help";

export interface Line {
  readonly text: string;
  readonly style: Style;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}
