/**
 * Mutations: bytes that were valid, changed a little.
 *
 * Most decoders look at the whole before they look at parts, so what is random from the first byte
 * on is refused at the first byte; only what is nearly right gets further in.
 */
import type { Random } from "./random.js";

type Mutation = (bytes: Buffer, random: Random, others: readonly Uint8Array[]) => Buffer;

/** Bytes that mean something to one decoder or another: ends, heads, separators, length fields. */
const meaningful = [0x00, 0x01, 0x7f, 0x80, 0xff, 0xc1, 0xc4, 0xc7, 0xd9, 0xdb, 0xdd, 0xdf, 0x22];
const numbers = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0xffff_ffff];

const mutations: readonly Mutation[] = [
  function flipBit(bytes, random) {
    if (bytes.length === 0) return bytes;
    const at = random.below(bytes.length);
    bytes[at] = bytes[at]! ^ (1 << random.below(8));
    return bytes;
  },
  function setByte(bytes, random) {
    if (bytes.length > 0) bytes[random.below(bytes.length)] = random.pick(meaningful);
    return bytes;
  },
  function writeLength(bytes, random) {
    const size = random.pick([1, 2, 4]);
    if (bytes.length < size) return bytes;
    const number = random.pick(numbers) % 2 ** (8 * size);
    bytes.writeUIntBE(number, random.below(bytes.length - size + 1), size);
    return bytes;
  },
  function cut(bytes, random) {
    return bytes.subarray(0, random.below(bytes.length + 1));
  },
  function behead(bytes, random) {
    return bytes.subarray(random.below(Math.min(bytes.length, 8) + 1));
  },
  function remove(bytes, random) {
    const at = random.below(bytes.length + 1);
    const end = at + 1 + random.below(16);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
  },
  function insert(bytes, random) {
    const at = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), random.shortBytes(16), bytes.subarray(at)]);
  },
  function repeat(bytes, random) {
    const at = random.below(bytes.length + 1);
    const part = bytes.subarray(at, at + 1 + random.below(64));
    const copies = Array.from({ length: 1 + random.below(8) }, () => part);
    return Buffer.concat([bytes.subarray(0, at), ...copies, bytes.subarray(at)]);
  },
  function splice(bytes, random, others) {
    const other = others.length === 0 ? bytes : random.pick(others);
    const head = bytes.subarray(0, random.below(bytes.length + 1));
    return Buffer.concat([head, other.subarray(random.below(other.length + 1))]);
  },
];

/** One to four mutations of a copy. `others` is what parts are taken from. */
export function mutated(
  valid: Uint8Array,
  random: Random,
  others: readonly Uint8Array[] = [],
): Buffer {
  let bytes: Buffer = Buffer.from(valid);
  for (let left = 1 + random.below(4); left > 0; left -= 1) {
    bytes = Buffer.from(random.pick(mutations)(bytes, random, others));
  }
  return bytes;
}
