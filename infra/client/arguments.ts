/**
 * Arguments: checks what a call is given before anything is sent.
 *
 * JavaScript ignores an option that is misspelt, takes undefined for an option that is left out,
 * and a string for a list of its letters. A condition, a time to live or a prefix would be lost so
 * without a word. So every verb says here which options it knows; another option, an option that is
 * undefined, and a value of another type are `bad-request`, which names the place and a way out.
 *
 * `signal` and `timeoutMs` may be undefined: they are handed on from function to function, and do
 * not change what a call does.
 */
import { KvError } from "../../protocol/errors.js";
import { contentTypes } from "../../protocol/operation.js";
import { readLevels } from "../../protocol/request/request.js";
import { shown } from "../../protocol/value/shown.js";
import { Session } from "./session.js";

/** How a value of one option is told from others, and what to call those that are. */
interface Form {
  readonly is: (value: unknown) => boolean;
  readonly name: string;
}

const isText = (value: unknown): boolean => typeof value === "string";
const isFunction = (value: unknown): boolean => typeof value === "function";
const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
const flag: Form = { is: (value) => typeof value === "boolean", name: "true or false" };
const text: Form = { is: isText, name: "a text" };
const whole: Form = {
  is: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  name: "a whole number ≥ 0",
};
const duration: Form = {
  is: (value) => Number.isFinite(value) && (value as number) > 0,
  name: "a number of milliseconds above 0",
};
const countFrom1: Form = {
  is: (value) => Number.isSafeInteger(value) && (value as number) >= 1,
  name: "a whole number ≥ 1",
};
const listener: Form = { is: isFunction, name: "a function" };
const timeToLive: Form = {
  is: (value) => typeof value === "number" || isText(value),
  name: 'whole seconds, a duration such as "90m", or "never"',
};
const paths: Form = { is: isTexts, name: 'a list of paths, such as ["name", "geo.lat"]' };
const anything: Form = { is: () => true, name: "anything" };

function oneOf(names: readonly string[]): Form {
  const list = names.map((name) => JSON.stringify(name)).join(", ");
  return { is: (value) => names.includes(value as string), name: `one of ${list}` };
}

const forms = {
  timeoutMs: duration,
  signal: {
    is: (value: unknown) => isObject(value) && "aborted" in value && "addEventListener" in value,
    name: "an AbortSignal",
  },
  session: { is: (value: unknown) => value instanceof Session, name: "a Session" },
  read: oneOf(readLevels),
  as: oneOf(["json", "msgpack", "text", "bytes"]),
  ttl: timeToLive,
  contentType: oneOf(contentTypes),
  ifRevision: whole,
  ifAbsent: flag,
  returnPrevious: flag,
  requestId: text,
  atomic: flag,
  scan: flag,
  partial: flag,
  certificate: flag,
  limit: whole,
  pageSize: countFrom1,
  order: { is: isTexts, name: 'a list of paths, such as ["country", "-population"]' },
  select: paths,
  cursor: text,
  prefix: text,
  from: {
    is: (value: unknown) =>
      value === "now" ||
      value === "beginning" ||
      (value instanceof Date && !Number.isNaN(value.getTime())),
    name: '"now", "beginning" or a valid Date',
  },
  onGap: listener,
  by: { is: Number.isFinite, name: "a finite number" },
  path: text,
  key: text,
  value: anything,
  servers: {
    is: (value: unknown) =>
      (isText(value) && value !== "") || (isTexts(value) && (value as unknown[]).length > 0),
    name: 'an address such as "127.0.0.1:4222", or a list of them',
  },
  connection: {
    is: (value: unknown) => isObject(value) && "publish" in value && "subscribe" in value,
    name: "a connection of nats.js",
  },
  store: text,
  attemptTimeoutMs: duration,
  readLevel: oneOf(readLevels),
  inFlightMax: countFrom1,
  onRetry: listener,
  name: text,
  user: text,
  pass: text,
  token: text,
  nkeyFile: text,
  credsFile: text,
  authenticator: {
    is: (value: unknown) => isFunction(value) || (Array.isArray(value) && value.every(isFunction)),
    name: "an authenticator of nats.js, or a list of them",
  },
  tls: { is: isObject, name: "an object with options of TLS" },
  jetstreamDomain: text,
  inboxPrefix: text,
} satisfies Record<string, Form>;

export type OptionName = keyof typeof forms;

const call = ["timeoutMs", "signal"] as const;
const keyCall = [...call, "session"] as const;
const batchWrite = ["ifRevision", "ifAbsent", "returnPrevious", "requestId"] as const;
const write = [...keyCall, ...batchWrite] as const;
const query = [...call, "read", "scan", "partial"] as const;
const rows = ["limit", "pageSize", "order", "select", "certificate", "cursor"] as const;

const credentials = ["user", "pass", "token", "nkeyFile", "credsFile", "authenticator"] as const;
const connect = [
  ...(["servers", "connection", "store", "timeoutMs", "attemptTimeoutMs", "readLevel"] as const),
  ...(["inFlightMax", "onRetry", "name", "tls", "jetstreamDomain", "inboxPrefix"] as const),
  ...credentials,
] as const;

/** What each verb takes; `ops.` = in a batch, where the call's own options belong to the batch. */
const known = {
  get: [...keyCall, "read", "as"],
  set: [...write, "ttl", "contentType"],
  del: write,
  patch: [...write, "ttl"],
  incr: [...write, "ttl"],
  touch: write,
  "ops.get": ["read", "as"],
  "ops.set": [...batchWrite, "ttl", "contentType"],
  "ops.del": batchWrite,
  "ops.patch": [...batchWrite, "ttl"],
  "ops.incr": [...batchWrite, "ttl"],
  "ops.touch": batchWrite,
  "ops.check": ["ifRevision"],
  increment: ["by", "path"],
  getMany: [...keyCall, "read", "as"],
  setMany: keyCall,
  entry: ["key", "value", "ttl", "contentType", "ifRevision", "ifAbsent"],
  batch: [...keyCall, "read", "atomic"],
  find: [...query, ...rows, "as"],
  count: query,
  keys: [...call, "prefix", "limit", "pageSize", "read"],
  watch: ["prefix", "from", "signal", "onGap", "as"],
  status: ["signal"],
  ping: call,
  info: call,
  connect,
} as const satisfies Record<string, readonly OptionName[]>;

export type OptionSet = keyof typeof known;

const mayBeUndefined: ReadonlySet<string> = new Set(call);

/** Throws KvError `bad-request` unless `options` has only what `set` knows, in their forms. */
export function checkOptions(set: OptionSet, options: unknown, at = `options of ${set}`): void {
  const names: readonly string[] = known[set];
  if (!isObject(options) || Array.isArray(options)) throw notOptions(set, at, names, options);
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) throw unknownOption(at, name, names);
    const value = (options as Readonly<Record<string, unknown>>)[name];
    const form = forms[name as OptionName];
    if (form.is(value)) continue;
    if (value !== undefined) throw badArgument(name, form.name, value, at);
    if (!mayBeUndefined.has(name)) throw badArgument(name, form.name, value, at, "or leave it out");
  }
}

/** Where fewer forms of values are to be had than from get. */
export function checkAs(as: string | undefined, verb: OptionSet, names: readonly string[]): void {
  const form = oneOf(names);
  if (as === undefined || form.is(as)) return;
  throw badArgument("as", form.name, as, `options of ${verb}`);
}

/** `at: what is form; received value`, and what to do. */
export function badArgument(
  what: string,
  form: string,
  value: unknown,
  at = "",
  hint = "",
): KvError {
  const place = at === "" ? what : `${at}: ${what}`;
  const instead = hint === "" ? "" : `; ${hint}`;
  const description = `${place} is ${form}; received ${shownArgument(value)}${instead}`;
  return new KvError("bad-request", description, { field: what });
}

/** A value of any type, as an error shows it. */
export function shownArgument(value: unknown): string {
  if (value === undefined) return "undefined";
  if (typeof value === "bigint") return `the bigint ${value}n`;
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "an invalid Date" : "a Date";
  return shown(value);
}

function notOptions(
  set: OptionSet,
  at: string,
  names: readonly string[],
  received: unknown,
): KvError {
  const isPrefix = typeof received === "string" && names.includes("prefix");
  const prefix = `to ask for a prefix write ${set}({ prefix: ${shown(received)} })`;
  const hint = isPrefix ? prefix : `an object of these: ${names.join(", ")}`;
  const description = `${at}: received ${shownArgument(received)}; ${hint}`;
  return new KvError("bad-request", description, { field: "options" });
}

function unknownOption(at: string, name: string, names: readonly string[]): KvError {
  const near = names.find((each) => isNear(each, name));
  const hint = near === undefined ? `known are ${names.join(", ")}` : `did you mean ${near}?`;
  const description = `${at}: there is no option ${JSON.stringify(name)}; ${hint}`;
  return new KvError("bad-request", description, { field: name });
}

/** The same letters, or one letter more, less, or other, or two that changed places. */
function isNear(name: string, typed: string): boolean {
  const [a, b] = [lettersOf(name), lettersOf(typed)];
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  const endMax = Math.min(a.length, b.length) - start;
  while (end < endMax && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const [restA, restB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  if (restA.length <= 1 && restB.length <= 1) return true;
  return restA.length === 2 && restB === `${restA[1]}${restA[0]}`;
}

function lettersOf(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z]/g, "");
}
