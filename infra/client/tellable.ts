/**
 * Tellable: checks that a value can be told in its format, before anything is sent.
 *
 * JSON.stringify turns NaN, Map, RegExp and others into null or {} without a word, and what the
 * store then holds is not the caller's value. So each value is walked through first, and the first
 * place that the format cannot tell is `bad-request`, with the path to it and a way out:
 *
 *   value.stock[2].price is NaN, which JSON cannot tell; give a finite number, null or a text
 *
 * These are allowed, as JSON.stringify has them:
 *   - an object with toJSON stands for the result, so a Date is its ISO text
 *   - members that are undefined are left out, except where `undefinedMembers` refuses them
 *   - members whose name is a symbol, and those that are not enumerable, are left out
 *
 * Objects with toJSON are replaced by their results here, in a copy of what holds them. A value
 * without any is returned as it is, so the usual case allocates nothing but the path's list.
 */
import { KvError } from "../../protocol/errors.js";
import { DECODE_DEPTH_MAX } from "../../protocol/limits.js";
import { setMember, type PlainObject } from "../../protocol/value/plain.js";

export type TellableFormat = "JSON" | "MessagePack";

type Trail = (string | number)[];

const identifier = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;
const loneSurrogate = /\p{Surrogate}/u;

/** What to give in place of an object of a class that has no toJSON. */
const hints: ReadonlyMap<string, string> = new Map([
  ["Map", "give Object.fromEntries(map)"],
  ["Set", "give the array [...set]"],
  ["RegExp", "give its source"],
  ["Error", "give its message"],
  ["Promise", "await it"],
  ["ArrayBuffer", "give an array of numbers; as a whole value, new Uint8Array(buffer)"],
  ["SharedArrayBuffer", "give an array of numbers"],
  ["WeakMap", "give a plain object"],
  ["WeakSet", "give an array"],
]);

/**
 * The value with the results of its toJSON, for an encoder to take. Throws KvError `bad-request`
 * for what the format cannot tell, `limit-exceeded` for nesting beyond DECODE_DEPTH_MAX. `at` is
 * the value's own name in errors.
 */
export function tellable(
  value: unknown,
  format: TellableFormat,
  at: string,
  undefinedMembers: "left out" | "refused" = "left out",
): unknown {
  const walk = new Walk(value, format, at, undefinedMembers === "refused");
  try {
    return walk.value(value);
  } catch (cause) {
    if (cause instanceof KvError) throw cause;
    // A getter or a toJSON threw it.
    throw walk.failure(`cannot be read (${String(cause)})`, cause);
  }
}

/** Half a surrogate pair has no UTF-8: an encoder would write U+FFFD in its place. */
export function checkText(text: string, at: string): void {
  if (!loneSurrogate.test(text)) return;
  throw badRequest(at, `${at} has half a surrogate pair, which is no text`);
}

class Walk {
  /** Names and indexes from the root to the value that is looked at. */
  readonly #trail: Trail = [];
  readonly #isMsgpack: boolean;

  constructor(
    private readonly root: unknown,
    private readonly format: TellableFormat,
    private readonly at: string,
    private readonly refusesUndefined: boolean,
  ) {
    this.#isMsgpack = format === "MessagePack";
  }

  value(value: unknown): unknown {
    switch (typeof value) {
      case "string":
        // JSON writes half a pair as an escape, which the store refuses.
        if (this.#isMsgpack) checkText(value, this.#place());
        return value;
      case "boolean":
        return value;
      case "number":
        if (Number.isFinite(value) || (this.#isMsgpack && !Number.isNaN(value))) return value;
        throw this.#untold(String(value), "give a finite number, null or a text");
      case "object":
        return value === null ? null : this.#object(value);
      case "bigint":
        if ("toJSON" in BigInt.prototype) return this.#told(value);
        throw this.#untold(
          `the bigint ${value}n`,
          "give a text, or a number if it is exact as one",
        );
      case "undefined":
        throw this.#untold("undefined", this.#ofUndefined());
      case "function":
        throw this.#untold("a function", "give its result");
      case "symbol":
        throw this.#untold("a symbol", "give its description");
    }
  }

  failure(why: string, cause?: unknown): KvError {
    const place = this.#place();
    return badRequest(place, `${place} ${why}`, cause);
  }

  #object(object: object): unknown {
    if (this.#trail.length >= DECODE_DEPTH_MAX) throw this.#tooDeep();
    if (Array.isArray(object)) return this.#array(object);
    if (ArrayBuffer.isView(object)) return this.#view(object);
    if ("toJSON" in object && typeof object.toJSON === "function") return this.#told(object);
    const prototype: unknown = Object.getPrototypeOf(object);
    // The plain prototype of another realm ends its chain as well; those of classes do not.
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null) throw this.#classy(object);
    return this.#members(object as Readonly<Record<string, unknown>>);
  }

  #members(object: Readonly<Record<string, unknown>>): unknown {
    let copy: PlainObject | undefined;
    for (const name of Object.keys(object)) {
      const member = object[name];
      if (this.#isMsgpack) checkText(name, this.#place());
      if (member === undefined && !this.refusesUndefined) continue;
      this.#trail.push(name);
      const told = this.value(member);
      this.#trail.pop();
      if (told === member) continue;
      copy ??= { ...object } as PlainObject;
      setMember(copy, name, told as PlainObject[string]);
    }
    return copy ?? object;
  }

  #array(array: readonly unknown[]): unknown {
    let copy: unknown[] | undefined;
    // By index, so that holes are met: they are undefined.
    for (let index = 0; index < array.length; index += 1) {
      const element = array[index];
      this.#trail.push(index);
      const told = this.value(element);
      this.#trail.pop();
      if (told === element) continue;
      copy ??= [...array];
      copy[index] = told;
    }
    return copy ?? array;
  }

  /** Typed arrays would become objects of digits; bytes are at home in MessagePack alone. */
  #view(view: ArrayBufferView): unknown {
    if (this.#isMsgpack && view instanceof Uint8Array) return view;
    const name = nameOfClass(view);
    const hint =
      view instanceof Uint8Array
        ? "give it as the whole value, as base64 text, or as an array of numbers"
        : "give an array of numbers, or its bytes as a Uint8Array as the whole value";
    throw this.#untold(`${article(name)} ${name}`, hint);
  }

  /** In place of an object its toJSON, which is asked once. */
  #told(value: object | bigint): unknown {
    if (value instanceof Date && Number.isNaN(value.getTime())) {
      throw this.#untold("an invalid Date", "give a valid one, or null");
    }
    const name = String(this.#trail.at(-1) ?? "");
    const told = (value as unknown as { toJSON: (name: string) => unknown }).toJSON(name);
    // As JSON.stringify: a toJSON of the result itself is not asked again.
    const isAgain = typeof told === "object" && told !== null && "toJSON" in told;
    return isAgain ? this.#members({ ...told }) : this.value(told);
  }

  #ofUndefined(): string {
    const parent = this.#trail.at(-1);
    if (parent === undefined) return "give a value; to remove a key use del";
    return this.refusesUndefined
      ? "give a value, or leave the member out"
      : "give null, or leave it out";
  }

  #classy(object: object): KvError {
    const name = nameOfClass(object);
    const known = object instanceof Error ? "Error" : name;
    const hint = hints.get(known) ?? "give a plain object, such as {...object}, or a toJSON to it";
    return this.#untold(`${article(name)} ${name}`, hint);
  }

  #untold(found: string, hint: string): KvError {
    const place = this.#place();
    const what = `${place} is ${found}, which ${this.format} cannot tell; ${hint}`;
    return badRequest(place, what);
  }

  #tooDeep(): KvError {
    try {
      JSON.stringify(this.root);
    } catch (cause) {
      return badRequest(
        this.at,
        `${this.at} holds itself, which ${this.format} cannot tell`,
        cause,
      );
    }
    const details = { limit: "decode_depth", max: DECODE_DEPTH_MAX };
    const description = `${this.at} is nested more than ${DECODE_DEPTH_MAX} levels deep`;
    return new KvError("limit-exceeded", description, details);
  }

  #place(): string {
    return placeOf(this.at, this.#trail);
  }
}

function placeOf(root: string, trail: Trail): string {
  let place = root;
  for (const step of trail) {
    if (typeof step === "number") place += `[${step}]`;
    else place += identifier.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
  }
  return place;
}

function nameOfClass(object: object): string {
  const { constructor } = object;
  return typeof constructor === "function" && constructor.name !== ""
    ? constructor.name
    : "object of a class";
}

function article(name: string): string {
  // Not U: a Uint8Array.
  return /^[AEIO]/i.test(name) ? "an" : "a";
}

function badRequest(field: string, description: string, cause?: unknown): KvError {
  return new KvError("bad-request", description, { field }, { cause });
}
