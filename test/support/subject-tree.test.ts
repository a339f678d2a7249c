/**
 * The subject tree finds those, and only those, whose pattern matches, as NATS defines it.
 */
import { expect } from "chai";
import fc from "fast-check";
import { SubjectTree } from "./subject-tree.js";

describe("subject tree", () => {
  it("matches as NATS does", () => {
    const match = (pattern: string, subject: string): boolean => {
      const tree = new SubjectTree<string>();
      tree.add(pattern, "one");
      return tree.match(subject).length > 0;
    };
    expect(match("a.>", "a")).to.equal(false);
    expect(match("a.>", "a.b.c")).to.equal(true);
    expect(match("a.*", "a.b.c")).to.equal(false);
    expect(match("*.b.*", "a.b.c")).to.equal(true);
    expect(match("a.b", "a")).to.equal(false);
    expect(match("a", "a.b")).to.equal(false);
  });

  it("finds what a search through all patterns finds, in the order of joining", () => {
    const token = fc.constantFrom("a", "b", "*");
    const pattern = fc
      .tuple(fc.array(token, { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([tokens, isOpen]) => [...tokens, ...(isOpen ? [">"] : [])].join("."));
    const subject = fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 4 });
    const steps = fc.array(fc.record({ pattern, leaves: fc.nat(30) }), { maxLength: 30 });
    fc.assert(
      fc.property(steps, subject, (made, tokens) => {
        const tree = new SubjectTree<number>();
        const kept = new Map<number, { pattern: string; leave: () => void }>();
        for (const [index, step] of made.entries()) {
          kept.set(index, { pattern: step.pattern, leave: tree.add(step.pattern, index) });
          kept.get(step.leaves)?.leave();
          if (step.leaves !== index) kept.delete(step.leaves);
          else kept.delete(index);
        }
        const expected = [...kept].filter(([, each]) =>
          regexOf(each.pattern).test(tokens.join(".")),
        );
        expect(tree.match(tokens.join("."))).to.deep.equal(expected.map(([index]) => index));
      }),
    );
  });
});

function regexOf(pattern: string): RegExp {
  const tokens = pattern.split(".").map((token) => {
    if (token === ">") return "[^.]+(\\.[^.]+)*";
    return token === "*" ? "[^.]+" : token;
  });
  return new RegExp(`^${tokens.join("\\.")}$`);
}
