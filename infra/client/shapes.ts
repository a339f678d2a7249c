/**
 * Shapes: the types that follow from what a store's values are, for the compiler to check.
 *
 *   connect<City>()   set takes a City, patch a part of one, a filter only paths of a City with
 *                     operators and operands that fit, and `select` leaves only what it names
 *   connect()         takes anything, as do values of type unknown, any or Json, and objects whose
 *                     members have no fixed names
 *
 * Paths are checked DEPTH names deep, and are any text below that. Objects with toJSON, such as
 * Date, have no members to look into, as what is stored is the result.
 */

/** Whatever JSON can say. Interfaces work as well: methods take a type argument of their own. */
export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** Names of a path beyond the first, one each. */
type Depth = [1, 1, 1, 1];
type Scalar = null | boolean | number | string;
type Primitive = Scalar | undefined | bigint | symbol;
interface WithJson {
  toJSON(name: string): unknown;
}

/** Whether the type says too little to check anything by it. */
type IsUntyped<Value> = unknown extends Value
  ? true
  : Json extends Value
    ? true
    : string extends keyof Value
      ? true
      : false;

/** What set takes. */
export type Stored<Value> = IsUntyped<Value> extends true ? unknown : Value;

/**
 * What patch takes: a part of the value. Null removes a member, so only those that may be missing
 * or null take it. An array is replaced as a whole.
 */
export type Patch<Value> = IsUntyped<Value> extends true ? unknown : Part<Value>;

type Part<Value> = Value extends Primitive | readonly unknown[] | WithJson
  ? Value
  : { readonly [Name in keyof Value]?: Part<Value[Name]> | NullIfMissing<Value[Name]> };

type NullIfMissing<Value> = undefined extends Value ? null : never;

/** A member's name as it stands in a path. */
type Escaped<Name extends string> = Name extends `$${infer Rest}`
  ? `\\$${EscapedInside<Rest>}`
  : EscapedInside<Name>;
type EscapedInside<Name extends string> = Name extends `${infer Head}.${infer Rest}`
  ? `${EscapedSlash<Head>}\\.${EscapedInside<Rest>}`
  : EscapedSlash<Name>;
type EscapedSlash<Name extends string> = Name extends `${infer Head}\\${infer Rest}`
  ? `${Head}\\\\${EscapedSlash<Rest>}`
  : Name;

/** What a condition on a path meets: an array's elements share its path. */
type Found<Value> = Value extends readonly (infer Element)[] ? Found<Element> : Value;

/** Pairs of a path and what is found there. */
type Attributes<Value, Left extends readonly unknown[] = Depth> = Value extends Primitive | WithJson
  ? never
  : Value extends readonly (infer Element)[]
    ? Attributes<Element, Left>
    : {
        [Name in keyof Value & string]-?:
          readonly [Escaped<Name>, Found<Value[Name]>] | Inner<Escaped<Name>, Value[Name], Left>;
      }[keyof Value & string];

type Inner<Path extends string, Value, Left extends readonly unknown[]> = Left extends readonly [
  unknown,
  ...infer Rest,
]
  ? Below<Path, Attributes<Value, Rest>>
  : NonNullable<Found<Value>> extends Primitive
    ? never
    : readonly [`${Path}.${string}`, unknown];

type Below<Path extends string, Pair> = Pair extends readonly [infer Rest extends string, infer At]
  ? readonly [`${Path}.${Rest}`, At]
  : never;

type Pair = readonly [string, unknown];

/** A path that the values have. */
export type AttributePath<Value> =
  IsUntyped<Value> extends true ? string : Extract<Attributes<Value>, Pair>[0];

/** The same with `-` before it for descending, and the key. */
export type OrderPath<Value> =
  IsUntyped<Value> extends true
    ? string
    : AttributePath<Value> | `-${AttributePath<Value>}` | "$key" | "-$key";

/** A filter as in docs/protocol.md, "Filters": `{ country: "IN", population: { $gt: 1e6 } }`. */
export type Filter<Value = Json> =
  IsUntyped<Value> extends true ? AnyFilter : FilterBy<Extract<Attributes<Value>, Pair>>;

/** A filter of which nothing is checked by the compiler. */
export interface AnyFilter {
  readonly [pathOrOperator: string]: unknown;
}

type FilterBy<Pairs extends Pair> = {
  readonly [Each in Pairs as Each[0]]?: Condition<Each[1]>;
} & {
  readonly $key?: Condition<string>;
  readonly $and?: readonly FilterBy<Pairs>[];
};

/** Where an attribute may be missing, null asks for that. */
type Operand<Value> = Extract<Value, Scalar | WithJson> | NullIfMissing<Value>;

type Condition<Value> = unknown extends Value
  ? unknown
  : Operand<Value> | (Operators<Operand<Value>> & PrefixOperator<Value>);

interface Operators<Value> {
  readonly $eq?: Value;
  readonly $in?: readonly Value[];
  readonly $gt?: Value;
  readonly $gte?: Value;
  readonly $lt?: Value;
  readonly $lte?: Value;
  readonly $exists?: boolean;
}

/** For texts, and for what is stored as a text. */
type PrefixOperator<Value> =
  Extract<Value, string | WithJson> extends never ? unknown : { readonly $prefix?: string };

/** What `select` leaves of a value, each path in its place; of `[]` nothing. */
export type Selected<Value, Paths extends readonly string[]> =
  IsUntyped<Value> extends true
    ? Value
    : Paths extends readonly []
      ? undefined
      : Picked<Value, Paths[number]>;

type Picked<Value, Path extends string> = Value extends readonly (infer Element)[]
  ? Exclude<Picked<Element, Path>, undefined>[]
  : Value extends Primitive
    ? undefined
    : {
        [
          Name in keyof Value as Name extends string
            ? Escaped<Name> extends Heads<Path>
              ? Name
              : never
            : never
        ]: Name extends string ? PickedAt<Value[Name], Escaped<Name>, Path> : never;
      };

type PickedAt<Value, Name extends string, Path extends string> = Name extends Path
  ? Value
  : Picked<Value, Tails<Name, Path>>;

/** A path and all that it begins with: `a`, `a.b` of `a.b`. */
type Heads<Path extends string> = Path extends `${infer Head}.${infer Rest}`
  ? Head | `${Head}.${Heads<Rest>}`
  : Path;

type Tails<Name extends string, Path extends string> = Path extends `${Name}.${infer Rest}`
  ? Rest
  : never;
