/**
 * Pages of a find: what is asked for, page by page, and where they end.
 */
import { expect } from "chai";
import { foundPages, type FoundPage } from "../../../infra/cli/found-pages.js";
import { JsonText } from "../../../infra/cli/json-text.js";

describe("found pages", () => {
  let asked: Record<string, unknown>[];
  beforeEach(() => {
    asked = [];
  });

  async function pagesOf(
    replies: readonly string[],
    options: Parameters<typeof foundPages>[2] = {},
  ): Promise<FoundPage[]> {
    const ask: Parameters<typeof foundPages>[0] = (_verb, payload, { headers = [] } = {}) => {
      const body = JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>;
      asked.push({ ...body, headers });
      return Promise.resolve(JsonText.of(Buffer.from(replies[asked.length - 1] ?? "{}")));
    };
    const pages: FoundPage[] = [];
    for await (const page of foundPages(ask, { a: 1 }, options)) pages.push(page);
    return pages;
  }

  it("go on at the cursor until there is none", async () => {
    const replies = ['{"items":[{"key":"a","revision":1}],"cursor":"c"}', '{"items":[]}'];
    const pages = await pagesOf(replies, { read: "stale", scan: true });
    expect(pages.map(({ items }) => items.length)).to.deep.equal([1, 0]);
    expect(pages.map(({ hasMore }) => hasMore)).to.deep.equal([true, false]);
    const own = { where: { a: 1 }, limit: 1_000, scan: true, headers: [["Kv-Read", "stale"]] };
    expect(asked).to.deep.equal([own, { ...own, cursor: "c" }]);
  });

  it("ask for no more rows than are wanted", async () => {
    const two = '{"items":[{"key":"a"},{"key":"b"}],"cursor":"c"}';
    await pagesOf([two, '{"items":[{"key":"c"}],"cursor":"d"}'], { limit: 3 });
    expect(asked.map(({ limit }) => limit)).to.deep.equal([3, 1]);
    expect(await pagesOf([], { limit: 0 })).to.deep.equal([]);
  });

  it("tell raw bytes as base64, and what is missing", async () => {
    const reply = '{"items":[{"key":"a","value_base64":"AAEC"}],"complete":false}';
    const [page] = await pagesOf([reply]);
    expect(page?.items[0]).to.include({ base64: "AAEC", value: undefined });
    expect(page?.complete).to.equal(false);
  });
});
