/**
 * LogFile: lines appended to a file that is rotated by size: node.log, node.1.log, node.2.log, …
 *
 * Not winston's own file transport: closed, or written to, while it rotates, it loses lines and
 * writes to a stream that has ended. Here each line is handed to the system before write returns,
 * so that the last words of a process that dies are there; that costs some microseconds.
 */
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, parse, join } from "node:path";

/** A file is rotated when it has grown beyond. */
export const LOG_FILE_BYTES_MAX = 16 * 1_024 * 1_024;
/** The file and the rotated ones. */
export const LOG_FILES_MAX = 5;

export class LogFile {
  #descriptor: number | undefined;
  #bytes = 0;

  constructor(
    private readonly file: string,
    /** The line that makes it larger is the first of a new file. */
    private readonly bytesMax: number,
    /** The file and the rotated ones, the oldest of which is overwritten. */
    private readonly filesMax: number,
  ) {}

  /** Throws what the system says; the next write tries again from the start. */
  write(line: string): void {
    const data = Buffer.from(`${line}\n`);
    if (this.#descriptor === undefined) this.#open();
    if (this.#bytes > 0 && this.#bytes + data.length > this.bytesMax) this.#rotate();
    try {
      writeSync(this.#descriptor ?? this.#open(), data);
    } catch (error) {
      this.close();
      throw error;
    }
    this.#bytes += data.length;
  }

  close(): void {
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    if (descriptor !== undefined) closeSync(descriptor);
  }

  #open(): number {
    mkdirSync(dirname(this.file), { recursive: true });
    const descriptor = openSync(this.file, "a");
    this.#descriptor = descriptor;
    this.#bytes = fstatSync(descriptor).size;
    return descriptor;
  }

  #rotate(): void {
    this.close();
    rotate(this.file, this.filesMax);
    this.#open();
  }
}

/**
 * For a file that another process is to write, before it opens it: rotated if it has grown beyond
 * `bytesMax`. One that is not there is none.
 */
export function rotateIfLarger(file: string, bytesMax: number, filesMax: number): void {
  const { size } = statSync(file, { throwIfNoEntry: false }) ?? { size: 0 };
  if (size > bytesMax) rotate(file, filesMax);
}

function rotate(file: string, filesMax: number): void {
  for (let index = filesMax - 1; index >= 1; index -= 1) {
    try {
      renameSync(nameOf(file, index - 1), nameOf(file, index));
    } catch (error) {
      // So many have not been filled yet.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}

function nameOf(file: string, index: number): string {
  if (index === 0) return file;
  const { dir, name, ext } = parse(file);
  return join(dir, `${name}.${index}${ext}`);
}
