/**
 * Whether what is said of a damage is what docs/operations.md tells people to look for: what has
 * happened, by a word that stands there, and what to do about it.
 */

interface Said {
  /** The words, as docs/operations.md has them. */
  readonly named: readonly string[];
  readonly what: RegExp;
  readonly todo: RegExp;
}

export const documented: readonly Said[] = [
  {
    named: ["log-shorter", "log-diverged", "log-missing", "log-trimmed", "log-unknown"],
    what: /\blog-(shorter|diverged|missing|trimmed|unknown): \S/,
    todo: /"ringdex repair" shows|keep all stores/,
  },
  {
    named: ["damaged"],
    what: /the store in \/\S+: damaged: \S/,
    todo: /Move the folder away \(keep it\)/,
  },
  {
    named: ["full"],
    what: /the store in \/\S+: full: \S/,
    todo: /Make room/,
  },
  {
    named: ["not-writable"],
    what: /the store in \/\S+: not-writable: \S/,
    todo: /Let the user of this process write there/,
  },
  {
    named: ["nats-server has no ring, but"],
    what: /nats-server has (no|another) ring, but \/\S+ has the stores \S/,
    todo: /Put the folder back/,
  },
  // What to do stands in the docs only: nothing of ours runs that could say it.
  {
    named: ["was ended by SIGSEGV", "SIGABRT"],
    what: /\bn\d+: was ended by SIG(SEGV|ABRT)\b/,
    todo: /starting it again/,
  },
];

/** True if a person who reads the docs knows what has happened and what to do. */
export function isDocumented(text: string): boolean {
  return documented.some(({ what, todo }) => what.test(text) && todo.test(text));
}
