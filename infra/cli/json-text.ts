/**
 * JSON as the text that it is: its members, elements and attributes are cut out of the bytes.
 *
 * JSON.parse gives the nearest double for a number, so what it has read and JSON.stringify writes
 * may be another number: 9007199254740993 becomes 9007199254740992, and 1.50 becomes 1.5. What a
 * command prints of a value is therefore never read, only cut.
 */
import { elementsOf, membersOf, sliceOf, type Span } from "../../protocol/value/json-members.js";

const QUOTE = 0x22;
const OPEN_ARRAY = 0x5b;
const OPEN_OBJECT = 0x7b;

export class JsonText {
  private constructor(
    private readonly json: Uint8Array,
    private readonly span: Span,
  ) {}

  /** `json`: bytes that JSON.parse has accepted. */
  static of(json: Uint8Array): JsonText {
    let [start, end] = [0, json.length];
    while (start < end && json[start]! <= 0x20) start += 1;
    while (end > start && json[end - 1]! <= 0x20) end -= 1;
    return new JsonText(json, { start, end });
  }

  /** The text on one line: line ends stand only between its tokens, where a space says the same. */
  get line(): string {
    return Buffer.from(sliceOf(this.json, this.span))
      .toString()
      .replace(/[\r\n]/g, " ");
  }

  /** For people: a text without its quotes, all else as it stands. */
  get shown(): string {
    const { line } = this;
    return this.#first === QUOTE ? (JSON.parse(line) as string) : line;
  }

  get isNumber(): boolean {
    return /^[-\d]/.test(this.line);
  }

  /** What JSON.parse makes of it: for all but numbers that matter. */
  get parsed(): unknown {
    return JSON.parse(this.line);
  }

  /** Of an object; of anything else none. */
  members(): ReadonlyMap<string, JsonText> {
    if (this.#first !== OPEN_OBJECT) return new Map();
    const spans = membersOf(this.json, this.span);
    return new Map([...spans].map(([name, span]) => [name, new JsonText(this.json, span)]));
  }

  /** Of an array; of anything else none. */
  elements(): readonly JsonText[] {
    if (this.#first !== OPEN_ARRAY) return [];
    return elementsOf(this.json, this.span).map((span) => new JsonText(this.json, span));
  }

  /** What stands at an attribute's path, for people; a list where the path goes through one. */
  attribute(names: readonly string[]): Attribute | undefined {
    const [name, ...rest] = names;
    if (name === undefined) return this;
    if (this.#first !== OPEN_ARRAY) return this.members().get(name)?.attribute(rest);
    const found = this.elements().flatMap((element) => element.attribute(names) ?? []);
    const line = `[${found.map((each) => each.line).join(",")}]`;
    return { line, shown: line, isNumber: false };
  }

  get #first(): number | undefined {
    return this.json[this.span.start];
  }
}

export interface Attribute {
  readonly line: string;
  readonly shown: string;
  readonly isNumber: boolean;
}
