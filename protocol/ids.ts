/**
 * The kinds of name and number that could be taken for one another, each with a type of its own.
 *
 * The brands exist for the compiler only; at run time they are plain strings and numbers.
 */

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A place on the ring, 0 … POSITION_COUNT − 1: the unit of routing and of migration. */
export type Position = Brand<number, "Position">;

/** `s1`, `s2`, …: the actors that own some positions, with one log. */
export type ShardId = Brand<string, "ShardId">;

/** `n1`, …: one of our processes, with a name that survives restarts. */
export type NodeName = Brand<string, "NodeName">;

/** The random identity of one log: 16 lower-case hexadecimal digits. Rule L1. */
export type LogId = Brand<string, "LogId">;

/** An entry's place in its log: 1, 2, 3, … as JetStream numbers messages. 0 = before the first. */
export type Sequence = Brand<number, "Sequence">;

/** 1, 2, 3, … per position, without gaps. 0 = no such record. */
export type Revision = Brand<number, "Revision">;

/** The version of the ring table: 1, 2, 3, … */
export type Epoch = Brand<number, "Epoch">;

/** 128 random bits a process start, as 32 lower-case hexadecimal digits. Rule L2. */
export type Origin = Brand<string, "Origin">;

/** Milliseconds since 1970-01-01 UTC, whole. Used for wall clocks and for log time. */
export type TimeMs = Brand<number, "TimeMs">;
