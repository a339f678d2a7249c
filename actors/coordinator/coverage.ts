/**
 * Coverage: proves that a query's answers speak for every position exactly once.
 *
 * A position can be claimed twice while it moves: the old owner answered before it sealed, the
 * new one after it took over. Taking both would return rows twice, taking none would drop them.
 * So the first claim stands, and a later answer is refused whole: it mixes rows of positions
 * that we have with rows of positions that we lack, and cannot be taken apart.
 *
 * Invariants
 *   1. A position is claimed by at most one accepted answer.
 *   2. Claimed and missing positions together are 0 … positionCount − 1.
 *
 * Source: the migration stamp of Hazelcast (#9688), made per position.
 */
import { assert } from "../../protocol/assert.js";
import type { Epoch, Position, Sequence, ShardId } from "../../protocol/ids.js";

export interface Answer {
  readonly shard: ShardId;
  /** Positions the replica owned at `sequence`, ascending, none twice. */
  readonly positions: readonly Position[];
  readonly epoch: Epoch;
  /** How far the replica had applied its log when it answered. */
  readonly sequence: Sequence;
}

export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly position: Position; readonly claimedBy: ShardId };

export class Coverage {
  /** By position; undefined = missing. */
  readonly #claims: (Answer | undefined)[];
  #missingCount: number;

  constructor(positionCount: number) {
    this.#claims = Array.from({ length: positionCount });
    this.#missingCount = positionCount;
  }

  /** Accepts the whole answer or none of it. Cost: O(positions of the answer). */
  accept(answer: Answer): Verdict {
    for (const position of answer.positions) {
      const claim = this.#claims[position];
      if (claim !== undefined) return { ok: false, position, claimedBy: claim.shard };
    }
    for (const position of answer.positions) {
      assert(position < this.#claims.length, `position ${position} of ${this.#claims.length}`);
      this.#claims[position] = answer;
    }
    this.#missingCount -= answer.positions.length;
    assert(
      this.#missingCount >= 0,
      `invariant 1: ${-this.#missingCount} positions are counted twice`,
    );
    return { ok: true };
  }

  get isComplete(): boolean {
    return this.#missingCount === 0;
  }

  missing(): Position[] {
    const positions: Position[] = [];
    for (const [index, claim] of this.#claims.entries()) {
      if (claim === undefined) positions.push(index as Position);
    }
    assert(
      positions.length === this.#missingCount,
      `invariant 2: ${positions.length} positions are missing, counted were ${this.#missingCount}`,
    );
    return positions;
  }
}
