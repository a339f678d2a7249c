/**
 * Reads a MANIFEST of RocksDB: which data files a store consists of, and from where its write-ahead
 * logs go on.
 *
 * A MANIFEST is a log (rocks-log-file.ts) of edits; an edit is a row of tagged fields:
 *
 *   1 comparator text · 2 log number · 3 next file number · 4 last sequence · 9 previous log number
 *   10 oldest log kept · 5 level, text · 6 level, file deleted
 *   103 level, file added, bytes, smallest text, largest text, smallest and largest sequence,
 *       then (tag, text) until tag 1
 *   200, 203 column family numbers · 201 text · 202 nothing
 *   8,192 + n  text, and may be passed over
 *
 * Numbers are varints, a text is a varint of its length and its bytes.
 *
 * Sequences count what was written: a batch of n operations takes n of them. With one writer and
 * one column family they have no gaps, so where the data files end is where the first write-ahead
 * log must begin.
 *
 * Source: db/version_edit.cc of RocksDB 6.17.
 */
import { readLogFile } from "./rocks-log-file.js";

export interface DataFile {
  readonly number: number;
  readonly bytes: number;
}

export interface Manifest {
  /** Not in any order. */
  readonly files: readonly DataFile[];
  /** Write-ahead logs of lower numbers are in the data files. */
  readonly logNumber: number;
  /** Sequence of the last operation that is in the data files. */
  readonly sequenceLast: number;
}

const LEVEL_ZERO = 0;
const CUSTOM_END = 1;

/** Throws Error, saying what is wrong, for bytes that are no whole MANIFEST. */
export function readManifest(bytes: Buffer): Manifest {
  const { records, end, tail } = readLogFile(bytes);
  if (tail === "damaged") throw new Error(`its bytes from ${end} on are not what was written`);
  const files = new Map<number, DataFile>();
  let logNumber = 0;
  let flushed = 0;
  let sequenceFirst: number | undefined;
  let hasNumbers = false;
  for (const { payload, offset } of records) {
    const edit = readEdit(payload, offset);
    for (const number of edit.deleted) files.delete(number);
    for (const file of edit.added) files.set(file.number, file);
    logNumber = edit.logNumber ?? logNumber;
    sequenceFirst ??= edit.sequenceLast;
    hasNumbers ||= edit.hasNextFileNumber;
    // What a write-ahead log held has become a file of level 0, and the log is not needed.
    if (edit.logNumber === undefined) continue;
    for (const { level, sequenceLargest } of edit.added) {
      if (level === LEVEL_ZERO) flushed = Math.max(flushed, sequenceLargest);
    }
  }
  // RocksDB refuses it too, but later, when write-ahead logs have been cut to fit it.
  if (!hasNumbers || sequenceFirst === undefined) throw new Error("its end is missing");
  return { files: [...files.values()], logNumber, sequenceLast: Math.max(flushed, sequenceFirst) };
}

interface AddedFile extends DataFile {
  readonly level: number;
  readonly sequenceLargest: number;
}

interface Edit {
  readonly added: AddedFile[];
  readonly deleted: number[];
  hasNextFileNumber: boolean;
  logNumber?: number;
  sequenceLast?: number;
}

function readEdit(payload: Buffer, offset: number): Edit {
  const reader = new FieldReader(payload);
  const edit: Edit = { added: [], deleted: [], hasNextFileNumber: false };
  while (!reader.isAtEnd) readField(reader, edit, offset);
  return edit;
}

function readField(reader: FieldReader, edit: Edit, offset: number): void {
  const tag = reader.number();
  switch (tag) {
    case 2:
      edit.logNumber = reader.number();
      return;
    case 4:
      edit.sequenceLast = reader.number();
      return;
    case 3:
      edit.hasNextFileNumber = true;
      reader.number();
      return;
    case 9:
    case 10:
    case 200:
    case 203:
    case 300:
      reader.number();
      return;
    case 1:
    case 201:
      reader.text();
      return;
    case 202:
      return;
    case 5:
      reader.number();
      reader.text();
      return;
    case 6:
      reader.number();
      edit.deleted.push(reader.number());
      return;
    case 103:
      edit.added.push(readAddedFile(reader));
      return;
    default:
      if (tag < 8_192) throw new Error(`its record at ${offset} has a field of kind ${tag}`);
      reader.text();
  }
}

function readAddedFile(reader: FieldReader): AddedFile {
  const level = reader.number();
  const number = reader.number();
  const bytes = reader.number();
  reader.text();
  reader.text();
  reader.number();
  const sequenceLargest = reader.number();
  while (reader.number() !== CUSTOM_END) reader.text();
  return { number, bytes, level, sequenceLargest };
}

/** Varints and texts, of MANIFEST and of tables. Throws Error past the end. */
export class FieldReader {
  constructor(
    private readonly bytes: Buffer,
    private at = 0,
  ) {}

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  number(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.bytes[this.at];
      if (byte === undefined || factor > 2 ** 63) throw new Error("a number in it has no end");
      this.at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  text(): Buffer {
    return this.raw(this.number());
  }

  raw(length: number): Buffer {
    if (this.at + length > this.bytes.length) throw new Error("a text in it has no end");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}
