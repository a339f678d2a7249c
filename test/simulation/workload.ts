/**
 * Workload: draws the requests of a simulated run's clients from the seed.
 *
 * Runs differ: in some all clients compete for one or two keys with conditions and increments, in
 * others they use many keys and query them. The values have every type that an index knows, and
 * sometimes more than the run's limits allow.
 */
import type { Step } from "../history/history.js";
import type { SeededChance } from "../support/manual-clock.js";

/** A step that has no outcome yet. */
export type Wish = Omit<Step, "outcome">;

export type QueryWish =
  | { readonly verb: "find" | "count"; readonly where: object; readonly limit: number }
  | { readonly verb: "keys"; readonly prefix: string; readonly limit: number };

/** What a run's clients have in common. */
export interface Mix {
  readonly keys: readonly string[];
  /** Keys of one position, in one tag. */
  readonly tagged: readonly string[];
  /** Weights. */
  readonly reads: number;
  readonly writes: number;
  readonly batches: number;
  /** Operations of one batch: at most. */
  readonly batchMax: number;
  readonly queries: number;
  readonly garbage: number;
}

const hotKeys = ["a", "{t}1", "{t}2"];
const wideKeys =
  "a|b|city.delhi|city.paris|city.rome|é|user.1|user.2|user.10|with space|ключ|x.y.z".split("|");

const taggedKeys = ["{t}1", "{t}2", "{t}3"];
const allKeys = [...wideKeys, ...taggedKeys, "{u}1", "{u}2", "{u}city.oslo"];

export function drawMix(chance: SeededChance): Mix {
  const common = { tagged: taggedKeys, garbage: 2, batchMax: 8 };
  switch (chance.integer(5)) {
    case 0:
      return { ...common, keys: hotKeys, reads: 30, writes: 60, batches: 10, queries: 4 };
    case 1:
      return { ...common, keys: allKeys, reads: 15, writes: 45, batches: 15, queries: 30 };
    case 2:
    case 3: {
      const bulk = { ...common, keys: allKeys, batchMax: 24 };
      return { ...bulk, reads: 20, writes: 30, batches: 40, queries: 8 };
    }
    default:
      return { ...common, keys: allKeys, reads: 35, writes: 50, batches: 10, queries: 8 };
  }
}

export type WishKind = "read" | "write" | "batch" | "query" | "garbage";

export function drawKind(chance: SeededChance, mix: Mix): WishKind {
  const weights: [WishKind, number][] = [
    ["read", mix.reads],
    ["write", mix.writes],
    ["batch", mix.batches],
    ["query", mix.queries],
    ["garbage", mix.garbage],
  ];
  let left = chance.integer(weights.reduce((sum, [, weight]) => sum + weight, 0));
  return weights.find(([, weight]) => (left -= weight) < 0)?.[0] ?? "read";
}

/** What a client knows when it asks. */
export interface Known {
  readonly client: string;
  readonly number: number;
  /** Last revision that the client has seen of the key; 0 = absent or not known. */
  readonly revisionOf: (key: string) => number;
}

export function drawRead(chance: SeededChance, keys: readonly string[]): Wish {
  const key = chance.pick(keys);
  const level = chance.pick(["linearizable", "linearizable", "session", "stale"] as const);
  return { verb: "get", key, level };
}

export function drawWrite(chance: SeededChance, keys: readonly string[], known: Known): Wish {
  const key = chance.pick(keys);
  const value = JSON.stringify(drawValue(chance, known));
  switch (chance.integer(12)) {
    case 0:
      return { verb: "del", key };
    case 1:
      return { verb: "del", key, ...drawCondition(chance, key, known) };
    case 2:
    case 3:
      return { verb: "incr", key, by: 1 + chance.integer(2), path: "count" };
    case 4:
    case 5:
      return { verb: "patch", key, value: JSON.stringify(drawPatch(chance, known)) };
    case 6:
      return { verb: "touch", key, ttl: chance.happens(0.2) ? "never" : drawTtl(chance) };
    case 7:
      return { verb: "set", key, value, ttl: drawTtl(chance) };
    case 8:
    case 9:
      return { verb: "set", key, value, ...drawCondition(chance, key, known) };
    default:
      return { verb: "set", key, value };
  }
}

/** Gets and writes of any keys; each stands alone. */
export function drawBatch(chance: SeededChance, mix: Mix, known: Known): Wish[] {
  const { keys, batchMax } = mix;
  const count = 2 + chance.integer(batchMax - 1);
  if (chance.happens(0.25)) return Array.from({ length: count }, () => drawGetOf(chance, keys));
  return Array.from({ length: count }, (_, index) => {
    if (chance.happens(0.2)) return drawGetOf(chance, keys);
    return drawWrite(chance, keys, { ...known, number: known.number + (index + 1) / 100 });
  });
}

/** Writes and checks of keys with one tag. */
export function drawAtomic(chance: SeededChance, mix: Mix, known: Known): Wish[] {
  const { tagged } = mix;
  const writes = Array.from({ length: 1 + chance.integer(3) }, (_, index) => {
    return drawWrite(chance, tagged, { ...known, number: known.number + (index + 1) / 100 });
  });
  if (chance.happens(0.6)) return writes;
  const key = chance.pick(tagged);
  return [{ verb: "check", key, ifRevision: known.revisionOf(key) }, ...writes];
}

export function drawQuery(chance: SeededChance): QueryWish {
  const limit = chance.pick([1, 2, 3, 5, 100]);
  switch (chance.integer(6)) {
    case 0:
      return { verb: "keys", prefix: chance.pick(["", "c", "city.", "user.1", "{"]), limit };
    case 1:
    case 2:
      return { verb: "count", where: drawWhere(chance), limit };
    default:
      return { verb: "find", where: drawWhere(chance), limit };
  }
}

function drawWhere(chance: SeededChance): object {
  const one = (): object => {
    const number = chance.integer(6);
    switch (chance.integer(14)) {
      case 0:
        return { group: `g${chance.integer(3)}` };
      case 1:
        return { count: { $gte: number } };
      case 2:
        return { list: number % 3 };
      case 3:
        return { list: { $in: [chance.integer(3), "x", null] } };
      case 4:
        return { "geo.lat": { $lt: number, $gte: -2 } };
      case 5:
        return { by: { $prefix: "c" } };
      case 6:
        return { patched: { $exists: chance.happens(0.5) } };
      case 7:
        return { flag: chance.pick([true, false, null]) };
      case 8:
        return { $key: { $gt: chance.pick(["a", "c", "user"]) } };
      case 9:
        return { $key: { $prefix: chance.pick(["city.", "{t}"]) } };
      case 10:
        return { "items.n": { $gt: number } };
      case 11:
        return { $and: [{ group: { $exists: true } }, { count: { $lt: 3 } }] };
      case 12:
        return { group: { $gt: "g0" } };
      default:
        return {};
    }
  };
  return chance.happens(0.3) ? { ...one(), ...one() } : one();
}

/** Tells who wrote it, so that no two writes have one value. */
function drawValue(chance: SeededChance, { client, number }: Known): object {
  const value: Record<string, unknown> = { by: client, n: number, group: `g${chance.integer(3)}` };
  if (chance.happens(0.5)) value["count"] = chance.integer(6);
  if (chance.happens(0.5)) value["list"] = [chance.integer(3), chance.pick(["x", "y", null])];
  if (chance.happens(0.4)) value["geo"] = { lat: chance.integer(8) - 3.5, at: "here" };
  if (chance.happens(0.3)) value["flag"] = chance.pick([true, false, null]);
  if (chance.happens(0.2)) value["items"] = [{ n: chance.integer(6) }, { n: 2, deep: { er: 1 } }];
  // Some are beyond what the run's limits let through.
  if (chance.happens(0.02)) value["long"] = "é".repeat(300);
  if (chance.happens(0.02)) value["deep"] = { a: { b: { c: { d: 1 } } } };
  return value;
}

function drawPatch(chance: SeededChance, { client, number }: Known): object {
  const patch: Record<string, unknown> = { patched: `${client} ${number}` };
  if (chance.happens(0.4)) patch["list"] = null;
  if (chance.happens(0.4)) patch["geo"] = { lat: chance.integer(5), at: null };
  if (chance.happens(0.2)) patch["count"] = chance.integer(6);
  return patch;
}

function drawCondition(
  chance: SeededChance,
  key: string,
  { revisionOf }: Known,
): { ifRevision: number } {
  if (chance.happens(0.7)) return { ifRevision: revisionOf(key) };
  return { ifRevision: chance.integer(8) };
}

function drawTtl(chance: SeededChance): number {
  return 1_000 + chance.integer(4_000);
}

function drawGetOf(chance: SeededChance, keys: readonly string[]): Wish {
  return { verb: "get", key: chance.pick(keys), level: "linearizable" };
}
