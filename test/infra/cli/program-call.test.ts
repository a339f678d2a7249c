/**
 * How hints call the program, from different places.
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { programCall, startCall } from "../../../infra/cli/program-call.js";

describe("a call of the program", () => {
  let root: string;
  let packageFolder: string;
  let project: string;
  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), "ringdex-call-")));
    packageFolder = join(root, "ringdex");
    project = join(root, "project");
    mkdirSync(join(packageFolder, "dist", "infra", "cli"), { recursive: true });
    writeFileSync(join(packageFolder, "dist", "infra", "cli", "ringdex.js"), "");
    mkdirSync(join(project, "node_modules", ".bin"), { recursive: true });
    mkdirSync(join(project, "below"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const call = (cwd: string, path = ""): string => programCall({ cwd, path, packageFolder });
  const program = (): string => join(packageFolder, "dist", "infra", "cli", "ringdex.js");

  it("is npx only where that finds this package", () => {
    expect(call(project)).to.equal(`node ${program()}`);
    const bin = join(project, "node_modules", ".bin", "ringdex");
    symlinkSync(program(), bin);
    expect(call(project)).to.equal("npx ringdex");
    expect(call(join(project, "below"))).to.equal("npx ringdex");
    rmSync(bin);
    writeFileSync(bin, "another of that name");
    expect(call(project)).to.equal(`node ${program()}`);
  });

  it("is the name alone where PATH leads to it", () => {
    const folder = join(root, "bin");
    mkdirSync(folder);
    symlinkSync(program(), join(folder, "ringdex"));
    expect(call(project, `/nowhere:${folder}`)).to.equal("ringdex");
  });

  it("is a short path in the package's folder, where make may start a cluster, too", () => {
    expect(call(packageFolder)).to.equal("node dist/infra/cli/ringdex.js");
    expect(startCall({ cwd: packageFolder, path: "", packageFolder })).not.to.contain("make");
    writeFileSync(join(packageFolder, "Makefile"), "");
    expect(startCall({ cwd: packageFolder, path: "", packageFolder })).to.equal(
      '"make cluster" or "node dist/infra/cli/ringdex.js up"',
    );
    expect(startCall({ cwd: project, path: "", packageFolder })).not.to.contain("make");
  });
});
