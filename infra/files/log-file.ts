/**
 * LogFile: lines appended to a file that is rotated by size: node.log, node.1.log, node.2.log, …
 *
 * Not winston's own file transport: closed, or written to, while it rotates, it loses lines and
 * writes to a stream that has ended. Here each line is handed to the system before write returns,
 * so that the last words of a process that dies are there; that costs some microseconds.
 */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname, parse, join } from "node:path";

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
    for (let index = this.filesMax - 1; index >= 1; index -= 1) {
      const from = this.#name(index - 1);
      try {
        renameSync(from, this.#name(index));
      } catch (error) {
        // So many have not been filled yet.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
    this.#open();
  }

  #name(index: number): string {
    if (index === 0) return this.file;
    const { dir, name, ext } = parse(this.file);
    return join(dir, `${name}.${index}${ext}`);
  }
}
