/**
 * Filter truth: decides whether a record matches a filter, from the value itself and the rules of
 * docs/protocol.md, without the production code's attributes, plans or closures.
 */

/** `where` as a client sends it; of the operators only what the workload uses. */
export function matches(where: object, key: string, value: unknown): boolean {
  return Object.entries(where).every(([path, operand]) => {
    if (path === "$and") return (operand as object[]).every((each) => matches(each, key, value));
    const found = path === "$key" ? [key] : elementsAt([value], path.split("."));
    if (!isObject(operand)) return isEqual(found, operand);
    return Object.entries(operand).every(([operator, wanted]) => holds(found, operator, wanted));
  });
}

/** All that stands at a path; an array stands for its elements. */
function elementsAt(values: readonly unknown[], path: readonly string[]): unknown[] {
  const [name, ...rest] = path;
  if (name === undefined) return [...values];
  const members = values.flatMap((value) => {
    if (!isObject(value) || !Object.hasOwn(value, name)) return [];
    const member = value[name];
    // The array itself is there too, for $exists; it equals nothing that a filter can say.
    return Array.isArray(member) ? [member, ...(member as unknown[])] : [member];
  });
  return elementsAt(members, rest);
}

function holds(found: readonly unknown[], operator: string, wanted: unknown): boolean {
  switch (operator) {
    case "$eq":
      return isEqual(found, wanted);
    case "$in":
      return (wanted as unknown[]).some((each) => isEqual(found, each));
    case "$exists":
      return found.length > 0 === wanted;
    case "$prefix":
      return found.some((each) => typeof each === "string" && each.startsWith(wanted as string));
    case "$gt":
      return found.some((each) => compare(each, wanted) > 0);
    case "$gte":
      return found.some((each) => compare(each, wanted) >= 0);
    case "$lt":
      return found.some((each) => compare(each, wanted) < 0);
    case "$lte":
      return found.some((each) => compare(each, wanted) <= 0);
    default:
      throw new Error(`the filter truth does not know ${operator}`);
  }
}

/** Null is met by what is missing too. */
function isEqual(found: readonly unknown[], wanted: unknown): boolean {
  return found.includes(wanted) || (wanted === null && found.length === 0);
}

/** NaN = of different types. */
function compare(one: unknown, other: unknown): number {
  if (typeof one !== typeof other) return NaN;
  if (typeof one === "number") return one - (other as number);
  if (typeof one === "boolean") return Number(one) - Number(other);
  if (typeof one !== "string") return NaN;
  return Buffer.compare(Buffer.from(one), Buffer.from(other as string));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
