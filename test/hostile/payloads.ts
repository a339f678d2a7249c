/**
 * What hostile payloads are made of: values of every kind, nested too deeply, named badly, claimed
 * to be larger than they are.
 */
import { encode, ExtData } from "@msgpack/msgpack";
import type { Random } from "./random.js";

const DEEP_LEVELS = 100_000;

/** Texts that some program has taken for something else. */
export const texts: readonly string[] = [
  "",
  "a",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "$where",
  "$key",
  "a.b\\.c",
  "\u0000",
  "\ud800",
  "\udc00\ud800",
  "\ufeff",
  "\u2028",
  "é",
  "😀",
  "{t}",
  "{}",
  "null",
  "never",
  "*",
  ">",
  "../../etc/passwd",
  "x".repeat(300),
  "é".repeat(600),
];

const numbers: readonly string[] = [
  "0",
  "-0",
  "1",
  "-1",
  "0.1",
  "1e400",
  "-1e400",
  "1e-400",
  "9007199254740993",
  "18446744073709551616",
  "281474976710656",
  "281474976710655",
  "1.7976931348623157e308",
  "0.30000000000000004",
  `1${"0".repeat(400)}`,
];

/** JSON text of any value; now and then with a member twice. */
export function jsonText(random: Random, depth = 0): string {
  const kind = random.below(depth > 4 ? 5 : 8);
  if (kind === 0) return random.pick(["null", "true", "false"]);
  if (kind === 1) return random.pick(numbers);
  if (kind < 5) return jsonString(random);
  const count = random.below(4);
  if (kind === 5) {
    return `[${Array.from({ length: count }, () => jsonText(random, depth + 1)).join()}]`;
  }
  const members = Array.from({ length: count }, () => {
    return `${jsonString(random)}:${jsonText(random, depth + 1)}`;
  });
  if (members.length > 0 && random.once(4)) members.push(random.pick(members));
  return `{${members.join()}}`;
}

/** Escaped in one way or another, lone surrogates included. */
export function jsonString(random: Random): string {
  const text = random.pick(texts);
  if (random.once(3)) return JSON.stringify(text);
  const escaped = Array.from(text, (unit) => {
    const hex = unit.charCodeAt(0).toString(16).padStart(4, "0");
    return random.once(2) ? `\\u${hex}` : JSON.stringify(unit).slice(1, -1);
  });
  return `"${escaped.join("")}"`;
}

/** A value that MessagePack can say: more than JSON can. */
export function anyValue(random: Random, depth = 0): unknown {
  switch (random.below(depth > 4 ? 8 : 12)) {
    case 0:
      return null;
    case 1:
      return random.once(2);
    case 2:
      return random.pick([0, -0, 1, -1, 0.5, Number.NaN, Infinity, -Infinity, 2 ** 53, 2 ** 48]);
    case 3:
      return random.pick([1000, 1023, 1024, 65_535, 65_536, 262_144, 2 ** 31, 2 ** 32, -(2 ** 63)]);
    case 4:
      return random.shortBytes(400);
    case 5:
      return new ExtData(random.below(128), random.bytes(random.below(9)));
    case 6:
      return random.once(4) ? new Date(0) : random.pick(texts);
    case 7:
      return random.pick(texts);
    case 8:
      return Array.from({ length: random.below(5) }, () => anyValue(random, depth + 1));
    default: {
      const count = random.below(4);
      const pairs = Array.from({ length: count }, () => {
        return [random.pick(texts), anyValue(random, depth + 1)] as const;
      });
      return Object.fromEntries(pairs);
    }
  }
}

export function packed(value: unknown): Buffer {
  try {
    return Buffer.from(encode(value, { maxDepth: 1_000 }));
  } catch {
    // The encoder knows no such value, so nobody can send it this way.
    return Buffer.from([0xc0]);
  }
}

/** Made to break whoever counts on stacks, on claimed lengths, or on text being text. */
export function structuredAttack(random: Random): Buffer {
  switch (random.below(14)) {
    case 0:
      return Buffer.from("[".repeat(DEEP_LEVELS) + "]".repeat(DEEP_LEVELS));
    case 1:
      return Buffer.from('{"a":'.repeat(DEEP_LEVELS / 10) + "1" + "}".repeat(DEEP_LEVELS / 10));
    case 2:
      return Buffer.from("[".repeat(random.below(DEEP_LEVELS)));
    case 3:
      return Buffer.concat([Buffer.alloc(DEEP_LEVELS, 0x91), Buffer.from([0xc0])]);
    case 4:
      return nestedMaps(random.pick([50, 99, 100, 101, 102, 5_000]));
    case 5:
      return arrayBomb(random);
    case 6:
      return Buffer.from([random.pick([0xc6, 0xdb, 0xdf, 0xc9]), 0xff, 0xff, 0xff, 0xff]);
    case 7:
      return Buffer.from([0x82, 0xa3, 0x6b, 0x65, 0x79, 0xa1, 0x61, 0xa3, 0x6b, 0x65, 0x79, 0x01]);
    case 8:
      return packed(new ExtData(random.below(128), random.shortBytes(100)));
    case 9:
      return Buffer.from(jsonText(random));
    case 10:
      return packed(anyValue(random));
    case 11:
      return Buffer.concat([Buffer.from('{"key":"'), random.bytes(8), Buffer.from('"}')]);
    case 12:
      return Buffer.from(`{"key":"${"k".repeat(random.pick([1_024, 1_025, 65_536]))}"}`);
    default:
      return random.shortBytes(2_000);
  }
}

/** A key of nearly a megabyte, as JSON and packed. */
export function hugeKey(random: Random): Buffer {
  const key = random.pick(["k", "é", "."]).repeat(500_000);
  return random.once(2) ? Buffer.from(JSON.stringify({ key, value: 1 })) : packed({ key });
}

/** Arrays in arrays, each claiming more elements than there are bytes. */
function arrayBomb(random: Random): Buffer {
  const head = Buffer.from([0xdd, 0x01, 0xc9, 0xc3, 0x80]);
  const heads = Array.from({ length: 1 + random.below(100) }, () => head);
  return Buffer.concat([Buffer.from([0x81, 0xa1, 0x61]), ...heads]);
}

function nestedMaps(levels: number): Buffer {
  return Buffer.concat([Buffer.from("81a161".repeat(levels), "hex"), Buffer.from([0x01])]);
}
