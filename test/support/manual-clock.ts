/**
 * A clock that stands still until a test advances it, and chance that repeats with its seed.
 *
 * Tasks run in the order of their times, those of one time in the order they were set. After each
 * task all promises that it settled run, so code under test sees time pass as it would for real.
 */
import type { Chance, Clock, Timer } from "../../infra/clock.js";
import { assert } from "../../protocol/assert.js";
import type { TimeMs } from "../../protocol/ids.js";

/** 2026-01-01 UTC. */
const START_MS = 1_767_225_600_000;

/** Time as one process sees it, and the way into it for what comes from outside. */
export interface HostClock extends Clock {
  /** Runs `task` in the process: at once, when the process continues, or never if it is dead. */
  enter(task: () => void): void;
}

interface Task {
  readonly atMs: number;
  readonly number: number;
  /** Undefined = cancelled. Such a task stays where it is and is passed over. */
  run: (() => void) | undefined;
}

export class ManualClock implements HostClock {
  /** Tasks that have been run. */
  steps = 0;
  /** One more throws: something goes round in circles. */
  stepsMax = Infinity;
  #elapsedMs = 0;
  #wallOffsetMs: number;
  #numberLast = 0;
  /** A binary heap by (atMs, number). */
  readonly #tasks: Task[] = [];

  constructor(startMs: number = START_MS) {
    this.#wallOffsetMs = startMs;
  }

  now(): TimeMs {
    return Math.floor(this.#wallOffsetMs + this.#elapsedMs) as TimeMs;
  }

  elapsedMs(): number {
    return this.#elapsedMs;
  }

  after(ms: number, run: () => void): Timer {
    const atMs = this.#elapsedMs + Math.max(ms, 0);
    const task: Task = { atMs, number: ++this.#numberLast, run };
    push(this.#tasks, task);
    return { cancel: () => void (task.run = undefined) };
  }

  soon(run: () => void): void {
    this.after(0, run);
  }

  enter(task: () => void): void {
    task();
  }

  /** The wall clock jumps, in either direction; timers do not notice. */
  jump(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** Runs what is due within the next `ms`, also what that adds. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    await settle();
    for (let task = this.#peek(); task !== undefined && task.atMs <= endMs; task = this.#peek()) {
      await this.#runNext();
    }
    this.#elapsedMs = Math.max(this.#elapsedMs, endMs);
  }

  /** Runs until no task is due; throws after `limitMs`. */
  async runUntilIdle(limitMs = 3_600_000): Promise<void> {
    await this.#runWhile(() => true, limitMs);
  }

  /** Runs until `condition` holds; throws if nothing is left to run or after `limitMs`. */
  async runUntil(condition: () => boolean, limitMs = 3_600_000): Promise<void> {
    await this.#runWhile(() => !condition(), limitMs);
    assert(condition(), `the condition does not hold after ${this.#elapsedMs} ms, and all is idle`);
  }

  /** Runs until the promise settles, and gives its value or throws its reason. */
  async resolve<Value>(promise: Promise<Value>, limitMs?: number): Promise<Value> {
    let isSettled = false;
    const done = (): void => void (isSettled = true);
    promise.then(done, done);
    await this.runUntil(() => isSettled, limitMs);
    return promise;
  }

  async #runWhile(condition: () => boolean, limitMs: number): Promise<void> {
    const endMs = this.#elapsedMs + limitMs;
    await settle();
    while (condition() && this.#peek() !== undefined) {
      await this.#runNext();
      assert(this.#elapsedMs <= endMs, `still busy after ${limitMs} ms`);
    }
  }

  #runNext(): Promise<void> {
    const task = pop(this.#tasks);
    assert(task !== undefined, "a task was seen");
    this.steps += 1;
    assert(this.steps <= this.stepsMax, `no end after ${this.stepsMax} steps`);
    this.#elapsedMs = Math.max(this.#elapsedMs, task.atMs);
    task.run?.();
    return settleAgain();
  }

  #peek(): Task | undefined {
    for (;;) {
      const task = this.#tasks[0];
      if (task === undefined || task.run !== undefined) return task;
      pop(this.#tasks);
    }
  }
}

export interface SeededChance extends Chance {
  /** 0 … bound − 1. */
  integer(bound: number): number;
  /** True in `probability` of all cases. */
  happens(probability: number): boolean;
  pick<Item>(items: readonly Item[]): Item;
}

/** Mulberry32: small, fast, and good enough to choose faults. */
export function seededChance(seed: number): SeededChance {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const fraction = (): number => next() / 2 ** 32;
  const integer = (bound: number): number => Math.floor(fraction() * bound);
  return {
    fraction,
    integer,
    bytes: (count) => Uint8Array.from({ length: count }, () => next() & 0xff),
    happens: (probability) => fraction() < probability,
    pick: (items) => {
      assert(items.length > 0, "nothing to pick from");
      return items[integer(items.length)] as (typeof items)[number];
    },
  };
}

/**
 * Lets all promises that are settled run, and what they settle. A tick that is asked for by a
 * microtask comes when no microtask is left; a turn of the event loop would cost ten times as much.
 */
function settle(): Promise<void> {
  return Promise.resolve().then(settleAgain);
}

/** Only from within a microtask. */
function settleAgain(): Promise<void> {
  return new Promise(tickLater);
}

function tickLater(resolve: () => void): void {
  process.nextTick(resolve);
}

function isBefore(a: Task, b: Task): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.number < b.number);
}

function push(heap: Task[], task: Task): void {
  let index = heap.length;
  while (index > 0) {
    const parentIndex = (index - 1) >> 1;
    const parent = heap[parentIndex] as Task;
    if (!isBefore(task, parent)) break;
    heap[index] = parent;
    index = parentIndex;
  }
  heap[index] = task;
}

function pop(heap: Task[]): Task | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return first;
  let index = 0;
  for (;;) {
    let childIndex = 2 * index + 1;
    const right = heap[childIndex + 1];
    if (right !== undefined && isBefore(right, heap[childIndex] as Task)) childIndex += 1;
    const child = heap[childIndex];
    if (child === undefined || !isBefore(child, last)) break;
    heap[index] = child;
    index = childIndex;
  }
  heap[index] = last;
  return first;
}
