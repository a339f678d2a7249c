/**
 * Every page's links and every path it names lead to something that is there.
 */
import { expect } from "chai";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { allPages, namedPaths, problemOfLink, relativeLinks, root } from "./pages.js";

describe("pages", () => {
  const pages = allPages();

  it("are found: the one in front, the tour and the decisions", () => {
    const paths = pages.map(({ path }) => path);
    expect(paths).to.include.members(["README.md", join("docs", "tour.md")]);
    expect(paths.filter((path) => path.includes("decisions"))).to.not.be.empty;
  });

  it("link only to files and headings that are there", () => {
    const links = pages.flatMap((from) => relativeLinks(from).map((link) => ({ from, link })));
    expect(links).to.have.length.above(20);
    const problems = links.map(({ from, link }) => problemOfLink(from, link));
    expect(problems.filter((problem) => problem !== undefined)).to.deep.equal([]);
  });

  it("name only files and folders that are there", () => {
    const missing = pages.flatMap((from) =>
      namedPaths(from)
        .filter((path) => !existsSync(join(root, path)))
        .map((path) => `${from.path}: there is no ${path}`),
    );
    expect(missing).to.deep.equal([]);
  });

  it("are told apart from links that lead nowhere", () => {
    const from = {
      path: "README.md",
      text: "[a](docs/none.md) [b](docs/tour.md#none) `test/none.ts`",
    };
    const problems = relativeLinks(from).map((link) => problemOfLink(from, link));
    expect(problems).to.deep.equal([
      "README.md: there is no docs/none.md",
      "README.md: docs/tour.md has no heading none",
    ]);
    expect(namedPaths(from)).to.deep.equal(["test/none.ts"]);
  });
});
