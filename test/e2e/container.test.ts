import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SETTINGS } from "../../src/cli/settings/definitions.ts";
import { ROOT } from "./build.ts";
import { Site } from "./site.ts";

const read = (name: string): string => readFileSync(join(ROOT, name), "utf8");
const DOCKERFILE: string = read("Dockerfile");

/** What an image build and a container engine would find out late: nothing here needs an engine. */
describe("container files", function () {
  this.timeout(60_000);
  let site: Site | undefined;
  afterEach(() => site?.close());

  it("set only what is a setting", () => {
    const known = SETTINGS.map(({ variable }) => variable);
    for (const [name, text] of [
      ["Dockerfile", DOCKERFILE],
      ["docker-compose.yml", read("docker-compose.yml")],
    ] as const) {
      const named = text.match(/\b(?:REGISTRY|FEDERATION)_[A-Z_]+/g) ?? [];
      assert.ok(named.length > 0, `${name} sets nothing`);
      const unknown = named.filter((variable) => !known.includes(variable));
      assert.deepEqual(unknown, [], `${name}: a variable that is no setting is passed over in silence`);
    }
  });

  it("let into the build what it copies, and nothing else", () => {
    const copied = [...DOCKERFILE.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = ""]) => sources.split(" "));
    const [first, ...rules] = read(".dockerignore").trim().split("\n").slice(1);
    assert.equal(first, "*");
    const allowed = rules.filter((rule) => rule.startsWith("!")).map((rule) => rule.slice(1));
    const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);
    for (const path of copied)
      assert.ok(
        allowed.some((folder) => isWithin(path, folder)),
        `${path} does not reach the build`,
      );
    for (const path of allowed) assert.ok(copied.includes(path), `${path} reaches the build and is not copied`);
    const last = rules.findLastIndex((rule) => rule.startsWith("!"));
    for (const secret of ["**/.env", "**/*.key", "**/*.pem"])
      assert.ok(rules.indexOf(secret) > last, `${secret} is let in again`);
  });

  it("ask no other registry of images than that of the base image", () => {
    assert.doesNotMatch(DOCKERFILE, /^#\s*syntax=/m);
    const bases = [...DOCKERFILE.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image);
    assert.equal(new Set(bases).size, 1, bases.join(", "));
  });

  it("build the image of all three registries once", () => {
    assert.equal(read("docker-compose.yml").match(/\bbuild: \./g)?.length, 1);
  });

  it("tell by the health check whether a registry answers, by HTTPS or, without it, by its admin socket", async () => {
    const running = (site = new Site());
    const [, check = ""] = /^HEALTHCHECK [^]*?CMD (\[.*\])$/m.exec(DOCKERFILE) ?? [];
    const [, ...argv] = JSON.parse(check) as string[];
    const ask = async (dataDir: string, http: string): Promise<number | null> => {
      const environment = { REGISTRY_DATA_DIR: dataDir, REGISTRY_HTTP: http };
      return (await running.spawn(process.execPath, argv, { environment }).outcome).exit;
    };
    const web = await running.start("alder");
    const at = new URL(web.ready.http?.url ?? assert.fail("no HTTPS interface")).host;
    const silent = await running.start("birch", "--http", "none");
    assert.deepEqual([await ask(web.dataDir, at), await ask(silent.dataDir, "none")], [0, 0]);
    await Promise.all([web.signal("SIGTERM"), silent.signal("SIGTERM")]);
    assert.deepEqual([await ask(web.dataDir, at), await ask(silent.dataDir, "none")], [1, 1]);
  });
});
