/**
 * Array finder: the place of one array within a JSON document that is read as a stream, such as
 * `features` in {"type":"FeatureCollection","features":[…]}.
 *
 * A path leads through objects by their members' names. What does not lie on it is passed over by
 * its quotes and brackets; nothing is kept but the name that is being read.
 */
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

export class ArrayFinder {
  /** Brackets that are open. */
  #depth = 0;
  /** Of these, the outer ones that lie on the path: as many of its names have been found. */
  #found = 0;
  #inString = false;
  #isEscaped = false;
  /** Bytes of the name that is being read; undefined = a string that is of no interest. */
  #name: number[] | undefined;
  /** In an object on the path: a name comes next, not a value. */
  #expectsName = false;
  /** The value that comes next is at the path's next name. */
  #isNext = false;

  constructor(private readonly path: readonly string[]) {}

  /** True for the array's opening bracket. */
  push(byte: number): boolean {
    if (this.#inString) {
      this.#string(byte);
      return false;
    }
    if (byte <= 0x20) return false;
    const isNext = this.#isNext;
    if (byte !== COLON) this.#isNext = false;
    if (byte === QUOTE) {
      this.#inString = true;
      this.#name = this.#expectsName ? [] : undefined;
    } else if (byte === COMMA) this.#expectsName = this.#isOnPath();
    else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) return this.#open(byte, isNext);
    else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) this.#close();
    return false;
  }

  #string(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === BACKSLASH) this.#isEscaped = true;
    else if (byte === QUOTE) {
      this.#inString = false;
      const name = this.#name === undefined ? undefined : nameOf(this.#name);
      this.#isNext = name !== undefined && name === this.path[this.#found];
      this.#name = undefined;
      this.#expectsName = false;
      return;
    }
    this.#name?.push(byte);
  }

  #open(byte: number, isNext: boolean): boolean {
    const isOnPath = this.#depth === 0 || isNext;
    this.#depth += 1;
    this.#expectsName = false;
    if (byte === OPEN_ARRAY) return isNext && this.#found === this.path.length - 1;
    if (isNext) this.#found += 1;
    this.#expectsName = isOnPath;
    return false;
  }

  #close(): void {
    this.#depth -= 1;
    this.#expectsName = false;
    // The object in which the next name was looked for has ended: it may come again further out.
    if (this.#depth <= this.#found && this.#found > 0) this.#found = Math.max(this.#depth - 1, 0);
  }

  /** True directly in the object in which the path's next name is looked for. */
  #isOnPath(): boolean {
    return this.#depth === this.#found + 1;
  }
}

function nameOf(bytes: readonly number[]): string | undefined {
  try {
    return JSON.parse(`"${Buffer.from(bytes).toString()}"`) as string;
  } catch {
    return undefined; // no JSON, so no name
  }
}
