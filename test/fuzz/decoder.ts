/**
 * What a fuzzer drives: a function from any bytes, which throws if one of its promises is broken.
 */
import { isDeepStrictEqual } from "node:util";
import { DamagedError } from "../../protocol/damaged.js";
import { hash32 } from "../../protocol/digest.js";
import { KvError } from "../../protocol/errors.js";

export interface Decoder {
  /** Of its folder in the corpus. */
  readonly name: string;
  /** Valid input to begin with. */
  readonly seeds: readonly Uint8Array[];
  /** Throws anything but the error that the decoder declares, or what `same` throws. */
  readonly run: (bytes: Buffer) => void;
}

/** The result; undefined if the KvError was thrown that a request's sender would be told. */
export function orKvError<Result>(decode: () => Result): Result | undefined {
  return unlessDeclared(decode, (error) => {
    if (error instanceof KvError && error.message === "") {
      throw new Error("an error without a description", { cause: error });
    }
    return error instanceof KvError;
  });
}

/** The same for a reply: what it tells is its sender's affair, an empty description too. */
export function orToldError<Result>(decode: () => Result): Result | undefined {
  return unlessDeclared(decode, (error) => error instanceof KvError);
}

/** The same for what a store holds. */
export function orDamaged<Result>(decode: () => Result): Result | undefined {
  return unlessDeclared(decode, (error) => error instanceof DamagedError);
}

/** The same for files of RocksDB and answers of nats-server: an Error that says what is wrong. */
export function orPlainError<Result>(decode: () => Result): Result | undefined {
  // A TypeError or a RangeError would be an accident.
  return unlessDeclared(decode, (error) => {
    return error instanceof Error && error.constructor === Error && error.message !== "";
  });
}

function unlessDeclared<Result>(
  decode: () => Result,
  isDeclared: (error: unknown) => boolean,
): Result | undefined {
  try {
    return decode();
  } catch (error) {
    if (isDeclared(error)) return undefined;
    throw error;
  }
}

/** Throws unless both are equal, bytes by their content. */
export function same(left: unknown, right: unknown, what: string): void {
  if (isDeepStrictEqual(plainBytes(left), plainBytes(right))) return;
  throw new Error(`${what}: not the same again`);
}

/** Buffers and views are bytes, whatever they are views of. */
function plainBytes(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("latin1") };
  if (Array.isArray(value)) return value.map(plainBytes);
  if (typeof value !== "object" || value === null) return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.entries(value).map(([name, member]) => [name, plainBytes(member)]);
}

/** `body` and its checksum: otherwise nothing that was changed got any further. */
export function withChecksum(body: Uint8Array, seed = 0): Buffer {
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(hash32(body, seed));
  return Buffer.concat([body, checksum]);
}

export function utf8(text: string): Buffer {
  return Buffer.from(text);
}

/** One of the list by the first byte, and the bytes after it. */
export function chosen<Item>(items: readonly Item[], bytes: Buffer): [Item, Buffer] {
  return [items[(bytes[0] ?? 0) % items.length] as Item, bytes.subarray(1)];
}
