/**
 * What the compiler refuses where a store's values have a type. Each line after `@ts-expect-error`
 * must not compile: if one does, the build of this file fails. Nothing of it is run but the last
 * test, which says so.
 */
import { expect } from "chai";
import {
  connect,
  type ConnectOptions,
  type Filter,
  type FindItem,
  type Json,
  type Ringdex,
} from "../../../infra/client/client.js";

interface City {
  name: string;
  country: "IN" | "NO";
  population: number;
  capital?: boolean;
  mayor: string | null;
  geo: { lat: number; lon: number; zone?: { id: string } };
  tags: string[];
  stock: { sku: string; price: number }[];
  founded: Date;
  "odd.name": number;
  $ref: string;
}

interface Tree {
  label: string;
  children: Tree[];
}

type Mixed = { kind: "a"; size: number } | { kind: "b"; color: string };

/** True only where the two types are the same. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

function same<A, B>(equal: Same<A, B>): void {
  expect(equal).to.equal(true);
}

declare const delhi: City;

async function writing(db: Ringdex<City>): Promise<void> {
  await db.set("k", delhi, { ttl: "1h", ifRevision: 3 });
  await db.session().set("k", delhi);
  // @ts-expect-error another value's shape
  await db.set("k", { name: "Delhi" });
  // @ts-expect-error a member's type
  await db.set("k", { ...delhi, population: "many" });
  // @ts-expect-error not an object at all
  await db.set("k", 5);
  // @ts-expect-error in a session too
  await db.session().set("k", { name: "Delhi" });
  // The way out for one call.
  await db.set<{ note: string }>("k", { note: "of another kind" });

  await db.setMany([{ key: "k", value: delhi, ttl: 60 }]);
  await db.setMany(new Map([["k", delhi]]));
  // @ts-expect-error another value's shape
  await db.setMany([{ key: "k", value: { name: "Delhi" } }]);
  // @ts-expect-error another value's shape
  await db.setMany(new Map([["k", 5]]));
  // @ts-expect-error an option that entries do not have
  await db.setMany([{ key: "k", value: delhi, requestId: "x" }]);

  await db.patch("k", { population: 5, geo: { lat: 1 }, capital: null, tags: ["a"] });
  await db.patch("k", { mayor: null, geo: { zone: null } });
  // @ts-expect-error a member that is none
  await db.patch("k", { popluation: 5 });
  // @ts-expect-error a member's type
  await db.patch("k", { population: "5" });
  // @ts-expect-error a member inside
  await db.patch("k", { geo: { lat: "north" } });
  // @ts-expect-error null removes what every city has
  await db.patch("k", { population: null });
  await db.patch<{ note: string }>("k", { note: "of another kind" });
}

async function options(db: Ringdex<City>): Promise<void> {
  // @ts-expect-error misspelt
  await db.set("k", delhi, { ifRevison: 9 });
  // @ts-expect-error misspelt
  await db.set("k", delhi, { ttll: 5 });
  // @ts-expect-error del has no time to live
  await db.del("k", { ttl: 5 });
  // @ts-expect-error get has no condition
  await db.get("k", { ifRevision: 5 });
  // @ts-expect-error a content type has a slash
  await db.set("k", delhi, { contentType: "json" });
  // @ts-expect-error a number by text
  await db.incr("k", "3");
  // @ts-expect-error by nothing
  await db.touch("k", undefined);
  // @ts-expect-error a prefix is an option
  db.keys("tmp.");
  // @ts-expect-error a prefix is an option
  db.watch("tmp.");
  // @ts-expect-error find has no sort
  db.find({}, { sort: ["name"] });
  // @ts-expect-error not made by ops
  await db.batch([{ op: "set" }]);
  // @ts-expect-error unknown to connect
  const unknown: ConnectOptions = { server: "127.0.0.1" };
  expect(unknown);
}

async function filters(db: Ringdex<City>): Promise<void> {
  await db.count({});
  await db.count({ country: "IN", population: { $gt: 1e6, $lte: 5e6 }, "geo.lat": 5 });
  await db.count({ country: { $in: ["IN", "NO"] }, name: { $prefix: "New " } });
  await db.count({ $key: { $prefix: "city." }, $and: [{ tags: "a" }, { "stock.price": 5 }] });
  await db.count({ capital: null, mayor: null, "geo.zone.id": "x", geo: { $exists: true } });
  await db.count({ founded: { $gt: new Date(0) }, "odd\\.name": 5, "\\$ref": "x" });
  // @ts-expect-error a path that cities do not have
  await db.count({ cuntry: "IN" });
  // @ts-expect-error a path that cities do not have
  await db.count({ "geo.height": 5 });
  // @ts-expect-error an operand of another type
  await db.count({ population: "5" });
  // @ts-expect-error an operand of another type
  await db.count({ population: { $gt: "5" } });
  // @ts-expect-error a country that there is not
  await db.count({ country: "XX" });
  // @ts-expect-error a list's element of another type
  await db.count({ population: { $in: [1, "2"] } });
  // @ts-expect-error an unknown operator
  await db.count({ population: { $near: 5 } });
  // @ts-expect-error an operator without its dollar
  await db.count({ population: { gt: 5 } });
  // @ts-expect-error numbers have no prefix
  await db.count({ population: { $prefix: "5" } });
  // @ts-expect-error inside $and
  await db.count({ $and: [{ cuntry: "IN" }] });
  // @ts-expect-error no null where there always is one
  await db.count({ population: null });
  // @ts-expect-error the key is a text
  await db.count({ $key: 5 });
  // @ts-expect-error in find as well
  db.find({ cuntry: "IN" }, { limit: 5 });
  const kept: Filter<City> = { country: "NO" };
  db.find(kept);
  db.find<{ note: string }>({ note: { $exists: true } });
}

async function rows(db: Ringdex<City>): Promise<void> {
  db.find({}, { order: ["country", "-geo.lat", "$key"], select: ["name"] });
  // @ts-expect-error a path that cities do not have
  db.find({}, { order: ["-height"] });
  // @ts-expect-error a path that cities do not have
  db.find({}, { select: ["height"] });
  // @ts-expect-error a list, not a text
  db.find({}, { select: "name" });

  const all = await db.find({ country: "IN" }).toArray();
  same<(typeof all)[number], FindItem<City>>(true);
  const some = db.find({}, { select: ["name", "geo.lat", "stock.price", "capital"] });
  for await (const { value } of some) {
    const { name, geo, stock, capital } = value;
    same<typeof name, string>(true);
    same<typeof geo.lat, number>(true);
    same<(typeof stock)[number]["price"], number>(true);
    same<typeof capital, boolean | undefined>(true);
    // @ts-expect-error not selected
    expect(value.population);
    // @ts-expect-error not selected
    expect(geo.lon);
  }
  const none = await db.find({}, { select: [] }).first();
  same<typeof none, FindItem<undefined> | undefined>(true);
  const texts = await db.getMany(["k"], { as: "text" });
  same<string | undefined, NonNullable<ReturnType<typeof texts.get>>["value"] | undefined>(true);
  const found = await db.find({ country: "IN" }, { as: "text" }).first();
  same<typeof found, FindItem<string | Uint8Array> | undefined>(true);
  const entry = await db.get("k");
  same<City | undefined, NonNullable<typeof entry>["value"] | undefined>(true);
}

async function otherShapes(trees: Ringdex<Tree>, mixed: Ringdex<Mixed>): Promise<void> {
  await trees.count({ "children.children.label": "x" });
  await trees.count({ "children.children.children.children.children.children.label": "x" });
  // @ts-expect-error a path that trees do not have
  await trees.count({ "children.lable": "x" });
  await mixed.set("k", { kind: "a", size: 5 });
  await mixed.count({ kind: "b", color: { $prefix: "r" } });
  // @ts-expect-error no such kind
  await mixed.count({ kind: "c" });
  // @ts-expect-error neither of them
  await mixed.set("k", { kind: "a", color: "red" });
}

/** Without a type, or with one that says little, anything goes. */
async function untyped(
  db: Ringdex,
  other: Ringdex<unknown>,
  map: Ringdex<Record<string, number>>,
): Promise<void> {
  for (const any of [db, other]) {
    await any.set("k", delhi);
    await any.set("k", 5);
    await any.patch("k", { a: { b: null } });
    await any.count({ anything: { $gt: 5 }, "a.b": "c" });
    await any.setMany([{ key: "k", value: delhi }]);
  }
  db.find({ a: 1 }, { select: ["b.c"], order: ["-d"] });
  other.find({ a: 1 }, { select: ["b.c"], order: ["-d"] });
  const entry = await db.get("k");
  same<typeof entry extends { value: infer Found } | undefined ? Found : never, Json>(true);
  await map.count({ anything: 5, $key: "k" });
  for await (const { value } of db.find<{ n: number }>({ other: 1 }, { limit: 5 })) {
    same<typeof value, { n: number }>(true);
  }
}

describe("types of a store's values", () => {
  it("are checked when this file is compiled", () => {
    const checked = [writing, options, filters, rows, otherShapes, untyped, connect<City>];
    expect(checked).to.have.length(7);
  });
});
