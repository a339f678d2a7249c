/**
 * Which nats-server is taken, and getting one from a release when there is none. Releases come
 * from a server of the test; the binaries in them are scripts that say a version.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { expect } from "chai";
import {
  cacheFolder,
  compareVersions,
  findNatsServer,
  NATS_SERVER_VERSION_MIN,
  NATS_SERVER_VERSION_PINNED,
  natsServerVersion,
} from "../../../infra/nats-server/nats-binary.js";
import { failureText } from "../../support/failure.js";

describe("nats-server binary", () => {
  let folder: string;
  let releases: Server;
  let served: Map<string, Buffer>;
  beforeEach((done) => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-binary-"));
    served = new Map();
    releases = createServer((request, response) => {
      const bytes = served.get(request.url ?? "");
      response.writeHead(bytes === undefined ? 404 : 200).end(bytes);
    }).listen(0, "127.0.0.1", done);
  });
  afterEach(() => {
    releases.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function script(name: string, version: string): string {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `#!/bin/sh\necho nats-server: v${version}\n`, { mode: 0o755 });
    return file;
  }

  function find(env: NodeJS.ProcessEnv): Promise<string> {
    const releaseUrl = `http://127.0.0.1:${(releases.address() as AddressInfo).port}`;
    return findNatsServer({ env, projectFolder: folder, releaseUrl });
  }

  /** Puts a release with a binary of this version where find() looks; returns its SHA256SUMS. */
  function release(version: string, sum?: string): void {
    const cpu = process.arch === "x64" ? "amd64" : process.arch;
    const pinned = `v${NATS_SERVER_VERSION_PINNED}`;
    const name = `nats-server-${pinned}-${process.platform}-${cpu}`;
    script(`release/${name}/nats-server`, version);
    const asset = `${name}.tar.gz`;
    const made = join(folder, asset);
    execFileSync("tar", ["-czf", made, "-C", join(folder, "release"), name]);
    const bytes = readFileSync(made);
    const real = createHash("sha256").update(bytes).digest("hex");
    const sums = `${"0".repeat(64)}  other.zip\n${sum ?? real}  ${asset}\n`;
    served.set(`/${pinned}/${asset}`, bytes).set(`/${pinned}/SHA256SUMS`, Buffer.from(sums));
  }

  // What scripts and tar need; neither Go nor nats-server is there.
  const path = ["/usr/bin", "/bin"].join(delimiter);

  it("is the one that RINGDEX_NATS_SERVER names, before the one on PATH", async () => {
    const named = script("named/nats-server", "2.13.0");
    const onPath = dirname(script("path/nats-server", "2.14.0"));
    expect(await find({ PATH: onPath, RINGDEX_NATS_SERVER: named })).to.equal(named);
  });

  it("is refused, not replaced, if RINGDEX_NATS_SERVER names an old one or none", async () => {
    const named = script("named/nats-server", "2.12.2");
    script("path/nats-server", "2.14.0");
    const env = { PATH: join(folder, "path") };
    const old = await failureText(find({ ...env, RINGDEX_NATS_SERVER: named }));
    expect(old).to.contain("is version 2.12.2; versions before 2.12.3 lose data");
    const none = await failureText(find({ ...env, RINGDEX_NATS_SERVER: join(folder, "nothing") }));
    expect(none).to.contain("is no nats-server that runs here");
  });

  it("is the one on PATH if that is new enough, else the one built before", async () => {
    const onPath = script("path/nats-server", NATS_SERVER_VERSION_MIN);
    const built = script(".cache/bin/nats-server", "2.14.5");
    const env = { PATH: dirname(onPath) };
    expect(await find(env)).to.equal(onPath);
    script("path/nats-server", "2.12.2");
    expect(await find(env)).to.equal(built);
  });

  it("is built with Go where there is Go", async () => {
    mkdirSync(join(folder, "go-bin"));
    const go = '#!/bin/sh\nprintf "#!/bin/sh\\necho v2.14.5 $2" > $GOBIN/nats-server\n';
    writeFileSync(join(folder, "go-bin", "go"), `${go}chmod +x $GOBIN/nats-server\n`, {
      mode: 0o755,
    });
    const found = await find({ PATH: [join(folder, "go-bin"), path].join(delimiter) });
    expect(found).to.equal(join(folder, ".cache", "bin", "nats-server"));
    expect(readFileSync(found, "utf8")).to.contain("github.com/nats-io/nats-server/v2@v2.14.5");
  });

  it("is downloaded where there is no Go, and kept", async () => {
    release("2.14.5");
    const found = await find({ PATH: path });
    expect(await natsServerVersion(found)).to.equal("2.14.5");
    served.clear();
    expect(await find({ PATH: path })).to.equal(found);
    expect(readdirSync(dirname(found))).to.deep.equal(["nats-server"]);
  });

  it("is not taken from a download whose checksum differs", async () => {
    release("2.14.5", "a".repeat(64));
    expect(await failureText(find({ PATH: path }))).to.match(/but SHA256SUMS says a{64}/);
    expect(readdirSync(join(folder, ".cache", "bin"))).to.deep.equal([]);
  });

  it("is asked for with all reasons and ways out when there is none to be had", async () => {
    const message = await failureText(find({ PATH: path }));
    expect(message).to.contain("there is no nats-server on PATH");
    expect(message).to.contain("there is no Go on PATH");
    expect(message).to.contain("SHA256SUMS: HTTP 404");
    expect(message).to.contain(`install nats-server v${NATS_SERVER_VERSION_PINNED}`);
    expect(message).to.contain("RINGDEX_NATS_URL");
  });

  it("is kept out of an installed package's folder", () => {
    const env = { XDG_CACHE_HOME: "/xdg" };
    expect(cacheFolder(env, "/a/node_modules/ringdex")).to.equal("/xdg/ringdex/bin");
    expect(cacheFolder(env, "/a/ringdex")).to.equal("/a/ringdex/.cache/bin");
  });
});

describe("versions", () => {
  it("compare by number, a pre-release before its release", () => {
    const ascending = ["2.9.25", "2.12.3-RC.1", "2.12.3", "2.12.10", "2.14.0", "10.0.0"];
    for (const [index, version] of ascending.entries()) {
      for (const [indexOther, other] of ascending.entries()) {
        const sign = Math.sign(compareVersions(version, other));
        expect(sign, `${version} ${other}`).to.equal(Math.sign(index - indexOther));
      }
    }
  });
});
