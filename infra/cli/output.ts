/**
 * Output: where every command writes its results, and what becomes of a reader that is slow, gone,
 * or a full disk.
 *
 * A write resolves when there is room for the next one, so that a command never holds more than a
 * little of what it has to say. A write that fails rejects with OutputFailed; the first failure is
 * kept, so that a command which did not look still ends with it. A reader that has seen enough
 * (`ringdex keys | head`) ends the command quietly: OutputFailed.isClosed.
 *
 * Files are written by a loop of ours. Node's own stream for a file takes a write of which the
 * system has done a part for a whole one: a disk that gets full would cut the file without a word.
 */
import { fstatSync, writeSync } from "node:fs";
import type { Writable } from "node:stream";
import { isatty } from "node:tty";

/** Results could not be written in full. */
export class OutputFailed extends Error {
  override readonly name = "OutputFailed";
  /** True if the reader has closed its end: that is its right, and no failure. */
  readonly isClosed: boolean;

  constructor(cause: unknown) {
    const { code, message } = cause as NodeJS.ErrnoException;
    super(`the output could not be written: ${reasons[code ?? ""] ?? message}`, { cause });
    this.isClosed = code === "EPIPE";
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "its disk is full; what is there is cut (ENOSPC)",
  EDQUOT: "your share of its disk is full; what is there is cut (EDQUOT)",
  EFBIG: "the file may not become larger; what is there is cut (EFBIG)",
};

/** Writes some of the bytes, at least one, and says how many. Throws what the system says. */
export type WriteSome = (bytes: Uint8Array) => number;

/** Where results go: a file, or a stream. */
export interface Sink {
  /** Resolves when there is room for more. */
  write(bytes: string | Uint8Array): Promise<void>;
  /** Resolves when all is out. */
  end(): Promise<void>;
}

export class Output {
  readonly #failing = new AbortController();
  #failure: OutputFailed | undefined;

  constructor(private readonly sink: Sink) {}

  /** Fires at the first failure: for commands that wait for something else than their output. */
  get failed(): AbortSignal {
    return this.#failing.signal;
  }

  /** Resolves when there is room for more. Rejects with the first failure, once there was one. */
  readonly write = async (text: string | Uint8Array): Promise<void> => {
    await this.#guarded(() => this.sink.write(text));
  };

  /** Resolves when all is out. */
  readonly end = async (): Promise<void> => {
    await this.#guarded(() => this.sink.end());
  };

  /** For a failure that the sink meets between two writes. */
  readonly fail = (cause: unknown): OutputFailed => {
    this.#failure ??= cause instanceof OutputFailed ? cause : new OutputFailed(cause);
    this.#failing.abort(this.#failure);
    return this.#failure;
  };

  async #guarded(act: () => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await act();
    } catch (error) {
      throw this.fail(error);
    }
  }
}

/** A file, or a device such as /dev/full: what it does not take at once it does not take. */
export class FileSink implements Sink {
  constructor(private readonly writeSome: WriteSome) {}

  write(text: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      let left: Uint8Array = typeof text === "string" ? Buffer.from(text) : text;
      while (left.length > 0) left = left.subarray(this.writeSome(left));
      resolve();
    });
  }

  end(): Promise<void> {
    return Promise.resolve();
  }
}

/** A pipe, a socket or a terminal: it holds a little, and says when it has room again. */
export class StreamSink implements Sink {
  constructor(private readonly stream: Writable) {
    // An error also comes to the write that met it; without a listener it would end the process.
    stream.on("error", () => undefined);
  }

  write(text: string | Uint8Array): Promise<void> {
    return this.#until("drain", () => this.stream.write(text));
  }

  end(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.stream.write("", (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Resolves at once if `act` gives true, else at the event; rejects if the stream fails first. */
  #until(event: string, act: () => boolean): Promise<void> {
    const { stream } = this;
    return new Promise((resolve, reject) => {
      if (stream.errored) return reject(stream.errored);
      if (act()) return resolve();
      const settle = (error?: Error): void => {
        stream.off(event, settle).off("error", settle).off("close", settle);
        if (error === undefined) resolve();
        else reject(error);
      };
      stream.once(event, settle).once("error", settle).once("close", settle);
    });
  }
}

/** The output of this process: its standard output, whatever that is. */
export function processOutput(stream: Writable & { readonly fd: number }): Output {
  const { fd } = stream;
  const kind = fstatSync(fd);
  const isFile = kind.isFile() || (kind.isCharacterDevice() && !isatty(fd));
  if (isFile) return new Output(new FileSink((bytes) => writeSync(fd, bytes)));
  const output = new Output(new StreamSink(stream));
  stream.on("error", output.fail);
  return output;
}
