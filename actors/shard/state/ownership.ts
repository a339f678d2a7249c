/**
 * Ownership: what a shard may do with each position of the ring.
 *
 * A position's state is written in the shard's log and so is the same on every replica at the same
 * entry; the ring table only tells others where to look. This is the one file that knows the
 * states. Here a position is `owned` (named in the log's genesis) or `absent`; `sealed` and
 * `importing` have their numbers, so that a store written today can be read when positions move.
 *
 * A position's generation grows whenever its state changes: a loop compares the generation before
 * and after an await, because "still owned" does not mean "owned all the time".
 *
 * Invariants
 *   1. A position's generation never goes back.
 *   2. `ownedCount` is the number of positions whose state is `owned`.
 */
import { assert } from "../../../protocol/assert.js";
import { KvError } from "../../../protocol/errors.js";
import type { Position } from "../../../protocol/ids.js";
import { positionStates, type PositionState } from "../../../protocol/store/position-row.js";

const ABSENT = positionStates.indexOf("absent");
const OWNED = positionStates.indexOf("owned");

/** Cost: five bytes a position of the ring. */
export class Ownership {
  readonly #states: Uint8Array;
  readonly #generations: Uint32Array;
  #ownedCount = 0;

  constructor(readonly positionCount: number) {
    this.#states = new Uint8Array(positionCount).fill(ABSENT);
    this.#generations = new Uint32Array(positionCount);
  }

  state(position: Position): PositionState {
    return positionStates[this.#states[position] ?? ABSENT] ?? "absent";
  }

  owns(position: Position): boolean {
    return this.#states[position] === OWNED;
  }

  generation(position: Position): number {
    return this.#generations[position] ?? 0;
  }

  /** True if the position is owned and has been ever since `generation` was read. */
  stillOwns(position: Position, generation: number): boolean {
    return this.owns(position) && this.generation(position) === generation;
  }

  get ownedCount(): number {
    return this.#ownedCount;
  }

  /** Ascending. */
  owned(): Position[] {
    const positions: Position[] = [];
    for (const [index, state] of this.#states.entries()) {
      if (state === OWNED) positions.push(index as Position);
    }
    return positions;
  }

  /** Sets state and generation, as read from the store or as an entry says. */
  set(position: Position, state: PositionState, generation: number): void {
    const before = this.generation(position);
    assert(position < this.positionCount, `position ${position} of ${this.positionCount}`);
    assert(generation >= before, `invariant 1: generation ${generation} after ${before}`);
    if (this.#states[position] === OWNED) this.#ownedCount -= 1;
    this.#states[position] = positionStates.indexOf(state);
    this.#generations[position] = generation;
    if (state === "owned") this.#ownedCount += 1;
    const count = this.#ownedCount;
    assert(count >= 0 && count <= this.positionCount, `invariant 2: ${count} positions are owned`);
  }
}

/** For a request whose position this shard does not own: the border sends it on (rule M4). */
export function notOwned(position: Position): KvError {
  const text = `this shard does not own position ${position}`;
  return new KvError("unavailable", text, { moved: true });
}

/** True for what `notOwned` makes, and nothing else that is `unavailable`. */
export function isNotOwned({ kind, details }: KvError): boolean {
  return kind === "unavailable" && details["moved"] === true;
}
