import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CONFIG_DEFAULTS, type RegistryConfig } from "../../../src/config.ts";
import { SETTINGS, settingText } from "../../../src/cli/settings/definitions.ts";
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
      environment: { FEDERATION_PEERS: `${PEER},/ip4/127.0.0.1/tcp/1,http://registry.example`, REGISTRY_FOLLOW: "did:web:x" },
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
    assert.match(error.message, /"http:\/\/registry.example" must begin with https:/);
    assert.match(error.message, /"\/ip4\/127.0.0.1\/tcp\/1" lacks \/p2p\/<peer id>/);
  });

  describe("of the HTTPS interface", () => {
    const DID = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw";
    const tls = { tlsCertificate: ["chain.pem"], tlsKey: ["key.pem"], domain: ["registry.example"] };
    const taken: [what: string, flags: SettingSources["flags"], expected: Partial<RegistryConfig>][] = [
      ["an address and port", { http: ["127.0.0.1:0"] }, { http: "127.0.0.1:0" }],
      ["an IPv6 address", { http: ["[::1]:8443"] }, { http: "[::1]:8443" }],
      ["a host name", { http: ["registry.example:443"] }, { http: "registry.example:443" }],
      ["none", { http: ["none"] }, { http: null }],
      [
        "origins",
        { httpUrls: ["https://a.example,https://b.example:8443"] },
        { httpUrls: ["https://a.example", "https://b.example:8443"] },
      ],
      [
        "peers by URL, pinned and not",
        { peers: ["https://a.example", `https://b.example:8443/registry#${DID}`] },
        { peers: ["https://a.example", `https://b.example:8443/registry#${DID}`] },
      ],
      ["a short life of certificates", { svidLifetimeSeconds: ["4"] }, { svidLifetimeSeconds: 4 }],
      ["private addresses", { allowPrivateAddresses: ["true"] }, { allowPrivateAddresses: true }],
      ["public addresses alone", { allowPrivateAddresses: ["false"] }, { allowPrivateAddresses: false }],
      [
        "no certificate of the public web",
        { tlsCertificate: ["none"], tlsKey: ["none"] },
        { tlsCertificate: null, tlsKey: null },
      ],
    ];
    for (const [what, flags, expected] of taken) {
      it(`takes ${what}`, () => {
        assert.deepEqual(resolved({ flags }).config, { ...resolved().config, ...expected });
      });
    }

    it("takes a certificate of the public web with its key and domain, relative to the working directory", () => {
      const { config } = resolved({ flags: tls });
      assert.deepEqual([config.tlsCertificate, config.tlsKey], [join(directory, "chain.pem"), join(directory, "key.pem")]);
    });

    const refused: [what: string, flags: SettingSources["flags"], setting: string, problem: RegExp][] = [
      ["a port alone", { http: ["8443"] }, "--http", /"8443" is not <host>:<port>/],
      ["a port that there is not", { http: ["127.0.0.1:65536"] }, "--http", /port above 65535/],
      ["an IPv6 address without brackets", { http: ["::1:8443"] }, "--http", /is not <host>:<port>/],
      ["a URL for where to listen", { http: ["https://127.0.0.1:8443"] }, "--http", /is not <host>:<port>/],
      ["an origin without encryption", { httpUrls: ["http://a.example"] }, "--http-url", /must begin with https/],
      ["an origin with a path", { httpUrls: ["https://a.example/registry"] }, "--http-url", /is not the origin of a URL/],
      ["a peer's URL with a password", { peers: ["https://me:secret@a.example"] }, "--peer", /carries a user or password/],
      ["a peer's URL with a query", { peers: ["https://a.example/?a=1"] }, "--peer", /has a query/],
      ["a pin that is no registry", { peers: ["https://a.example#sha256"] }, "--peer", /has a pin that is not the DID/],
      ["a life of certificates that is too short", { svidLifetimeSeconds: ["3"] }, "--svid-lifetime-seconds", /from 4 to 86400/],
      [
        "a life of certificates that is too long",
        { svidLifetimeSeconds: ["86401"] },
        "--svid-lifetime-seconds",
        /from 4 to 86400/,
      ],
      ["neither yes nor no", { allowPrivateAddresses: ["yes"] }, "--allow-private-addresses", /neither true nor false/],
      ["a key without its certificate", { ...tls, tlsCertificate: ["none"] }, "--tls-certificate", /missing, while its key/],
      [
        "a certificate without its key",
        { tlsCertificate: ["c"], domain: ["a.example"] },
        "REGISTRY_TLS_KEY",
        /missing, while its cert/,
      ],
      ["a certificate without a domain", { tlsCertificate: ["c"], tlsKey: ["k"] }, "REGISTRY_DOMAIN", /is missing/],
      ["a certificate that is never served", { ...tls, http: ["none"] }, "--tls-certificate", /is never served/],
    ];
    for (const [what, flags, setting, problem] of refused) {
      it(`refuses ${what}`, () => {
        const [mistake, ...more] = mistakes({ flags }).mistakes;
        assert.deepEqual([mistake?.setting, more], [setting, []]);
        assert.match(mistake?.problem ?? "", problem);
        assert.notEqual(mistake?.fix, "");
      });
    }

    it("reports what does not go together beside all other mistakes", () => {
      const { mistakes: all } = mistakes({ flags: { name: ["a b"], tlsCertificate: ["chain.pem"], http: ["x"] } });
      assert.deepEqual(all.map(({ setting }) => setting).sort(), ["--http", "--name", "REGISTRY_DOMAIN", "REGISTRY_TLS_KEY"]);
    });

    it("are written to an env file as they are read from it", () => {
      const given = resolved({
        flags: { ...tls, http: ["none"], tlsCertificate: ["none"], tlsKey: ["none"], allowPrivateAddresses: ["true"] },
      });
      const texts = Object.fromEntries(SETTINGS.map((setting) => [setting.variable, settingText(setting, given.config)]));
      assert.deepEqual(resolved({ environment: texts }).config, given.config);
    });
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

  it("warns about them also where there are mistakes: the name that was meant is often what is missing", () => {
    const { warnings } = mistakes({ environment: { REGISTRY_NMAE: "x", REGISTRY_HTTP: "8443" } });
    assert.deepEqual(warnings, ["REGISTRY_NMAE (environment) is not a setting: did you mean REGISTRY_NAME?"]);
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
