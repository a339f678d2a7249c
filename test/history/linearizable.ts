/**
 * Linearizability: whether there is an order of a history's operations, each at one instant
 * between its start and its end, in which every outcome is what a single store would have told.
 *
 * The search is Wing and Gong's with Lowe's memory of what was tried before, as in Porcupine: go
 * forward by any operation that may come next, go back when none fits, and never twice to the same
 * (operations done, state). It is done key by key (linearizability is compositional); keys that an
 * atomic batch changes together are one part with one state, so that a batch seen by halves has no
 * order. Revisions in replies make the search short: the write with the lowest one goes first.
 *
 * An operation whose fate is unknown may be done at any time after its start, or never.
 *
 * Not looked at: reads at level session and stale (sessions.ts), queries, what was refused.
 *
 * Source: G. Lowe, Testing for linearizability (2017); A. Athalye, Porcupine.
 */
import { describeRow, type HistoryRow, type Step } from "./history.js";
import {
  absentState,
  statesAfter,
  type KeyState,
  type StepRules,
  type StepTimes,
} from "./key-state.js";

export interface LinearizableOptions {
  /** As in StepRules. */
  readonly expiryEarlyMs?: number;
  readonly expiryLateMs?: number;
  /**
   * The position of a key. Its revisions have no gaps, so those that no acknowledged write has
   * taken tell how many others there were: a long history with many unknown fates needs it.
   */
  readonly positionOf?: (key: string) => number;
  /** Moves of one search, after which it is given up. */
  readonly movesMax?: number;
}

export interface LinearizableReport {
  /** Empty = linearizable. */
  readonly problems: readonly string[];
  /** That were put into an order, or were tried to. */
  readonly operations: number;
  /** Keys, or sets of keys that belong together. */
  readonly parts: number;
}

/** An operation in the search. */
interface Call extends StepTimes {
  readonly row: HistoryRow;
  readonly steps: readonly Step[];
  /** Its place among those of its part that are required, or that are not; by start. */
  index: number;
  /** False = it may never have happened. */
  readonly isRequired: boolean;
  /** Must be done before: it is earlier in the same batch, or the same operation as this. */
  after: Call | undefined;
  /** The lowest revision that its outcome tells; Infinity = none. */
  readonly revision: number;
}

const MOVES_MAX = 500_000;
const EXPLAIN_MOVES_MAX = 20_000;
const UNDECIDED = "undecided, the search was given up: ";

export function checkLinearizable(
  rows: readonly HistoryRow[],
  options: LinearizableOptions = {},
): LinearizableReport {
  const { expiryEarlyMs = Infinity, expiryLateMs = Infinity, movesMax = MOVES_MAX } = options;
  const rules = { expiryEarlyMs, expiryLateMs, freeAbove: freeAbove(rows, options.positionOf) };
  const calls = rows.flatMap(callsOf);
  const parts = partsOf(calls);
  const problems = parts.flatMap((part) => {
    const problem = new Search(part, rules, movesMax).run();
    if (problem === undefined) return [];
    // Looking ahead ends a search before the operation is met that people would point at.
    const plain = new Search(part, rules, EXPLAIN_MOVES_MAX, false).run() ?? problem;
    return [problem.startsWith(UNDECIDED) ? problem : plain.replace(UNDECIDED, "")];
  });
  return { problems, operations: calls.length, parts: parts.length };
}

function freeAbove(
  rows: readonly HistoryRow[],
  positionOf: ((key: string) => number) | undefined,
): StepRules["freeAbove"] {
  if (positionOf === undefined) return (_key, revision) => revision + 1;
  const taken = new Map<number, Set<number>>();
  for (const { verb, key, outcome } of rows.flatMap(({ steps }) => steps)) {
    if (outcome.kind !== "written" || verb === "check") continue;
    const position = positionOf(key);
    const revisions = taken.get(position) ?? new Set();
    taken.set(position, revisions.add(outcome.revision));
  }
  return (key, revision) => {
    const revisions = taken.get(positionOf(key));
    let free = revision + 1;
    while (revisions?.has(free)) free += 1;
    return free;
  };
}

function callsOf(row: HistoryRow): Call[] {
  const { invokedAt, returnedAt = Infinity, kind } = row;
  const call = (steps: readonly Step[], after?: Call): Call => {
    const isRequired = steps.every(({ outcome }) => outcome.kind !== "unknown");
    const revision = Math.min(...steps.map(revisionOf));
    // What has no known end may take effect after the client was told that nobody knows.
    const end = isRequired ? returnedAt : Infinity;
    return { row, steps, index: 0, isRequired, after, revision, invokedAt, returnedAt: end };
  };
  if (kind === "atomic") {
    const steps = atomicSteps(row.steps);
    return steps.length === 0 ? [] : [call(steps)];
  }
  const calls: Call[] = [];
  const lastOf = new Map<string, Call>();
  for (const step of row.steps) {
    if (!isLookedAt(step)) continue;
    const made = call([step], lastOf.get(step.key));
    calls.push(made);
    // A get is answered anew when the batch is sent again, and may see what stands after it.
    if (made.isRequired && step.verb !== "get") lastOf.set(step.key, made);
  }
  return calls;
}

/** Of a refused batch only the refusal tells something, and only of a key not touched before. */
function atomicSteps(steps: readonly Step[]): readonly Step[] {
  if (steps.every(({ outcome }) => outcome.kind === "written" || outcome.kind === "unknown")) {
    return steps;
  }
  return steps.filter((step, index) => {
    const isFirst = steps.findIndex(({ key }) => key === step.key) === index;
    const { kind } = step.outcome;
    return isFirst && (kind === "conflict" || kind === "absent");
  });
}

function isLookedAt({ verb, level = "linearizable", outcome }: Step): boolean {
  if (outcome.kind === "refused") return false;
  return verb !== "get" || (level === "linearizable" && outcome.kind !== "unknown");
}

function revisionOf({ outcome }: Step): number {
  return "revision" in outcome && outcome.revision > 0 ? outcome.revision : Infinity;
}

/** By key; keys of one atomic batch together. In each part by start. */
function partsOf(calls: readonly Call[]): Call[][] {
  const parents = new Map<string, string>();
  const rootOf = (key: string): string => {
    const parent = parents.get(key) ?? key;
    return parent === key ? key : rootOf(parent);
  };
  for (const { steps } of calls) {
    const [first, ...others] = steps.map(({ key }) => rootOf(key));
    for (const other of others) if (first !== undefined) parents.set(rootOf(other), first);
  }
  const parts = new Map<string, Call[]>();
  for (const call of calls) {
    const root = rootOf(call.steps[0]?.key ?? "");
    const part = parts.get(root);
    if (part === undefined) parts.set(root, [call]);
    else part.push(call);
  }
  return [...parts.values()].map((part) => part.sort((a, b) => a.invokedAt - b.invokedAt));
}

interface Move {
  readonly call: Call;
  /** By key. */
  readonly states: readonly KeyState[];
}

/** What one move led to, and what may be tried from there. */
interface Frame {
  /** The move; undefined = the beginning. */
  readonly call: Call | undefined;
  readonly states: readonly KeyState[];
  readonly candidates: readonly Call[];
  /** How many of them were tried. */
  tried: number;
  /** Of the candidate tried last: states it may lead to that were not tried. */
  ahead: (readonly KeyState[])[];
}

/** A required call that tells a revision of a key. */
interface Revealed {
  readonly call: Call;
  readonly revision: number;
  readonly isRead: boolean;
}

class Search {
  readonly #required: readonly Call[];
  readonly #optional: readonly Call[];
  readonly #keys: readonly string[];
  readonly #done = new Set<Call>();
  /** By what was done of the required ones, and the states: the sets of optional ones done. */
  readonly #seen = new Map<string, bigint[]>();
  /** A bit for each optional one that is done. */
  #optionalDone = 0n;
  readonly #valueIds = new Map<string, number>();
  /** All required ones before this are done, and it is not. */
  #firstOpen = 0;
  /** Required ones after that which are done, by index. */
  readonly #beyond = new Set<number>();
  #requiredLeft: number;
  /** By key: what is revealed of it, by revision; and how much of the start of that is done. */
  readonly #revealed: (readonly Revealed[])[];
  readonly #revealedDone: number[];
  #farthest: { readonly path: readonly Call[]; readonly frame: Frame } | undefined;

  constructor(
    part: readonly Call[],
    private readonly rules: StepRules,
    private readonly movesMax: number,
    private readonly looksAhead = true,
  ) {
    this.#required = part.filter(({ isRequired }) => isRequired);
    this.#optional = part.filter(({ isRequired }) => !isRequired);
    for (const [index, call] of this.#required.entries()) call.index = index;
    for (const [index, call] of this.#optional.entries()) call.index = index;
    chainEqual(this.#optional);
    this.#keys = [...new Set(part.flatMap(({ steps }) => steps.map(({ key }) => key)))];
    this.#requiredLeft = this.#required.length;
    this.#revealed = this.#keys.map((key) => revealedOf(key, this.#required));
    this.#revealedDone = this.#keys.map(() => 0);
  }

  /** Undefined = there is an order. */
  run(): string | undefined {
    const stack: Frame[] = [this.#frame(undefined, Array(this.#keys.length).fill(absentState))];
    let moves = 0;
    while (this.#requiredLeft > 0) {
      const frame = stack.at(-1);
      if (frame === undefined) return this.#explain();
      const move = this.#nextMove(frame, stack.at(-2));
      if (move === undefined) {
        this.#note(stack, frame);
        stack.pop();
        if (frame.call !== undefined) this.#undo(frame.call);
        continue;
      }
      moves += 1;
      if (moves > this.movesMax) return UNDECIDED + this.#explain();
      this.#do(move.call);
      if (this.#isHopeless(move.states) || this.#wasSeen(move.states)) this.#undo(move.call);
      else stack.push(this.#frame(move.call, move.states));
    }
    return undefined;
  }

  #frame(call: Call | undefined, states: readonly KeyState[]): Frame {
    return { call, states, candidates: this.#candidates(), tried: 0, ahead: [] };
  }

  #nextMove(frame: Frame, before: Frame | undefined): Move | undefined {
    while (frame.ahead.length === 0) {
      const call = frame.candidates[frame.tried];
      if (call === undefined) return undefined;
      frame.tried += 1;
      if (this.#makesPointless(call, frame, before)) continue;
      frame.ahead = this.#statesAfter(frame.states, call);
    }
    const call = frame.candidates[frame.tried - 1];
    const states = frame.ahead.shift();
    return call && states && { call, states };
  }

  /** The move of unknown fate would leave no trace: without it the order is as good. */
  #makesPointless(call: Call, { call: last }: Frame, before: Frame | undefined): boolean {
    if (last === undefined || last.isRequired || before === undefined) return false;
    const [step, another] = call.steps;
    const [lastStep, lastAnother] = last.steps;
    if (another !== undefined || lastAnother !== undefined) return false;
    const overwrites = step?.verb === "set" || step?.verb === "del";
    if (!overwrites || step.key !== lastStep?.key || step.ifRevision !== undefined) return false;
    return this.#statesAfter(before.states, call).length > 0;
  }

  /** Those that no other one has to precede; the likely ones first. */
  #candidates(): Call[] {
    let end = Infinity;
    const open: Call[] = [];
    for (let index = this.#firstOpen; index < this.#required.length; index += 1) {
      const call = this.#required[index] as Call;
      if (call.invokedAt > end) break;
      if (this.#done.has(call)) continue;
      end = Math.min(end, call.returnedAt);
      open.push(call);
    }
    const mayBeNext = (call: Call): boolean =>
      call.invokedAt <= end && (call.after === undefined || this.#done.has(call.after));
    const candidates = open.filter(mayBeNext);
    // Only what tells no revision has to be guessed at.
    if (candidates.length > 1) candidates.sort((a, b) => likelihood(a) - likelihood(b));
    for (const call of this.#optional) {
      if (call.invokedAt > end) break;
      if (!this.#done.has(call) && mayBeNext(call)) candidates.push(call);
    }
    return candidates;
  }

  #statesAfter(states: readonly KeyState[], call: Call): (readonly KeyState[])[] {
    let all: (readonly KeyState[])[] = [states];
    for (const step of call.steps) {
      const slot = this.#keys.indexOf(step.key);
      all = all.flatMap((before) => {
        const after = statesAfter(before[slot] as KeyState, step, call, this.rules);
        return after.map((state) => before.with(slot, state));
      });
    }
    return all;
  }

  #do(call: Call): void {
    this.#done.add(call);
    if (!call.isRequired) {
      this.#optionalDone ^= 1n << BigInt(call.index);
      return;
    }
    this.#requiredLeft -= 1;
    this.#beyond.add(call.index);
    while (this.#beyond.delete(this.#firstOpen)) this.#firstOpen += 1;
  }

  /** There is an operation left that tells of a revision which the key has passed. */
  #isHopeless(states: readonly KeyState[]): boolean {
    if (!this.looksAhead) return false;
    return states.some(({ floor, value }, slot) => {
      const revealed = this.#revealed[slot] ?? [];
      let done = this.#revealedDone[slot] ?? 0;
      while (this.#done.has(revealed[done]?.call as Call)) done += 1;
      this.#revealedDone[slot] = done;
      const next = revealed[done];
      if (next === undefined || next.revision > floor) return false;
      return next.revision < floor || !next.isRead || value === undefined;
    });
  }

  #undo(call: Call): void {
    this.#done.delete(call);
    if (!call.isRequired) {
      this.#optionalDone ^= 1n << BigInt(call.index);
      return;
    }
    for (const step of call.steps) {
      const slot = this.#keys.indexOf(step.key);
      const at = (this.#revealed[slot] ?? []).findIndex((each) => each.call === call);
      if (at >= 0) this.#revealedDone[slot] = Math.min(this.#revealedDone[slot] ?? 0, at);
    }
    this.#requiredLeft += 1;
    this.#beyond.delete(call.index);
    while (this.#firstOpen > call.index) {
      this.#firstOpen -= 1;
      if (this.#firstOpen > call.index) this.#beyond.add(this.#firstOpen);
    }
  }

  /**
   * Whether it is known what comes of this: the same required ones were done before with the same
   * result, and no optional one that is not done now. With more of them left, more was possible.
   */
  #wasSeen(states: readonly KeyState[]): boolean {
    const state = states.map(({ value, revision, floor, expiresFrom }) => {
      if (value === undefined) return `-${floor}`;
      let id = this.#valueIds.get(value);
      if (id === undefined) this.#valueIds.set(value, (id = this.#valueIds.size));
      return `${id} ${revision} ${floor} ${expiresFrom}`;
    });
    const beyond = [...this.#beyond].sort((a, b) => a - b).join();
    const name = `${this.#firstOpen} ${beyond} ${state.join()}`;
    const seen = this.#seen.get(name);
    if (seen === undefined) this.#seen.set(name, [this.#optionalDone]);
    else if (seen.some((done) => (done & this.#optionalDone) === done)) return true;
    else seen.push(this.#optionalDone);
    return false;
  }

  #note(stack: readonly Frame[], frame: Frame): void {
    if (this.#farthest !== undefined && this.#farthest.path.length >= stack.length - 1) return;
    const path = stack.flatMap(({ call }) => call ?? []);
    this.#farthest = { path, frame };
  }

  #explain(): string {
    const { path = [], frame } = this.#farthest ?? {};
    const states = this.#keys.map((key, slot) => `${key} ${showState(frame?.states[slot])}`);
    const rest = this.#required.filter((call) => !path.includes(call));
    const lines = [
      `not linearizable: ${this.#keys.join(", ")}: ${path.length} operations have an order, the ` +
        `last of which are`,
      ...path.slice(-SHOWN).map(({ row }) => `    ${describeRow(row)}`),
      `  which leaves ${states.join(", ")}; then none of these fits`,
      ...rest.slice(0, SHOWN).map(({ row }) => `    ${describeRow(row)}`),
    ];
    if (rest.length > SHOWN) lines.push(`    and ${rest.length - SHOWN} later`);
    return lines.join("\n");
  }
}

/** Of operations that say the same the earlier start is done first: no order is lost by that. */
function chainEqual(optional: readonly Call[]): void {
  const last = new Map<string, Call>();
  for (const call of optional) {
    // When a record expires depends on when it was written.
    if (call.steps.some(({ ttl }) => typeof ttl === "number")) continue;
    const same = JSON.stringify(call.steps.map(({ outcome: _outcome, ...asked }) => asked));
    if (call.after === undefined) call.after = last.get(same);
    last.set(same, call);
  }
}

function revealedOf(key: string, required: readonly Call[]): Revealed[] {
  const revealed = required.flatMap((call) => {
    return call.steps.flatMap((step) => {
      const revision = revisionOf(step);
      if (step.key !== key || revision === Infinity) return [];
      return { call, revision, isRead: !changes(step) };
    });
  });
  return revealed.sort((a, b) => a.revision - b.revision);
}

function changes({ verb, outcome }: Step): boolean {
  return outcome.kind === "written" && verb !== "check";
}

/** Operations shown of each kind in an explanation. */
const SHOWN = 8;

/** A read of a revision comes after the write of it, before the next write. */
function likelihood({ revision, steps }: Call): number {
  return steps.every(({ verb }) => verb === "get") ? revision + 0.5 : revision;
}

function showState(state: KeyState | undefined): string {
  if (state === undefined || state.value === undefined) return "absent";
  const at = Number.isNaN(state.revision) ? `${state.floor} or above` : state.revision;
  return `${state.value} at ${at}`;
}
