/**
 * Quotas: a whole number of equal things divided by weight, exactly.
 *
 * Largest remainder: each claim gets the whole part of its share, and the rest goes, one each, to
 * the claims with the largest fractions. So no claim is further than one from its share. Among
 * equal fractions a claim that would otherwise give something away comes first, so that an equally
 * fair division moves nothing; then the order of the claims decides.
 *
 * Claims may have a minimum and a maximum. A claim whose share lies outside gets the bound, and
 * the others divide the rest by weight.
 *
 * Source: Hamilton's method; the bounds are resolved as CSS resolves flexible lengths.
 */
import { assert } from "../../protocol/assert.js";

export interface Claim {
  /** A whole number; 0 = no more than `least`. */
  readonly weight: number;
  readonly least: number;
  readonly most: number;
  /** The number it has now. */
  readonly held: number;
}

/**
 * The quota of each claim, in order; together `total`. The caller sees to it that the bounds can
 * be met. Products of `total` and weights must be exact numbers (below 2^53). Cost: O(claims²).
 */
export function quotasOf(total: number, claims: readonly Claim[]): number[] {
  const quotas = claims.map(({ weight, least }) => (weight === 0 ? least : -1));
  let open = claims.map((_, index) => index).filter((index) => quotas[index] === -1);
  let rest = total - quotas.reduce((sum, quota) => sum + Math.max(quota, 0), 0);
  while (open.length > 0) {
    const outside = outOfBounds(rest, claims, open);
    if (outside.size === 0) break;
    for (const [index, bound] of outside) {
      quotas[index] = bound;
      rest -= bound;
    }
    open = open.filter((index) => !outside.has(index));
  }
  for (const [index, quota] of divide(rest, claims, open)) quotas[index] = quota;
  const sum = quotas.reduce((all, quota) => all + quota, 0);
  assert(sum === total, `${sum} of ${total} divided; the caller checked the bounds`);
  return quotas;
}

/**
 * The open claims whose share is outside of their bounds, with the bound: those above if they are
 * above by more than the others are below, otherwise those below. Fixing both sides at once could
 * give a claim back the excess that it must not have.
 */
function outOfBounds(
  rest: number,
  claims: readonly Claim[],
  open: readonly number[],
): Map<number, number> {
  const weightSum = open.reduce((sum, index) => sum + (claims[index] as Claim).weight, 0);
  const above = new Map<number, number>();
  const below = new Map<number, number>();
  // Shares times weightSum, so that they stay whole.
  let excess = 0;
  for (const index of open) {
    const { weight, least, most } = claims[index] as Claim;
    const share = rest * weight;
    if (share > most * weightSum) above.set(index, most);
    if (share < least * weightSum) below.set(index, least);
    excess += Math.max(0, share - most * weightSum) - Math.max(0, least * weightSum - share);
  }
  if (excess > 0) return above;
  return below.size > 0 ? below : above;
}

function divide(
  rest: number,
  claims: readonly Claim[],
  open: readonly number[],
): Map<number, number> {
  const weightSum = open.reduce((sum, index) => sum + (claims[index] as Claim).weight, 0);
  const parts = open.map((index) => {
    const { weight, held } = claims[index] as Claim;
    const whole = Math.floor((rest * weight) / weightSum);
    return { index, whole, fraction: (rest * weight) % weightSum, gives: held > whole };
  });
  let left = rest - parts.reduce((sum, { whole }) => sum + whole, 0);
  const quotas = new Map(parts.map(({ index, whole }) => [index, whole]));
  const order = parts.toSorted(
    (a, b) => b.fraction - a.fraction || Number(b.gives) - Number(a.gives) || a.index - b.index,
  );
  for (const { index, whole } of order) {
    if (left <= 0) break;
    quotas.set(index, whole + 1);
    left -= 1;
  }
  return quotas;
}
