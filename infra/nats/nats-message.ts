/**
 * NATS messages and their headers, as bytes.
 *
 * nats.js has a class for headers that costs 1.4 µs a message to build and throws on received
 * names that it does not like. A reply's headers are known in advance and a request's are rarely
 * looked at, so both directions are done by hand here: 188 ns to write, and nothing to receive
 * until somebody looks.
 *
 * Header bytes:
 *
 *   NATS/1.0[ <status>[ <description>]] CR LF
 *   (<name> ":" [space] <value> CR LF)*
 *   CR LF
 *
 * The status stands in messages of the server itself: 503 = nobody listens to a request's subject,
 * 100/404/408/409 = control messages of a pull consumer.
 *
 * This is the only file that reads fields of nats.js that its documentation does not name
 * (`_msg`, `_rdata`); package.json pins the version, and `natsMessage` asserts that they are there.
 */
import { isUtf8 } from "node:buffer";
import type { Msg, MsgHdrs } from "nats";
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type { HeaderList, HeaderMap, Message } from "../bus.js";

/** What nats.js keeps of a message that it has received. */
interface RawMessage {
  readonly _msg: {
    readonly subject: Uint8Array;
    readonly reply?: Uint8Array;
    readonly hdr: number;
  };
  readonly _rdata: Uint8Array;
}

const LINE_END = "\r\n";
const PREFIX = "NATS/1.0";
const SPACE = 0x20;
const forbiddenInName = /[^\x21-\x39\x3b-\x7e]/;
const forbiddenInValue = /[\r\n]/;

/** Header bytes. Throws KvError `bad-request` for what would break the message's lines. */
export function encodeHeaders(headers: HeaderList): Uint8Array {
  let text = PREFIX + LINE_END;
  for (const [name, value] of headers) {
    if (name === "" || forbiddenInName.test(name)) {
      throw new KvError("bad-request", `header name ${JSON.stringify(name)} is not a header name`);
    }
    if (forbiddenInValue.test(value)) {
      throw new KvError("bad-request", `header ${name}: its value must not contain CR or LF`);
    }
    text += `${name}: ${value}${LINE_END}`;
  }
  return Buffer.from(text + LINE_END);
}

/** Ready header bytes in the one form of nats.js's headers that its publish() looks at. */
export function asNatsHeaders(bytes: Uint8Array): MsgHdrs {
  return { encode: () => bytes } as unknown as MsgHdrs;
}

/** Undefined if there is no named header. Lines without a colon or a name are left out. */
export function parseHeaders(bytes: Uint8Array): HeaderMap | undefined {
  const lines = text(bytes).split(LINE_END);
  const headers = new Map<string, string[]>();
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index] ?? "";
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const values = headers.get(name);
    if (values === undefined) headers.set(name, [value]);
    else values.push(value);
  }
  return headers.size === 0 ? undefined : headers;
}

/** A received message. Its bytes are a view of what was read from the socket. */
export class NatsMessage implements Message {
  readonly data: Uint8Array;
  readonly #raw: RawMessage;
  #subject: string | undefined;
  #headers: HeaderMap | undefined;
  #headersParsed = false;

  constructor(raw: RawMessage) {
    this.#raw = raw;
    const bytes = raw._rdata;
    const start = Math.max(raw._msg.hdr, 0);
    // Not a Buffer, whose slice() shares where a Uint8Array's copies.
    this.data = new Uint8Array(bytes.buffer, bytes.byteOffset + start, bytes.length - start);
  }

  get subject(): string {
    return (this.#subject ??= subjectText(this.#raw._msg.subject));
  }

  get reply(): string | undefined {
    const bytes = this.#raw._msg.reply;
    return bytes === undefined || bytes.length === 0 ? undefined : text(bytes);
  }

  get headers(): HeaderMap | undefined {
    if (!this.#headersParsed) {
      this.#headersParsed = true;
      if (this.#raw._msg.hdr > 0) this.#headers = parseHeaders(this.#headerBytes());
    }
    return this.#headers;
  }

  /** The status in its header line: the server's own words have one (503, 100, …). A client may
   * send one too. 0 = none. */
  get status(): number {
    const bytes = this.#raw._rdata;
    if (this.#raw._msg.hdr <= PREFIX.length || bytes[PREFIX.length] !== SPACE) return 0;
    const code = Number.parseInt(this.#statusLine(), 10);
    return Number.isNaN(code) ? 0 : code;
  }

  /** What stands after the status, "" if nothing does. */
  get statusDescription(): string {
    return this.status === 0 ? "" : this.#statusLine().replace(/^\d+\s*/, "");
  }

  /** The request had no receiver: the server's 503, not a program's. */
  get isNoResponders(): boolean {
    return this.data.length === 0 && this.status === 503;
  }

  /** Bytes as JetStream counts them against a pull's `max_bytes`. */
  get size(): number {
    const { subject, reply } = this.#raw._msg;
    return subject.length + (reply?.length ?? 0) + this.#raw._rdata.length;
  }

  /** The subject from byte `start` on as a decimal number; NaN if it is not one. */
  subjectNumber(start: number): number {
    const bytes = this.#raw._msg.subject;
    let number = start < bytes.length ? 0 : Number.NaN;
    for (let index = start; index < bytes.length; index++) {
      const digit = (bytes[index] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) return Number.NaN;
      number = number * 10 + digit;
    }
    return number;
  }

  #headerBytes(): Uint8Array {
    return this.#raw._rdata.subarray(0, this.#raw._msg.hdr);
  }

  #statusLine(): string {
    const line = text(this.#headerBytes());
    return line.slice(PREFIX.length, line.indexOf(LINE_END)).trim();
  }
}

/** Takes a message of nats.js apart. */
export function natsMessage(message: Msg): NatsMessage {
  const raw = message as unknown as Partial<RawMessage>;
  assert(
    raw._msg !== undefined && raw._rdata !== undefined,
    "nats.js is pinned to a version whose messages keep _msg and _rdata",
  );
  return new NatsMessage(raw as RawMessage);
}

/** What a decoder puts in place of bytes that are no UTF-8; also a character of its own. */
const REPLACEMENT = "\ufffd";
/** Half a surrogate pair, which no decoded text has. */
const NO_TEXT = "\udcff";

/**
 * A subject as text. Bytes that are no UTF-8 become what no key may contain: as U+FFFD, which one
 * may, different keys would reach one record. Source: surrogateescape of Python (PEP 383).
 */
function subjectText(bytes: Uint8Array): string {
  const decoded = text(bytes);
  if (!decoded.includes(REPLACEMENT) || isUtf8(bytes)) return decoded;
  return decoded.replaceAll(REPLACEMENT, NO_TEXT);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}
