/**
 * Subject tree: finds the subscriptions of a subject by its tokens, as NATS does.
 *
 * Wildcards: `*` is any one token, `>` one or more at the end.
 */

interface Branch<Item> {
  readonly next: Map<string, Branch<Item>>;
  /** In the order of joining. */
  readonly items: Joined<Item>[];
}

interface Joined<Item> {
  readonly number: number;
  readonly item: Item;
}

export class SubjectTree<Item> {
  readonly #root: Branch<Item> = { next: new Map(), items: [] };
  #count = 0;

  /** Returns what takes the item out again. */
  add(pattern: string, item: Item): () => void {
    let branch = this.#root;
    const tokens = pattern.split(".");
    for (const token of tokens) {
      let next = branch.next.get(token);
      if (next === undefined) branch.next.set(token, (next = { next: new Map(), items: [] }));
      branch = next;
    }
    const joined = { number: ++this.#count, item };
    branch.items.push(joined);
    const { items } = branch;
    return () => {
      const index = items.indexOf(joined);
      if (index < 0) return;
      items.splice(index, 1);
      if (items.length === 0) prune(this.#root, tokens, 0);
    };
  }

  /** Those that match, in the order of their joining. Cost: by tokens, not by items. */
  match(subject: string): Item[] {
    const found: Joined<Item>[] = [];
    collect(this.#root, subject.split("."), 0, found);
    if (found.length > 1) found.sort((a, b) => a.number - b.number);
    return found.map(({ item }) => item);
  }
}

/** Removes the branches of `tokens` that have become empty. */
function prune<Item>(branch: Branch<Item>, tokens: readonly string[], index: number): void {
  const token = tokens[index];
  const next = token === undefined ? undefined : branch.next.get(token);
  if (token === undefined || next === undefined) return;
  prune(next, tokens, index + 1);
  if (next.items.length === 0 && next.next.size === 0) branch.next.delete(token);
}

function collect<Item>(
  branch: Branch<Item>,
  tokens: readonly string[],
  index: number,
  into: Joined<Item>[],
): void {
  const token = tokens[index];
  if (token === undefined) {
    for (const joined of branch.items) into.push(joined);
    return;
  }
  for (const joined of branch.next.get(">")?.items ?? []) into.push(joined);
  const exact = branch.next.get(token);
  if (exact !== undefined) collect(exact, tokens, index + 1, into);
  const any = branch.next.get("*");
  if (any !== undefined) collect(any, tokens, index + 1, into);
}
