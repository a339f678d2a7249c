/**
 * Whether a record survives being read and written again.
 *
 * patch and incr read a whole record and write it whole. A JSON number with more digits than a
 * double holds would come back as another number, and of members with the same name all but the
 * last would vanish; both would be silent damage to parts that the request does not name, so
 * patch and incr refuse such records (`unsupported`). What may change: order of members, white
 * space, the spelling of a number (1.0, 1e2) and of a text (escapes), the sign of zero.
 *
 * Method: text that JSON.stringify gives back unchanged is exact, at the speed of the engine. Only
 * otherwise are the number tokens compared one by one, as exact decimals, with what
 * JSON.stringify(Number(token)) gives; and the members counted in the source and in what was read.
 */
import { isPlainObject, type Plain } from "./plain.js";

/** Members of all objects in the value. */
export function memberCount(root: Plain): number {
  let count = 0;
  const stack: Plain[] = [root];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (typeof value !== "object" || value === null) continue;
    if (Array.isArray(value)) for (const element of value) stack.push(element);
    else if (isPlainObject(value)) {
      for (const member of Object.values(value)) {
        count += 1;
        stack.push(member);
      }
    }
  }
  return count;
}

/** Members in valid JSON text, duplicates counted; undefined if one of its numbers would change. */
export function exactMemberCount(text: string): number | undefined {
  let members = 0;
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = afterString(text, at);
    else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
      const end = afterNumber(text, at);
      if (!isExactNumber(text.slice(at, end))) return undefined;
      at = end;
    } else {
      if (code === 0x3a) members += 1;
      at += 1;
    }
  }
  return members;
}

function afterString(text: string, at: number): number {
  for (let index = at + 1; ; index += 1) {
    const code = text.charCodeAt(index);
    if (code === 0x22) return index + 1;
    if (code === 0x5c) index += 1;
  }
}

function afterNumber(text: string, at: number): number {
  let end = at + 1;
  while (end < text.length && "0123456789+-.eE".includes(text.charAt(end))) end += 1;
  return end;
}

function isExactNumber(token: string): boolean {
  const number = Number(token);
  if (!Number.isFinite(number)) return false;
  const written = JSON.stringify(number);
  if (written === token) return true;
  const [a, b] = [decimalOf(token), decimalOf(written)];
  return a.digits === b.digits && a.exponent === b.exponent && a.negative === b.negative;
}

interface Decimal {
  readonly negative: boolean;
  /** Without zeros at either end; empty for zero. The value is 0.digits × 10^exponent. */
  readonly digits: string;
  readonly exponent: number;
}

function decimalOf(token: string): Decimal {
  const negative = token.startsWith("-");
  const [mantissa = "", exponent = "0"] = token.slice(negative ? 1 : 0).split(/[eE]/);
  const [whole = "", fraction = ""] = mantissa.split(".");
  const all = whole + fraction;
  const first = all.search(/[1-9]/);
  if (first < 0) return { negative: false, digits: "", exponent: 0 };
  let end = all.length;
  while (all.charCodeAt(end - 1) === 0x30) end -= 1;
  return {
    negative,
    digits: all.slice(first, end),
    exponent: whole.length - first + Number(exponent),
  };
}
