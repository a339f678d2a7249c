/**
 * Merge: where a page ends that several shards have answered.
 */
import { expect } from "chai";
import { mergePage } from "../../../actors/coordinator/merge.js";

describe("merge", () => {
  it("ends the page where the first answer that has more ends", () => {
    const page = mergePage(
      [
        { rows: [row("a"), row("c")], more: true, reached: row("c") },
        { rows: [row("b"), row("d")], more: false, reached: undefined },
      ],
      10,
    );
    expect(page.rows.map(({ key }) => key)).to.deep.equal(["a", "b", "c"]);
    expect(page.next?.key).to.equal("c");
  });

  it("goes on after the last row where the limit cuts, and nowhere after all", () => {
    const answers = [{ rows: [row("a"), row("b")], more: false, reached: undefined }];
    expect(mergePage(answers, 1).next?.key).to.equal("a");
    expect(mergePage(answers, 2).next).to.equal(undefined);
  });

  it("gives an empty page with a successor when a shard came nowhere yet", () => {
    const page = mergePage(
      [
        { rows: [], more: true, reached: row("a") },
        { rows: [row("b")], more: false, reached: undefined },
      ],
      10,
    );
    expect(page.rows).to.deep.equal([]);
    expect(page.next?.key).to.equal("a");
  });
});

function row(key: string): { order: Uint8Array; key: string } {
  return { order: new Uint8Array(0), key };
}
