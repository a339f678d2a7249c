/**
 * Logger: what a node did, one JSON object a line, by winston.
 *
 *   error  a person must look
 *   info   a change of state that a person would want to know
 *   debug  messages
 *
 * A line is {"time", "level", "node", "message", …fields}, with the fields in the words of the
 * code; an Error among them becomes {name, message, stack, cause, …}. Lines go to a file, rotated
 * by size (log-file.ts), and from `info` upwards to `publish` too, which sends them to
 * kv.node.<name>.log.<level>.
 *
 * Logging never fails its caller and never waits. What cannot be kept or published is dropped and
 * counted, and the next line that passes the same way says how many: `lines_dropped`.
 */
import winston from "winston";
import Transport from "winston-transport";
import { systemClock } from "./clock.js";
import { LOG_FILE_BYTES_MAX, LOG_FILES_MAX, LogFile } from "./files/log-file.js";

/** Lines published in a second; a storm of errors must not become a storm of messages. */
export const LOG_PUBLISHED_PER_SECOND_MAX = 100;
/** Longer lines are published without their fields. */
export const LOG_PUBLISHED_BYTES_MAX = 64 * 1_024;

const levels = { error: 0, info: 1, debug: 2 } as const;
export type LogLevel = keyof typeof levels;
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  error(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** Later lines are lost. */
  close(): Promise<void>;
}

export interface LoggerOptions {
  readonly node: string;
  /** Its folder is made if it is missing. */
  readonly file: string;
  readonly level: LogLevel;
  /** Where lines go; default "file". What stdout cannot take is its reader's loss. */
  readonly output?: "file" | "stdout" | "both";
  /** Writes to stdout; default: that of this process. */
  readonly print?: (line: string) => void;
  readonly publish?: (level: LogLevel, line: string) => void;
  /** Default LOG_FILE_BYTES_MAX. */
  readonly fileBytesMax?: number;
}

export function createLogger(options: LoggerOptions): Logger {
  const publisher = options.publish === undefined ? undefined : new Publisher(options.publish);
  const fileBytesMax = options.fileBytesMax ?? LOG_FILE_BYTES_MAX;
  const { output = "file", print = printLine } = options;
  const places: LineWriter[] = [];
  if (output !== "stdout") places.push(new LogFile(options.file, fileBytesMax, LOG_FILES_MAX));
  if (output !== "file") places.push({ write: print, close: () => undefined });
  const file = new FileTransport(places);
  const lines = winston.createLogger({
    levels,
    level: options.level,
    format: winston.format.printf((info) => String(info.message)),
    transports: publisher === undefined ? [file] : [file, publisher],
    exitOnError: false,
  });
  return new FileLogger(options.node, lines, file, publisher);
}

class FileLogger implements Logger {
  #isClosed = false;

  constructor(
    private readonly node: string,
    private readonly lines: winston.Logger,
    private readonly file: FileTransport,
    private readonly publisher: Publisher | undefined,
  ) {}

  error(message: string, fields?: LogFields): void {
    this.#log("error", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#log("info", message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.#log("debug", message, fields);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const finished = new Promise<void>((resolve) => void this.file.once("finish", resolve));
    this.lines.end();
    await finished;
    this.file.close();
  }

  #log(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (this.#isClosed || !this.lines.isLevelEnabled(level)) return;
    const time = new Date(systemClock.now()).toISOString();
    const line = toLine({ time, level, node: this.node, message }, fields);
    // A publish that logs would never end: what it logs goes to the file only.
    const isFileOnly = this.publisher?.isPublishing === true;
    this.lines.log({ level, message: line, isFileOnly });
  }
}

/** The head first, and its members stand against fields of the same name. */
function toLine(head: LogFields, fields: LogFields): string {
  try {
    return JSON.stringify({ ...head, ...fields, ...head }, plain);
  } catch (error) {
    // A circle, or a getter that throws: the line matters more than its fields.
    return JSON.stringify({ ...head, fields_unreadable: String(error) });
  }
}

/** For JSON.stringify: Errors with what a person needs, and what JSON has no form for as text. */
function plain(_name: string, value: unknown): unknown {
  if (value instanceof Error) {
    const { name, message, stack, cause } = value;
    return { ...Object.fromEntries(Object.entries(value)), name, message, stack, cause };
  }
  if (typeof value === "bigint") return String(value);
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  return value;
}

type LineWriter = Pick<LogFile, "write" | "close">;

function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/**
 * Lines to the file, or to where else they are wanted. A disk that fails is told of on the
 * process's own output, which is all that is left, once until it works again.
 */
class FileTransport extends Transport {
  #linesDropped = 0;

  constructor(private readonly places: readonly LineWriter[]) {
    super();
  }

  override log(info: { message: unknown }, next: () => void): void {
    const line = String(info.message);
    try {
      for (const place of this.places) place.write(withDropped(line, this.#linesDropped));
      this.#linesDropped = 0;
    } catch (error) {
      if (this.#linesDropped === 0) process.stderr.write(`no log: ${String(error)}\n${line}\n`);
      this.#linesDropped += 1;
    }
    next();
  }

  override close(): void {
    for (const place of this.places) place.close();
  }
}

function withDropped(line: string, linesDropped: number): string {
  if (linesDropped === 0) return line;
  return JSON.stringify({ ...(JSON.parse(line) as LogFields), lines_dropped: linesDropped });
}

/** Hands lines to `publish`, however that behaves. */
class Publisher extends Transport {
  isPublishing = false;
  #linesDropped = 0;
  #secondStart = 0;
  #publishedCount = 0;

  constructor(private readonly publish: (level: LogLevel, line: string) => void) {
    super({ level: "info" });
  }

  override log(
    info: { level: string; message: unknown; isFileOnly: boolean },
    next: () => void,
  ): void {
    if (!info.isFileOnly) this.#publish(info.level as LogLevel, String(info.message));
    next();
  }

  #publish(level: LogLevel, line: string): void {
    if (!this.#mayPublish()) {
      this.#linesDropped += 1;
      return;
    }
    this.isPublishing = true;
    try {
      this.publish(level, this.#shorten(line));
      this.#linesDropped = 0;
    } catch {
      // The file has the line; logging the failure would publish again.
      this.#linesDropped += 1;
    } finally {
      this.isPublishing = false;
    }
  }

  #mayPublish(): boolean {
    const now = systemClock.elapsedMs();
    if (now - this.#secondStart >= 1_000) {
      this.#secondStart = now;
      this.#publishedCount = 0;
    }
    this.#publishedCount += 1;
    return this.#publishedCount <= LOG_PUBLISHED_PER_SECOND_MAX;
  }

  #shorten(line: string): string {
    if (Buffer.byteLength(line) <= LOG_PUBLISHED_BYTES_MAX) {
      return withDropped(line, this.#linesDropped);
    }
    const { time, level, node, message } = JSON.parse(line) as LogFields;
    const head = { time, level, node, message: String(message).slice(0, 1_000) };
    return withDropped(JSON.stringify({ ...head, shortened: true }), this.#linesDropped);
  }
}
