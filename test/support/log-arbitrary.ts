/**
 * Logs at random: two proposers, copies of entries, fences, bytes that are not entries, and a clock
 * that runs, stands still, jumps ahead past the window of request ids, and goes back.
 */
import fc from "fast-check";
import type { LogMessage } from "../../infra/log.js";
import type { Origin } from "../../protocol/ids.js";
import type { EntryBody } from "../../protocol/log/entry.js";
import type { Operation } from "../../protocol/operation.js";
import { entryBytes, LogWriter } from "./log-writer.js";
import { anyGroup } from "./operations-arbitrary.js";

const origins = ["c1".repeat(16), "c2".repeat(16)] as Origin[];

type Step =
  | { readonly kind: "time"; readonly ms: number }
  | { readonly kind: "copy"; readonly back: number }
  | { readonly kind: "bytes" }
  | { readonly kind: "entry"; readonly body: EntryBody; readonly origin: number; skip: number };

function stepsOf(group: fc.Arbitrary<readonly Operation[]>): fc.Arbitrary<Step[]> {
  const groups = fc.array(group, { minLength: 1, maxLength: 3 });
  const operations = groups.map((each) => ({ kind: "operations" as const, groups: each }));
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant("entry" as const),
        body: operations,
        origin: fc.nat(1),
        skip: fc.constant(0),
      }),
    },
    fc.record({
      kind: fc.constant("entry" as const),
      body: fc.constantFrom<EntryBody>({ kind: "barrier" }, { kind: "fence" }, { kind: "open" }),
      origin: fc.nat(1),
      skip: fc.nat(2),
    }),
    fc.record({
      kind: fc.constant("time" as const),
      ms: fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 0, max: 1_500 }) },
        fc.constantFrom(-5_000, 9_000, 30_000, 61_000, 75_000),
      ),
    }),
    fc.record({ kind: fc.constant("copy" as const), back: fc.nat(5) }),
    fc.constant({ kind: "bytes" as const }),
  );
  return fc.array(step, { minLength: 1, maxLength: 25 });
}

/** `group` makes the operations. */
export function anyLog(
  group: fc.Arbitrary<readonly Operation[]> = anyGroup,
): fc.Arbitrary<LogMessage[]> {
  return stepsOf(group).map((steps) => {
    const writer = new LogWriter();
    const numbers = [1, 1];
    for (const origin of origins) writer.append(entryBytes({ kind: "open" }, origin, 1));
    for (const step of steps) {
      if (step.kind === "time") writer.time += step.ms;
      else if (step.kind === "bytes") writer.append(Buffer.from("no entry"));
      else if (step.kind === "copy") {
        // Not the genesis: a second one is nothing that a log has.
        const at = Math.max(1, writer.messages.length - 1 - step.back);
        writer.append((writer.messages[at] as LogMessage).data);
      } else {
        const number = (numbers[step.origin] as number) + 1 + step.skip;
        // Only a fence may leave numbers out.
        if (step.skip === 0 || step.body.kind === "fence") numbers[step.origin] = number;
        if (step.body.kind === "open") numbers[step.origin] = number - 1 - step.skip;
        writer.append(entryBytes(step.body, origins[step.origin] as Origin, number));
      }
    }
    return writer.messages;
  });
}
