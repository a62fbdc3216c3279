import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CONFIG_DEFAULTS } from "../../../src/config.ts";
import { SETTINGS } from "../../../src/cli/settings/definitions.ts";
import { parseEnvFile } from "../../../src/cli/settings/env-file.ts";
import { SettingsError } from "../../../src/cli/settings/mistakes.ts";
import { resolveSettings, type SettingSources } from "../../../src/cli/settings/resolve.ts";
import { envTemplate } from "../../../src/cli/settings/template.ts";

const PEER = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

describe("settings", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "settings-"));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  const resolved = (sources: Partial<SettingSources> = {}): ReturnType<typeof resolveSettings> =>
    resolveSettings({ flags: {}, environment: {}, workingDirectory: directory, ...sources });
  const mistakes = (sources: Partial<SettingSources>): SettingsError => {
    try {
      resolved(sources);
    } catch (error) {
      if (error instanceof SettingsError) return error;
    }
    return assert.fail("the settings were taken");
  };

  it("needs nothing: the defaults stand, and say so", () => {
    const { config, origins, warnings } = resolved();
    assert.deepEqual(config, { ...CONFIG_DEFAULTS, dataDir: join(directory, ".registry") });
    assert.deepEqual(origins.name, { kind: "default", name: "default" });
    assert.deepEqual(warnings, []);
  });

  it("takes flags before environment before file before default, and knows which", () => {
    writeFileSync(
      join(directory, ".env"),
      "# three\nREGISTRY_NAME=file\nREGISTRY_DOMAIN=file.example\nREGISTRY_LOG_LEVEL='debug' # loud\n",
    );
    const { config, origins } = resolved({
      flags: { name: ["flag"] },
      environment: { REGISTRY_NAME: "environment", REGISTRY_DOMAIN: "environment.example" },
    });
    assert.deepEqual([config.name, config.domain, config.logLevel], ["flag", "environment.example", "debug"]);
    assert.deepEqual(origins.name, { kind: "flag", name: "--name" });
    assert.deepEqual(origins.domain, { kind: "environment", name: "REGISTRY_DOMAIN" });
    assert.deepEqual(origins.logLevel, { kind: "file", name: ".env line 4" });
  });

  it("lets an empty variable of the environment switch a line of the file off", () => {
    writeFileSync(join(directory, ".env"), "REGISTRY_DOMAIN=file.example\n");
    assert.equal(resolved({ environment: { REGISTRY_DOMAIN: "" } }).config.domain, null);
  });

  it("reads the file named by --env-file instead of .env, and wants it to exist", () => {
    writeFileSync(join(directory, ".env"), "REGISTRY_NAME=dot-env\n");
    writeFileSync(join(directory, "other.env"), "\uFEFFexport REGISTRY_NAME=other\r\n");
    assert.equal(resolved({ envFile: "other.env" }).config.name, "other");
    const [mistake, ...more] = mistakes({ envFile: "absent.env" }).mistakes;
    assert.deepEqual([mistake?.setting, mistake?.problem, more], ["absent.env", "cannot be read (ENOENT)", []]);
  });

  it("reports every mistake at once, each with its source and what to do", () => {
    writeFileSync(join(directory, ".env"), "REGISTRY_LOG_LEVEL=loud\nnonsense\nREGISTRY_REPLICAS_MAX=-1\n");
    const error = mistakes({
      flags: { name: ["no spaces"], listen: ["/ip4/0.0.0.0/udp/1"] },
      environment: { FEDERATION_PEERS: `${PEER},/ip4/127.0.0.1/tcp/1,https://registry.example`, REGISTRY_FOLLOW: "did:web:x" },
    });
    const summary = error.mistakes.map(({ setting, source }) => `${setting} ${source}`).sort();
    assert.deepEqual(summary, [
      "--listen flag",
      "--name flag",
      ".env line 2",
      "FEDERATION_PEERS environment",
      "FEDERATION_PEERS environment",
      "REGISTRY_FOLLOW environment",
      "REGISTRY_LOG_LEVEL .env line 1",
      "REGISTRY_REPLICAS_MAX .env line 3",
    ]);
    assert.ok(error.mistakes.every(({ problem, fix }) => problem !== "" && fix !== ""));
    assert.match(error.message, /not yet: joining by URL comes with the HTTP endpoint/);
    assert.match(error.message, /"\/ip4\/127.0.0.1\/tcp\/1" lacks \/p2p\/<peer id>/);
  });

  it("bothers a client of a running node only with what it needs", () => {
    const sources = { flags: {}, environment: { REGISTRY_NAME: "no spaces" }, workingDirectory: directory };
    assert.equal(resolveSettings(sources, ["dataDir"]).config.dataDir, join(directory, ".registry"));
    assert.throws(() => resolveSettings(sources), SettingsError);
  });

  it("warns about unknown variables of ours, and offers the name that was meant", () => {
    writeFileSync(join(directory, ".env"), "FEDERATION_PEER=\nOTHER=1\n");
    const { warnings } = resolved({ environment: { REGISTRY_NMAE: "x", REGISTRY_SOMETHING_ELSE_ALTOGETHER: "y", PATH: "/" } });
    assert.deepEqual(warnings, [
      "REGISTRY_NMAE (environment) is not a setting: did you mean REGISTRY_NAME?",
      "REGISTRY_SOMETHING_ELSE_ALTOGETHER (environment) is not a setting",
      "FEDERATION_PEER (.env line 1) is not a setting: did you mean FEDERATION_PEERS?",
    ]);
  });

  it("takes lists from repeated flags and from commas", () => {
    const { config } = resolved({ flags: { peers: [PEER, `${PEER}, ${PEER}`], follow: ["none"] } });
    assert.deepEqual([config.peers, config.follow], [[PEER, PEER, PEER], "none"]);
  });

  it(".env.example names every variable and parses to the defaults", () => {
    const path = new URL("../../../.env.example", import.meta.url);
    const text = readFileSync(path, "utf8");
    assert.deepEqual(
      [...parseEnvFile(text).values.keys()],
      SETTINGS.map(({ variable }) => variable),
    );
    writeFileSync(join(directory, "example.env"), text);
    const { config, origins } = resolved({ envFile: "example.env" });
    assert.deepEqual(config, resolved().config);
    assert.equal(origins.listen.kind, "file");
    assert.equal(text, envTemplate(), "it is what the settings say of themselves");
  });

  it("refuses what an env file does not mean clearly", () => {
    const { values, problems } = parseEnvFile(`A=1\nA=2\nB="open\nC='x' y\n=3\nD=a b#c # d\nE="#"\n`);
    assert.deepEqual(
      problems.map(({ line }) => line),
      [2, 3, 4, 5],
    );
    assert.deepEqual([values.get("D")?.text, values.get("E")?.text], ["a b#c", "#"]);
  });
});
