/**
 * Records files: NDJSON, or one JSON array, cut into the source text of their elements.
 *
 * Read as a stream: what is held is one piece of the file and one unfinished element, of which no
 * more is kept than ELEMENT_BYTES_MAX. Elements are cut, not judged: an element that is no JSON is
 * the reader's to refuse, with its line, and the rest of the file goes on.
 *
 * Which of the two forms a file has, its first byte that is no white space says: `[` or not.
 *
 *   lines   an element ends at a line end; empty lines are none; white space around it is left out
 *   array   an element ends at a comma or at the last `]` outside of strings and brackets
 *
 * A comma after an object at the end of a line is left out: the line was taken out of an array.
 * An array may also stand within a document, at a path (array-finder.ts); what stands around it is
 * passed over.
 *
 * A Place is where reading can start again: between two elements. In the form `array` that is
 * after the comma, or at the last `]`.
 */
import { ArrayFinder } from "./array-finder.js";
import { CommandFailed } from "./exit-codes.js";

/** A value of the largest size fits in any form, base64 and \u escapes included. */
export const ELEMENT_BYTES_MAX = 4 * 1_024 * 1_024;

export type FileForm = "lines" | "array";

export interface Place {
  readonly form: FileForm;
  /** Offset in the file. */
  readonly bytes: number;
  /** Line of that offset, from 1. */
  readonly line: number;
}

export interface FileElement {
  /** Undefined = longer than ELEMENT_BYTES_MAX. */
  readonly source: Uint8Array | undefined;
  /** Where it begins, from 1. */
  readonly line: number;
  /** Where reading goes on after it. */
  readonly end: Place;
}

const LINE_END = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const byteOrderMark = [0xef, 0xbb, 0xbf];

/**
 * The elements of a file, those of one piece at a time. `from`: `input` begins at that place.
 * `path`: the names that lead to the array of the elements; undefined = the file itself is it, or
 * has a line for each. Throws CommandFailed, after all elements that stand before, if an array has
 * no end or text stands after it.
 */
export async function* readElements(
  input: AsyncIterable<Uint8Array>,
  from?: Place,
  path?: readonly string[],
): AsyncGenerator<FileElement[], void, undefined> {
  const cutter = new ElementCutter(from, path);
  for await (const piece of input) {
    const elements = cutter.push(piece);
    if (elements.length > 0) yield elements;
    if (cutter.failure !== undefined) throw cutter.failure;
  }
  const last = cutter.finish();
  if (last.length > 0) yield last;
}

/** Takes a file's bytes in pieces of any size, and gives its elements. */
export class ElementCutter {
  #form: FileForm | undefined;
  /** Of the next byte. */
  #offset: number;
  #line: number;
  /** Bytes of the file's first three that are a byte order mark. */
  #markBytes = 0;
  readonly #element = new ElementBuffer();
  #elementLine = 0;
  // Of an array: brackets open within the element, and where in a string we are.
  #depth = 0;
  #inString = false;
  #isEscaped = false;
  #isClosed = false;
  /** Undefined = nothing is looked for. */
  readonly #finder: ArrayFinder | undefined;
  #failure: CommandFailed | undefined;

  constructor(
    from?: Place,
    private readonly path?: readonly string[],
  ) {
    this.#finder = path === undefined ? undefined : new ArrayFinder(path);
    this.#form = from?.form;
    this.#offset = from?.bytes ?? 0;
    this.#line = from?.line ?? 1;
  }

  /** Why no more can be read; what push() gave stands before. */
  get failure(): CommandFailed | undefined {
    return this.#failure;
  }

  push(piece: Uint8Array): FileElement[] {
    if (this.#failure !== undefined) return [];
    const start = this.#form === undefined ? this.#detect(piece) : 0;
    if (this.#form === undefined) return [];
    return this.#form === "lines" ? this.#lines(piece, start) : this.#array(piece, start);
  }

  finish(): FileElement[] {
    const elements: FileElement[] = [];
    if (this.#form === "lines") this.#endElement(elements, false);
    else if (this.#form === "array" && !this.#isClosed) {
      const text = `the file ends at line ${this.#line} within its array: a "]" is missing`;
      throw new CommandFailed("failed", `${text}; what stands before has been read`);
    } else if (this.path !== undefined && !this.#isClosed) throw noArray(this.path);
    return elements;
  }

  /** Skips what stands before the first element, and says where that is in the piece. */
  #detect(piece: Uint8Array): number {
    for (const [index, byte] of piece.entries()) {
      if (this.#offset === this.#markBytes && byte === byteOrderMark[this.#markBytes]) {
        this.#markBytes += 1;
        this.#offset += 1;
        continue;
      }
      if (this.#finder !== undefined) {
        this.#offset += 1;
        if (byte === LINE_END) this.#line += 1;
        if (!this.#finder.push(byte)) continue;
        this.#form = "array";
        return index + 1;
      }
      if (byte > 0x20) {
        this.#form = byte === OPEN_ARRAY ? "array" : "lines";
        if (byte !== OPEN_ARRAY) return index;
        this.#offset += 1;
        return index + 1;
      }
      this.#offset += 1;
      if (byte === LINE_END) this.#line += 1;
    }
    return piece.length;
  }

  #lines(piece: Uint8Array, start: number): FileElement[] {
    const elements: FileElement[] = [];
    let at = start;
    while (at < piece.length) {
      const end = piece.indexOf(LINE_END, at);
      const stop = end < 0 ? piece.length : end;
      if (this.#element.isEmpty) this.#elementLine = this.#line;
      this.#element.add(piece.subarray(at, stop));
      this.#offset += stop - at;
      if (end < 0) break;
      this.#offset += 1;
      this.#line += 1;
      this.#endElement(elements, false);
      at = end + 1;
    }
    return elements;
  }

  #array(piece: Uint8Array, start: number): FileElement[] {
    const elements: FileElement[] = [];
    const offset = this.#offset - start;
    // Where in this piece the element begins or goes on; -1 = between two elements.
    let from = this.#element.isEmpty ? -1 : start;
    for (let at = start; at < piece.length; at += 1) {
      const byte = piece[at]!;
      if (byte === LINE_END) this.#line += 1;
      if (this.#isClosed) {
        if (byte <= 0x20 || this.path !== undefined) continue;
        this.#failure = textAfterArray(this.#line);
        break;
      }
      if (from < 0) {
        if (byte <= 0x20) continue;
        this.#elementLine = this.#line;
        from = at;
      }
      if (!this.#endsElement(byte)) continue;
      this.#element.add(piece.subarray(from, at));
      this.#isClosed = byte === CLOSE_ARRAY;
      this.#offset = offset + at + (this.#isClosed ? 0 : 1);
      // An empty element is one after all (`[1,,2]` is wrong), but not before the end: `[]`.
      this.#endElement(elements, !this.#isClosed);
      from = -1;
    }
    if (from >= 0) this.#element.add(piece.subarray(from));
    this.#offset = offset + piece.length;
    return elements;
  }

  /** Follows strings and brackets; true for the byte after an element. */
  #endsElement(byte: number): boolean {
    if (this.#inString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === QUOTE) this.#inString = false;
      return false;
    }
    if (byte === QUOTE) this.#inString = true;
    else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) this.#depth += 1;
    else if (this.#depth === 0) return byte === COMMA || byte === CLOSE_ARRAY;
    else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) this.#depth -= 1;
    return false;
  }

  #endElement(elements: FileElement[], evenIfEmpty: boolean): void {
    const taken = this.#element.take();
    const source = this.#form === "lines" ? withoutComma(taken) : taken;
    if (source?.length === 0 && !evenIfEmpty) return;
    const end = { form: this.#form ?? "lines", bytes: this.#offset, line: this.#line };
    elements.push({ source, line: this.#elementLine, end });
  }
}

/** The bytes of one element, in pieces until it ends. */
class ElementBuffer {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  add(piece: Uint8Array): void {
    this.#bytes += piece.length;
    if (this.#bytes > ELEMENT_BYTES_MAX) this.#pieces = [];
    else if (piece.length > 0) this.#pieces.push(piece);
  }

  /** Without white space around; undefined = too long. Empty again. */
  take(): Uint8Array | undefined {
    const pieces = this.#pieces;
    const isTooLong = this.#bytes > ELEMENT_BYTES_MAX;
    this.#pieces = [];
    this.#bytes = 0;
    if (isTooLong) return undefined;
    return trimmed(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
  }
}

/** A line that was taken out of an array, as a record by itself. */
function withoutComma(line: Uint8Array | undefined): Uint8Array | undefined {
  if (line?.at(-1) !== COMMA) return line;
  const record = trimmed(line.subarray(0, -1));
  return record.at(-1) === CLOSE_OBJECT ? record : line;
}

function noArray(path: readonly string[]): CommandFailed {
  const text = `there is no array at --path ${path.join(".")}, so nothing was loaded`;
  return new CommandFailed(
    "usage",
    `${text}: give the names that lead to it from outside, like a.b`,
  );
}

function trimmed(bytes: Uint8Array): Uint8Array {
  let [start, end] = [0, bytes.length];
  while (start < end && bytes[start]! <= 0x20) start += 1;
  while (end > start && bytes[end - 1]! <= 0x20) end -= 1;
  return bytes.subarray(start, end);
}

function textAfterArray(line: number): CommandFailed {
  const text = `line ${line}: text after the array's last "]"; what stands before has been read`;
  return new CommandFailed("failed", `${text}: a file has one array, or one record a line`);
}
