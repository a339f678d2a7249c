/**
 * The closed list of errors that cross the wire (docs/protocol.md, "Errors").
 *
 * Each one answers two questions for its receiver: may I send the same request again (`retryable`),
 * and may the write be there already (`written`)? Both are fixed by the name, but for `in-doubt`,
 * which a too-old request id makes final, and `overloaded`, which a full log makes final: it stays
 * full until a person makes room. The description names the field, the limit and what was
 * received, and says what to do.
 */

const table = {
  "bad-request": { code: 400, retryable: false, written: "no" },
  "not-found": { code: 404, retryable: false, written: "no" },
  conflict: { code: 409, retryable: false, written: "no" },
  "cursor-expired": { code: 410, retryable: false, written: "no" },
  "too-large": { code: 413, retryable: false, written: "no" },
  "limit-exceeded": { code: 422, retryable: false, written: "no" },
  overloaded: { code: 429, retryable: true, written: "no" },
  internal: { code: 500, retryable: false, written: "unknown" },
  unsupported: { code: 501, retryable: false, written: "no" },
  incomplete: { code: 502, retryable: true, written: "no" },
  unavailable: { code: 503, retryable: true, written: "no" },
  "in-doubt": { code: 504, retryable: true, written: "unknown" },
} as const satisfies Record<string, { code: number; retryable: boolean; written: Written }>;

export type Written = "no" | "unknown";
export type ErrorName = keyof typeof table;
export const errorNames = Object.keys(table) as readonly ErrorName[];

/** Members beside code, name and description in the body: `revision`, `limit`, `index`, … */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** The `error` member of a reply's body. */
export interface ErrorBody {
  readonly code: number;
  readonly name: ErrorName;
  readonly description: string;
  readonly retryable: boolean;
  readonly written: Written;
  readonly [detail: string]: unknown;
}

/** An expected error, of the closed list. */
export class KvError extends Error {
  override readonly name = "KvError";
  readonly code: number;
  readonly retryable: boolean;
  readonly written: Written;

  constructor(
    /** Which error of the list; `name` itself is the class's, as for every Error. */
    readonly kind: ErrorName,
    description: string,
    readonly details: ErrorDetails = {},
    options?: { cause?: unknown; retryable?: boolean },
  ) {
    super(description, options?.cause === undefined ? undefined : { cause: options.cause });
    const row = table[kind];
    this.code = row.code;
    this.retryable = options?.retryable ?? row.retryable;
    this.written = row.written;
  }

  /**
   * True for a refusal of the moment: the request was not looked at, so an earlier attempt may have
   * been done, and a later one may be. A full log's is one, though it is not worth asking again.
   */
  get isUndecided(): boolean {
    return this.retryable || this.kind === "overloaded";
  }

  /** The same, naming which operation of its batch it is about. */
  withIndex(index: number, description = this.message): KvError {
    const { kind, details, retryable } = this;
    return new KvError(kind, description, { ...details, index }, { cause: this, retryable });
  }

  toBody(): ErrorBody {
    const { code, kind: name, message: description, retryable, written } = this;
    return { ...this.details, code, name, description, retryable, written };
  }

  /** The error in a reply's body. Unknown names and forms become `internal`. */
  static fromBody(body: unknown): KvError {
    if (typeof body !== "object" || body === null) {
      const what = body === null ? "null" : typeof body;
      return new KvError("internal", `a reply has an error that is ${what}, not an object`);
    }
    const {
      code: _code,
      name,
      description,
      retryable,
      written: _w,
      ...details
    } = body as ErrorBody;
    // The name may be any object that a sender made up, even one without a usable toString.
    if (typeof name !== "string" || !Object.hasOwn(table, name)) {
      const what = typeof name === "string" ? JSON.stringify(name) : "that is not text";
      return new KvError("internal", `a reply names an unknown error ${what}`);
    }
    const isTold = typeof description === "string";
    const text = isTold ? description : `${name}, without a description`;
    return new KvError(name, text, details, { retryable: retryable === true });
  }
}
