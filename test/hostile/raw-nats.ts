/**
 * A NATS connection that sends what it is told to: subjects and headers as bytes, malformed ones
 * too, which every client library refuses. Source: the client protocol of NATS (docs.nats.io).
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface RawMessage {
  readonly subject: string;
  readonly reply: string | undefined;
  /** Undefined = the message has none. */
  readonly headers: Buffer | undefined;
  readonly data: Buffer;
}

export interface Outgoing {
  readonly subject: Buffer;
  readonly reply: Buffer | undefined;
  readonly headers: Buffer | undefined;
  readonly data: Buffer;
}

const LINE_END = Buffer.from("\r\n");

export class RawNats {
  #received: Buffer = Buffer.alloc(0);
  readonly #pongs: (() => void)[] = [];
  /** What the server complained of. */
  readonly errors: string[] = [];
  isClosed = false;

  private constructor(
    private readonly socket: Socket,
    private readonly onMessage: (message: RawMessage) => void,
  ) {
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
    socket.on("error", (error) => this.errors.push(error.message));
    socket.on("close", () => {
      this.isClosed = true;
      for (const pong of this.#pongs.splice(0)) pong();
    });
  }

  /** Receives what comes to `subjects`. */
  static async open(
    url: string,
    subjects: readonly string[],
    onMessage: (message: RawMessage) => void,
  ): Promise<RawNats> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, "connect");
    const raw = new RawNats(socket, onMessage);
    const options = { verbose: false, pedantic: false, headers: true, no_responders: true };
    socket.write(`CONNECT ${JSON.stringify({ ...options, lang: "raw", version: "0" })}\r\n`);
    for (const [index, subject] of subjects.entries()) {
      socket.write(`SUB ${subject} ${index + 1}\r\n`);
    }
    await raw.flush();
    return raw;
  }

  publish({ subject, reply, headers, data }: Outgoing): void {
    const size = data.length + (headers?.length ?? 0);
    const sizes = headers === undefined ? `${size}` : `${headers.length} ${size}`;
    const parts = [Buffer.from(headers === undefined ? "PUB " : "HPUB "), subject];
    if (reply !== undefined) parts.push(Buffer.from(" "), reply);
    parts.push(Buffer.from(` ${sizes}\r\n`));
    if (headers !== undefined) parts.push(headers);
    parts.push(data, LINE_END);
    this.socket.write(Buffer.concat(parts));
  }

  /** Resolves when the server has read all that was sent, or the connection is gone. */
  async flush(): Promise<void> {
    if (this.isClosed) return;
    const answered = new Promise<void>((resolve) => this.#pongs.push(resolve));
    this.socket.write("PING\r\n");
    await answered;
  }

  close(): void {
    this.socket.destroy();
  }

  #take(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    for (;;) {
      const end = this.#received.indexOf(LINE_END);
      if (end < 0) return;
      const line = this.#received.toString("utf8", 0, end);
      const next = this.#takeLine(line, end + LINE_END.length);
      if (next < 0) return;
      this.#received = this.#received.subarray(next);
    }
  }

  /** Where the next line begins; −1 = a part of the message is still to come. */
  #takeLine(line: string, start: number): number {
    const [word = "", ...words] = line.split(" ");
    if (word === "PING") this.socket.write("PONG\r\n");
    else if (word === "PONG") this.#pongs.shift()?.();
    else if (word === "-ERR") this.errors.push(words.join(" "));
    else if (word === "MSG" || word === "HMSG") return this.#takeMessage(word, words, start);
    return start;
  }

  #takeMessage(word: string, words: readonly string[], start: number): number {
    const size = Number(words.at(-1));
    const headerSize = word === "HMSG" ? Number(words.at(-2)) : 0;
    const end = start + size;
    if (this.#received.length < end + LINE_END.length) return -1;
    const bytes = this.#received;
    const headers = word === "HMSG" ? bytes.subarray(start, start + headerSize) : undefined;
    const data = Buffer.from(bytes.subarray(start + headerSize, end));
    const [subject = "", , ...others] = words;
    const reply = others.length > (word === "HMSG" ? 2 : 1) ? others[0] : undefined;
    this.onMessage({ subject, reply, headers: headers && Buffer.from(headers), data });
    return end + LINE_END.length;
  }
}
