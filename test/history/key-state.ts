/**
 * Key state: what one key may do, one step at a time. The sequential meaning of the store, as the
 * linearizability checker (linearizable.ts) needs it: given a state and a step with its outcome,
 * the states that the key may be in afterwards; none = the outcome was impossible there.
 *
 * Two things are not known for sure, and are kept as what is known of them:
 *   - the revision of a write that was never answered: only that it is above all before it,
 *   - when a record expires, because log time is not the clients' time: only from when on it may
 *     be gone, and from when on it must be.
 * Both err towards accepting: a correct store is never blamed.
 */
import { incremented, isObject, merged } from "../support/json-change.js";
import type { Step, Written } from "./history.js";

export interface KeyState {
  /** Undefined = absent. */
  readonly value: string | undefined;
  /** 0 = absent, NaN = a free one at or above the floor. */
  readonly revision: number;
  /** Every later write has a higher revision than this. */
  readonly floor: number;
  /** From then on the record may be gone; Infinity = never. */
  readonly expiresFrom: number;
  /** Later than that it is gone. */
  readonly expiresBy: number;
}

/** When a step may have happened. */
export interface StepTimes {
  readonly invokedAt: number;
  /** Infinity = never answered. */
  readonly returnedAt: number;
}

/** What is known of the whole history. */
export interface StepRules {
  /** How much sooner than its time to live says a record may be gone; Infinity = at once. */
  readonly expiryEarlyMs: number;
  /** How much later it may still be there; Infinity = for good. */
  readonly expiryLateMs: number;
  /** The next revision of the key's position that no acknowledged write has taken. */
  readonly freeAbove: (key: string, revision: number) => number;
}

const never = { expiresFrom: Infinity, expiresBy: Infinity };

/** Of a key that was never written. */
export const absentState: KeyState = { value: undefined, revision: 0, floor: 0, ...never };

/** The states that `step` may leave; a record whose time is over may or may not be there. */
export function statesAfter(
  state: KeyState,
  step: Step,
  times: StepTimes,
  rules: StepRules,
): KeyState[] {
  const there = (): KeyState[] => listOf(stateAfter(state, step, times, rules));
  if (state.expiresFrom > times.returnedAt) return there();
  const gone = { ...absentState, floor: state.floor };
  const states = listOf(stateAfter(gone, step, times, rules));
  return times.invokedAt > state.expiresBy ? states : [...there(), ...states];
}

function listOf(state: KeyState | undefined): KeyState[] {
  return state === undefined ? [] : [state];
}

function stateAfter(
  state: KeyState,
  step: Step,
  times: StepTimes,
  rules: StepRules,
): KeyState | undefined {
  const { outcome } = step;
  switch (outcome.kind) {
    case "refused":
      return state;
    case "absent":
      return state.value === undefined ? state : undefined;
    case "value":
      return state.value === outcome.value ? seenAt(state, outcome.revision) : undefined;
    case "conflict":
      return outcome.revision === step.ifRevision ? undefined : seenAt(state, outcome.revision);
    case "written":
    case "unknown":
      return afterWrite(state, step, times, rules);
  }
}

/** The state, if the key may be at `revision` (0 = absent) in it. */
function seenAt(state: KeyState, revision: number): KeyState | undefined {
  if (state.revision === revision) return state;
  if (!Number.isNaN(state.revision) || revision < state.floor) return undefined;
  return { ...state, revision, floor: revision };
}

function afterWrite(
  found: KeyState,
  step: Step,
  times: StepTimes,
  rules: StepRules,
): KeyState | undefined {
  const { verb, ifRevision, outcome } = step;
  const told = outcome.kind === "written" ? outcome : undefined;
  const state = ifRevision === undefined ? found : seenAt(found, ifRevision);
  if (state === undefined || (told !== undefined && !isAsTold(state, told))) return undefined;
  if (verb === "check") return told === undefined ? state : seenAt(state, told.revision);
  if (verb === "del" && state.value === undefined) {
    return told === undefined || told.revision === 0 ? state : undefined;
  }
  if (told !== undefined && told.revision <= state.floor) return undefined;
  const floor = told?.revision ?? rules.freeAbove(step.key, state.floor);
  if (verb === "del") return { ...absentState, floor };
  const value = valueAfter(state.value, step);
  if (value === undefined) return undefined;
  if (told?.number !== undefined && told.number !== numberAt(value, step.path)) return undefined;
  return {
    value,
    revision: told?.revision ?? NaN,
    floor,
    ...expiryAfter(state, step, times, rules),
  };
}

/** What the reply says of the record before the write. */
function isAsTold({ value }: KeyState, { created, existed, previous }: Written): boolean {
  if (created !== undefined && created !== (value === undefined)) return false;
  if (existed !== undefined && existed !== (value !== undefined)) return false;
  return previous === undefined || previous === (value ?? null);
}

function expiryAfter(
  { expiresFrom, expiresBy }: KeyState,
  { verb, ttl }: Step,
  { invokedAt, returnedAt }: StepTimes,
  { expiryEarlyMs, expiryLateMs }: StepRules,
): Pick<KeyState, "expiresFrom" | "expiresBy"> {
  if (typeof ttl === "number") {
    const from = invokedAt + ttl - expiryEarlyMs;
    return { expiresFrom: from, expiresBy: returnedAt + ttl + expiryLateMs };
  }
  return ttl === "never" || verb === "set" ? never : { expiresFrom, expiresBy };
}

/** Undefined = the step cannot be done to this value. */
function valueAfter(before: string | undefined, step: Step): string | undefined {
  switch (step.verb) {
    case "set":
      return step.value;
    case "touch":
      return before;
    case "patch":
      return onJson(before, (value) => merged(value ?? {}, JSON.parse(step.value ?? "")));
    case "incr":
      return onJson(before, (value) => incremented(value, pathOf(step.path), step.by ?? 1));
    case "get":
    case "del":
    case "check":
      return undefined;
  }
}

function onJson(
  before: string | undefined,
  change: (value: unknown) => unknown,
): string | undefined {
  try {
    const after = change(before === undefined ? undefined : JSON.parse(before));
    return after === undefined ? undefined : JSON.stringify(after);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function numberAt(json: string, path: string | undefined): unknown {
  return pathOf(path).reduce<unknown>((value, name) => {
    return isObject(value) ? value[name] : undefined;
  }, JSON.parse(json));
}

function pathOf(path: string | undefined): string[] {
  return path?.split(".") ?? [];
}
