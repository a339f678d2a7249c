/**
 * Seed: a whole store, sent in parts to a node that has to fill one (rule L3).
 *
 * The receiver asks for part 0, 1, 2, … of a session of its own naming; part 0 takes a snapshot of
 * the source's store. Asking for a part again gives the same bytes, so an answer may be lost.
 *
 *   request   {"shard": …, "log_id": …, "session": …, "part": …}
 *   reply     u8 flag, then bytes: FLAG_MORE or FLAG_LAST and a piece of the rows, or FLAG_ERROR
 *             and the error's body as JSON
 *
 * The rows follow one another in the order of their keys, each as
 *   u32 bytes of the key, u32 bytes of the value, big-endian; the key; the value
 * and a piece may end anywhere within one, because a row may be larger than a message.
 */
import { DamagedError } from "../damaged.js";
import { KvError } from "../errors.js";

export interface SeedRequest {
  readonly shard: string;
  /** A source whose store is not of this log yet refuses. */
  readonly log_id: string;
  readonly session: string;
  readonly part: number;
}

export type SeedReply = { readonly isLast: boolean; readonly bytes: Uint8Array };

export interface SeedRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

const FLAG_MORE = 0;
const FLAG_LAST = 1;
const FLAG_ERROR = 2;
const ROW_HEAD_BYTES = 8;

/** Throws KvError `bad-request`. */
export function parseSeedRequest(data: Uint8Array): SeedRequest {
  const { shard, log_id, session, part } = objectOf(data);
  const isWhole =
    typeof shard === "string" &&
    typeof log_id === "string" &&
    typeof session === "string" &&
    typeof part === "number" &&
    Number.isSafeInteger(part) &&
    part >= 0;
  if (isWhole) return { shard, log_id, session, part };
  throw new KvError("bad-request", "a seed request must have shard, log_id, session and part");
}

function objectOf(data: Uint8Array): Partial<SeedRequest> {
  try {
    return (JSON.parse(Buffer.from(data).toString()) as Partial<SeedRequest> | null) ?? {};
  } catch {
    return {}; // the caller says what is missing
  }
}

export function encodeSeedReply(reply: SeedReply | KvError): Uint8Array {
  if (reply instanceof KvError) {
    return Buffer.concat([Buffer.of(FLAG_ERROR), Buffer.from(JSON.stringify(reply.toBody()))]);
  }
  return Buffer.concat([Buffer.of(reply.isLast ? FLAG_LAST : FLAG_MORE), reply.bytes]);
}

/** Throws the reply's own KvError, or `internal` for bytes that are not a reply. */
export function decodeSeedReply(data: Uint8Array): SeedReply {
  const bytes = data.subarray(1);
  if (data[0] === FLAG_MORE || data[0] === FLAG_LAST)
    return { isLast: data[0] === FLAG_LAST, bytes };
  if (data[0] !== FLAG_ERROR) throw new KvError("internal", "the seed part has no flag");
  throw KvError.fromBody(errorBodyOf(bytes));
}

function errorBodyOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch (cause) {
    throw new KvError("internal", "the seed part holds an error that is not JSON", {}, { cause });
  }
}

export function encodeSeedRow({ key, value }: SeedRow): Uint8Array {
  const head = Buffer.allocUnsafe(ROW_HEAD_BYTES);
  head.writeUInt32BE(key.length, 0);
  head.writeUInt32BE(value.length, 4);
  return Buffer.concat([head, key, value]);
}

/** Puts rows together again from pieces. */
export class SeedRows {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  /** The rows that the piece completes. */
  take(piece: Uint8Array): SeedRow[] {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    const rows: SeedRow[] = [];
    // Copied once: what is handed over are views of it.
    const buffer = Buffer.concat(this.#pieces, this.#bytes);
    let at = 0;
    for (;;) {
      const keyAt = at + ROW_HEAD_BYTES;
      if (keyAt > buffer.length) break;
      const valueAt = keyAt + buffer.readUInt32BE(at);
      const end = valueAt + buffer.readUInt32BE(at + 4);
      if (end > buffer.length) break;
      rows.push({ key: buffer.subarray(keyAt, valueAt), value: buffer.subarray(valueAt, end) });
      at = end;
    }
    const rest = buffer.subarray(at);
    this.#pieces = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    return rows;
  }

  /** After the last piece. Throws DamagedError if a row is not whole. */
  end(): void {
    if (this.#bytes === 0) return;
    throw new DamagedError(`${this.#bytes} bytes of an unfinished row at the end of a seed`);
  }
}
