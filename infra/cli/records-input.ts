/**
 * Records input: the bytes of a records file as they are to be read, from a place on.
 *
 * gzip is unpacked on the way; places are then offsets in what comes out, and reading on at one
 * means to unpack all before it once more. What cannot be read is refused here, by its first bytes
 * (file-kind.ts), before anything of it is loaded.
 */
import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { CommandFailed } from "./exit-codes.js";
import { HEAD_BYTES, isGzip, reasonAgainst, type Head, type Wanted } from "./file-kind.js";
import type { Place } from "./records-file.js";

type Bytes = AsyncIterable<Uint8Array>;

export interface RecordsInput {
  /** From the place on. */
  readonly bytes: Bytes;
  /** True if the file's size says nothing about how much there is to read. */
  readonly isPacked: boolean;
}

export interface InputParts extends Wanted {
  /** Opens the file at an offset. */
  readonly open: (offset: number) => Bytes;
  /** Where an earlier load got to. */
  readonly from: Place | undefined;
}

/** Throws CommandFailed for a file that is no file of records. */
export async function openRecords(parts: InputParts): Promise<RecordsInput> {
  const { file, open, from } = parts;
  const raw = await withHead(open(0));
  if (!isGzip(raw.head)) {
    refuse(raw.head, parts);
    if (from === undefined) return { bytes: raw.all, isPacked: false };
    await raw.close();
    return { bytes: open(from.bytes), isPacked: false };
  }
  const plain = await withHead(unpacked(raw.all, file));
  refuse(plain.head, parts);
  const bytes = from === undefined ? plain.all : without(plain.all, from.bytes);
  return { bytes, isPacked: true };
}

function refuse(head: Head, { file, keyName, hasPath }: InputParts): void {
  const reason = reasonAgainst(head, { file, keyName, hasPath });
  if (reason === undefined) return;
  throw new CommandFailed("usage", `${file === "-" ? "what came on stdin" : file} ${reason}`);
}

async function* unpacked(packed: Bytes, file: string): AsyncGenerator<Uint8Array, void, undefined> {
  const gunzip = createGunzip();
  // Errors of both come out of gunzip, and its end ends the file.
  pipeline(Readable.from(packed), gunzip, () => undefined);
  try {
    for await (const chunk of gunzip) yield chunk as Uint8Array;
  } catch (cause) {
    if (cause instanceof CommandFailed) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    const text = `${file} cannot be unpacked (gzip: ${why}); what stands before has been read`;
    throw new CommandFailed("failed", text, { cause });
  }
}

async function* without(bytes: Bytes, count: number): AsyncGenerator<Uint8Array, void, undefined> {
  let left = count;
  for await (const piece of bytes) {
    if (left < piece.length) yield piece.subarray(left);
    left = Math.max(0, left - piece.length);
  }
}

/** The first bytes, and the whole from the start. */
async function withHead(input: Bytes): Promise<{
  readonly head: Head;
  readonly all: Bytes;
  readonly close: () => Promise<void>;
}> {
  const pieces: Uint8Array[] = [];
  const iterator = input[Symbol.asyncIterator]();
  let size = 0;
  let isWhole = false;
  let failure: unknown;
  try {
    while (!isWhole && size < HEAD_BYTES) {
      const next = await iterator.next();
      isWhole = next.done === true;
      if (next.done === true) break;
      pieces.push(next.value);
      size += next.value.length;
    }
  } catch (error) {
    if (size === 0) throw error;
    failure = error; // met again where it stands
  }
  async function* all(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* pieces;
    if (failure !== undefined) throw failure;
    if (!isWhole) yield* { [Symbol.asyncIterator]: () => iterator };
  }
  const head = { bytes: Buffer.concat(pieces).subarray(0, HEAD_BYTES), isWhole };
  return { head, all: all(), close: async () => void (await iterator.return?.()) };
}
