/**
 * System calls as strace writes them down, one line each, read back into calls.
 *
 *   12159 1795276111.966890 fsync(14<…/msgs>) = 0 <0.000305>
 *   12157 1795276111.993453 fsync(18<…/msgs> <unfinished ...>
 *   12157 1795276111.994102 <... fsync resumed>) = 0 <0.000649>
 *
 * A line is: thread, seconds when the call began (when resumed: when it came back), the call with
 * its arguments, what it came to, and how long it took. A call during which another thread made one
 * stands on two lines. A descriptor has its path behind it (-y), a string is written as in C.
 *
 * A call that never came back (`= ?`, or no second line) has not happened as far as anybody knows,
 * and is left out. But its process may have been killed after the system had done it, or a part.
 */

export interface SystemCall {
  readonly name: string;
  readonly arguments: readonly Argument[];
  /** What it came to; negative = it failed. */
  readonly result: number;
  /** Number of the line on which it began: what ended on an earlier line was done before. */
  readonly beganAtLine: number;
  readonly endedAtLine: number;
  /** Wall clock when it had come back, in seconds. */
  readonly endedAtSeconds: number;
}

export type Argument =
  /** A descriptor, or a folder's: `fd` of AT_FDCWD is −100. */
  | { readonly kind: "descriptor"; readonly fd: number; readonly path: string }
  /** As written in the trace, between its quotes; decodeText() gives the bytes. */
  | { readonly kind: "text"; readonly escaped: string }
  /** A number, or flags. */
  | { readonly kind: "word"; readonly word: string };

const AT_FDCWD = -100;
const UNFINISHED = " <unfinished ...>";
const BACKSLASH = 92;

interface Begun {
  readonly text: string;
  readonly line: number;
}

/** Puts lines together to calls. One for each trace. */
export class CallReader {
  readonly #begun = new Map<string, Begun>();
  readonly #neverBack: SystemCall[] = [];
  #line = 0;

  /**
   * The call that ends with this line, if one does. `isWanted` is asked with the text of a call
   * that begins; the others cost nothing more.
   */
  read(line: string, isWanted: (text: string) => boolean = () => true): SystemCall | undefined {
    this.#line += 1;
    const match = /^(\d+) +(\d+\.\d+) /.exec(line);
    if (match === null) return undefined;
    const [head, thread = "", seconds = ""] = match;
    const text = line.slice(head.length);
    const resumed = /^<\.\.\. \w+ resumed>/.exec(text);
    if (resumed !== null) {
      const begun = this.#begun.get(thread);
      if (begun === undefined) return undefined;
      this.#begun.delete(thread);
      const whole = begun.text + text.slice(resumed[0].length);
      return this.#done(callOf(whole, begun.line, this.#line, Number(seconds), false));
    }
    if (!isWanted(text)) return undefined;
    if (text.endsWith(UNFINISHED)) {
      this.#begun.set(thread, { text: text.slice(0, -UNFINISHED.length), line: this.#line });
      return undefined;
    }
    return this.#done(callOf(text, this.#line, this.#line, Number(seconds), true));
  }

  #done(call: SystemCall | undefined): SystemCall | undefined {
    if (call === undefined || !Number.isNaN(call.result)) return call;
    this.#neverBack.push(call);
    return undefined;
  }

  /** After the last line: calls that never came back; `result` is not a number. */
  get underWay(): readonly SystemCall[] {
    const begun = [...this.#begun.values()].flatMap(({ text, line }) => {
      const whole = `${text}) = ?`;
      return callOf(whole, line, line, Number.NaN, false) ?? [];
    });
    return [...this.#neverBack, ...begun];
  }
}

/** The result of `?` is not a number. `isBeginning`: `seconds` is when it began, and how long it
 * took is to be added. */
function callOf(
  text: string,
  beganAtLine: number,
  endedAtLine: number,
  seconds: number,
  isBeginning: boolean,
): SystemCall | undefined {
  const open = text.indexOf("(");
  const equals = text.lastIndexOf(" = ");
  if (open < 0 || equals < open) return undefined; // a signal, or the end of a process
  const outcome = /^(-?\d+|\?).*?(?: <(\d+\.\d+)>)?$/.exec(text.slice(equals + " = ".length));
  if (outcome === null) return undefined;
  const close = text.lastIndexOf(")", equals);
  return {
    name: text.slice(0, open),
    arguments: parseArguments(text.slice(open + 1, close)),
    result: Number(outcome[1]),
    beganAtLine,
    endedAtLine,
    endedAtSeconds: seconds + (isBeginning ? Number(outcome[2] ?? 0) : 0),
  };
}

/** What stands in lists and structures comes as if it stood alone: `[{iov_base="a", …` has a. */
export function parseArguments(text: string): Argument[] {
  const found: Argument[] = [];
  const descriptor = /(AT_FDCWD|\d+)<([^>]*)>/y;
  const word = /[^,"]+/y;
  let at = 0;
  while (at < text.length) {
    if (text[at] === "," || text[at] === " ") {
      at += 1;
      continue;
    }
    if (text[at] === '"') {
      const end = endOfText(text, at + 1);
      found.push({ kind: "text", escaped: text.slice(at + 1, end) });
      at = end + 1;
      if (text.startsWith("...", at)) throw new Error("strace cut a string off: give -s more");
      continue;
    }
    descriptor.lastIndex = at;
    const named = descriptor.exec(text);
    if (named !== null) {
      const fd = named[1] === "AT_FDCWD" ? AT_FDCWD : Number(named[1]);
      found.push({ kind: "descriptor", fd, path: named[2] ?? "" });
      at = descriptor.lastIndex;
      continue;
    }
    word.lastIndex = at;
    const plain = word.exec(text)?.[0] ?? "";
    found.push({ kind: "word", word: plain.trim() });
    at += plain.length;
  }
  return found;
}

/** Index of the quote that ends it. */
function endOfText(text: string, start: number): number {
  for (let at = start; ; at += 1) {
    const quote = text.indexOf('"', at);
    if (quote < 0) throw new Error(`a string without an end: ${text.slice(0, 80)}`);
    let slashes = 0;
    while (text.charCodeAt(quote - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return quote;
    at = quote;
  }
}

const simpleEscapes: Readonly<Record<string, number>> = {
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  f: 12,
  '"': 34,
  "\\": BACKSLASH,
};

/** The bytes of a string: escapes are those of C, octal ones with one to three digits. */
export function decodeText(escaped: string): Buffer {
  if (!escaped.includes("\\")) return Buffer.from(escaped, "latin1");
  const bytes = Buffer.allocUnsafe(escaped.length);
  let count = 0;
  for (let at = 0; at < escaped.length; at += 1) {
    const code = escaped.charCodeAt(at);
    if (code !== BACKSLASH) {
      bytes[count++] = code;
      continue;
    }
    at += 1;
    const simple = simpleEscapes[escaped[at] ?? ""];
    if (simple !== undefined) {
      bytes[count++] = simple;
      continue;
    }
    let value = 0;
    let digits = 0;
    for (; digits < 3; digits += 1) {
      const digit = escaped.charCodeAt(at + digits) - 48;
      if (!(digit >= 0 && digit <= 7)) break;
      value = value * 8 + digit;
    }
    if (digits === 0) throw new Error(`an escape that C does not know: \\${escaped[at]}`);
    bytes[count++] = value;
    at += digits - 1;
  }
  return bytes.subarray(0, count);
}
