import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { createReadStream, existsSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { didKey, mintDid } from "../../../protocols/lib/did.ts";
import { RECORD_BYTES_MAX } from "../../../protocols/record/record.ts";
import {
  DOCUMENT_BYTES_MAX,
  readDocuments,
  type ImportedLine,
  type ImportFormat,
} from "../../../src/catalog/import/documents.ts";
import { derivedId, normaliseCapability } from "../../../src/catalog/import/normalise.ts";
import { isCapability } from "../../../protocols/record/text.ts";

const DATA = process.env["REGISTRY_TEST_DATA"] ?? resolve(import.meta.dirname, "../../../../shared/data");

async function* chunked(bytes: Uint8Array, size: number): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(lines: AsyncIterable<ImportedLine>): Promise<ImportedLine[]> {
  const all: ImportedLine[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

async function importAll(
  input: string | Uint8Array,
  format: ImportFormat = "auto",
  own?: string,
  size = 7,
): Promise<ImportedLine[]> {
  const bytes = typeof input === "string" ? Buffer.from(input) : input;
  return collect(readDocuments(chunked(bytes, size), format, own === undefined ? {} : { own }));
}

function agentOf(line: ImportedLine | undefined): Extract<ImportedLine, { agent: unknown }> {
  assert.ok(line !== undefined && "agent" in line, `refused: ${JSON.stringify(line)}`);
  return line;
}

function codeOf(line: ImportedLine | undefined): string {
  assert.ok(line !== undefined && "error" in line, "taken");
  return line.error.code;
}

const json = (value: unknown): string => JSON.stringify(value);

describe("import of agent lines", () => {
  it("makes capabilities of tags, tools and category, and keeps the line as the original", async () => {
    const line = json({
      humanReadableId: "acme/x",
      name: "X",
      tags: ["Deep  Learning", "CI / CD"],
      tools: ["run_sql"],
      category: "Dev Tools",
    });
    const { agent, warnings } = agentOf((await importAll(line))[0]);
    assert.deepEqual(agent.capabilities, ["category/dev-tools", "ci/cd", "deep-learning", "run_sql"]);
    assert.deepEqual(agent.tags, ["Deep  Learning", "CI / CD"]);
    assert.deepEqual(agent.original, { media_type: "application/json", document: line });
    assert.deepEqual(warnings, []);
  });

  it("goes on after a bad line, and says which line and why", async () => {
    const lines = ['{"name":"a"}', '{"name":', "", '{"name":"b"}\r', "[]", '{"description":"no name"}', '{"name":"c"}'];
    const result = await importAll(lines.join("\n"), "jsonl");
    assert.deepEqual(
      result.map((one) => ("agent" in one ? `${one.line} ${one.agent.humanReadableId}` : `${one.line} ${one.error.code}`)),
      ["1 a", "2 not_json", "4 b", "5 schema", "6 schema", "7 c"],
    );
    assert.equal(
      result.reduce((sum, one) => sum + one.bytes, 0),
      lines.join("\n").length,
    );
  });

  it("gives the same documents however the bytes are cut", async () => {
    const input = Buffer.from('\ufeff{"name":"é"}\r\n\n{"name":"日本"}\n{"name":"x","tags":["t"]}');
    const whole = await importAll(input, "jsonl", undefined, input.length);
    assert.equal(whole.length, 3);
    for (let size = 1; size < 12; size++) assert.deepEqual(await importAll(input, "jsonl", undefined, size), whole);
  });

  it("T51 refuses what is not strict JSON, and lives on", async () => {
    const deep = `{"name":"x","a":${"[".repeat(100)}${"]".repeat(100)}}`;
    assert.equal(codeOf((await importAll('{"name":"x","name":"y"}', "jsonl"))[0]), "duplicate_key");
    assert.equal(codeOf((await importAll('{"name":"x","a":{"b":1,"\\u0062":2}}', "jsonl"))[0]), "duplicate_key");
    assert.equal(codeOf((await importAll(deep, "jsonl"))[0]), "too_deep");
    assert.equal(codeOf((await importAll(Buffer.from([0x7b, 0xff, 0x7d]), "jsonl"))[0]), "not_utf8");
    assert.equal(codeOf((await importAll('{"name":"x"', "jsonl"))[0]), "not_json");
  });

  it("T51 refuses an endless line without keeping it, and takes the next", async () => {
    async function* endless(): AsyncIterable<Uint8Array> {
      const block = Buffer.alloc(65_536, 0x20);
      for (let i = 0; i * block.length < 4 * DOCUMENT_BYTES_MAX; i++) yield block;
      yield Buffer.from('\n{"name":"next"}\n');
    }
    const [long, next] = await collect(readDocuments(endless(), "jsonl"));
    assert.equal(codeOf(long), "too_large");
    assert.equal(agentOf(next).line, 2);
  });

  it("refuses what only its original makes too large, and says so", async () => {
    const [line] = await importAll(json({ name: "x", notes: '"'.repeat(RECORD_BYTES_MAX / 3) }), "jsonl", undefined, 65_536);
    assert.ok(line !== undefined && "error" in line);
    assert.equal(line.error.code, "too_large");
    assert.match(line.error.reason, /original document/);
  });

  it("warns of everything that it changes or leaves out", async () => {
    const source = {
      name: `a\nb${"x".repeat(300)}`,
      tags: ["ok", 7, "\u0000"],
      endpoints: [{ url: "nowhere" }],
      status: "odd",
      reputation_score: 7,
    };
    const { agent, warnings } = agentOf((await importAll(json(source), "jsonl"))[0]);
    assert.equal(agent.name.length, 256);
    for (const field of [
      "name: line breaks",
      "name: 303 characters",
      "tags: 1 empty",
      "capabilities: nothing",
      "endpoints:",
      "status:",
      "reputation_score:",
    ])
      assert.ok(
        warnings.some((warning) => warning.startsWith(field)),
        `${field} in ${json(warnings)}`,
      );
  });
});

describe("import of our own export", () => {
  const [ours, theirs] = [1, 2].map(() =>
    generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "der" }).subarray(12),
  ) as [Buffer, Buffer];
  const exported = (did: string): string =>
    json({
      did,
      humanReadableId: "acme/x",
      name: "X",
      description: "",
      capabilities: ["a"],
      tags: [],
      endpoints: [],
      version: "1",
      status: "inactive",
      original: { media_type: "text/plain", document: "kept" },
      registry: didKey(theirs),
      epoch: 3,
      revision: 9,
      hlc: "0190a1b2c3d40000",
      prev: "a".repeat(64),
      reputation_score: 0.5,
    });

  it("ignores what the home sets and keeps everything else as it is", async () => {
    const { agent, warnings } = agentOf((await importAll(exported("did:web:x.example")))[0]);
    const kept = "capabilities description did endpoints humanReadableId name original status tags version";
    assert.equal(Object.keys(agent).sort().join(" "), kept);
    assert.deepEqual(agent.original, { media_type: "text/plain", document: "kept" });
    assert.equal(agent.status, "inactive");
    assert.deepEqual(warnings, []);
  });

  it("T32 keeps a DID that this registry minted, not one that another minted", async () => {
    const own = didKey(ours);
    const kept = agentOf((await importAll(exported(mintDid(ours, "acme/old-name")), "auto", own))[0]);
    assert.equal(kept.agent.did, mintDid(ours, "acme/old-name"));
    const dropped = agentOf((await importAll(exported(mintDid(theirs, "acme/x")), "auto", own))[0]);
    assert.equal(dropped.agent.did, undefined);
    assert.match(dropped.warnings[0] ?? "", /^did: /);
  });
});

describe("import of A2A agent cards", () => {
  const card = { name: "Air Ticketing", version: "1.0.0", skills: [{ id: "book", tags: ["Book Air Tickets"] }] };

  it("takes v0.2, v0.3 and v1.0, over many lines", async () => {
    const v02 = { ...card, url: "http://localhost:1/" };
    const v03 = {
      ...v02,
      preferredTransport: "GRPC",
      additionalInterfaces: [{ url: "http://localhost:2/", transport: "HTTP+JSON" }],
    };
    const v10 = {
      ...card,
      supportedInterfaces: [{ url: "https://agents.example/a", protocolBinding: "JSONRPC", protocolVersion: "1.0" }],
    };
    const endpoints = [];
    for (const source of [v02, v03, v10]) {
      const text = JSON.stringify(source, null, 2).replaceAll("\n", "\r\n");
      const [line, ...more] = await importAll(`${text}\r\n`);
      assert.equal(more.length, 0);
      const { agent, warnings } = agentOf(line);
      assert.deepEqual(agent.capabilities, ["book", "book-air-tickets"]);
      assert.deepEqual(agent.original, { media_type: "application/a2a-agent-card+json", document: text });
      assert.deepEqual(warnings, []);
      endpoints.push(agent.endpoints.map(({ url, protocol }) => `${protocol} ${url}`));
    }
    assert.deepEqual(endpoints, [
      ["a2a/jsonrpc http://localhost:1/"],
      ["a2a/grpc http://localhost:1/", "a2a/http+json http://localhost:2/"],
      ["a2a/jsonrpc https://agents.example/a"],
    ]);
  });

  it("names the agent after its provider, else its host, else itself", async () => {
    const id = async (more: object): Promise<string> =>
      agentOf((await importAll(json({ ...card, ...more })))[0]).agent.humanReadableId;
    assert.equal(await id({ provider: { organization: "Example, Inc." } }), "example-inc/air-ticketing");
    assert.equal(await id({ url: "https://agents.example/x" }), "agents.example/air-ticketing");
    assert.equal(await id({ url: "http://127.0.0.1:1/" }), "air-ticketing");
  });

  it("warns of a card without a URL and refuses one without a name", async () => {
    assert.match(agentOf((await importAll(json(card)))[0]).warnings[0] ?? "", /URL/);
    assert.equal(codeOf((await importAll(json({ skills: [] })))[0]), "schema");
  });
});

describe("import of MCP servers", () => {
  it("takes the current schema, alone or as the registry's answer, and keeps the name", async () => {
    const server = {
      $schema: "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
      name: "io.github.owner/Weather",
      title: "Weather",
      description: "d",
      version: "1.2.3",
      remotes: [{ type: "streamable-http", url: "https://mcp.example/" }],
    };
    const answer = { server, _meta: { "io.modelcontextprotocol.registry/official": { status: "deprecated" } } };
    for (const [source, status] of [
      [server, "active"],
      [answer, "deprecated"],
    ] as const) {
      const { agent } = agentOf((await importAll(json(source)))[0]);
      assert.equal(agent.humanReadableId, "io.github.owner/Weather");
      assert.equal(agent.name, "Weather");
      assert.equal(agent.version, "1.2.3");
      assert.equal(agent.status, status);
      assert.deepEqual(agent.endpoints, [{ url: "https://mcp.example/", protocol: "mcp/streamable-http" }]);
      assert.equal(agent.original?.media_type, "application/mcp-server+json");
    }
  });

  it("takes the early form, one a line, and refuses an empty name", async () => {
    const line = (name: string, version: string): string =>
      json({ name, description: "", version_detail: { version }, packages: [] });
    const result = await importAll([line("io.github.a/b", "1"), line("", ""), line("io.github.a/b", "2")].join("\n"));
    assert.equal(agentOf(result[0]).agent.version, "1");
    assert.equal(codeOf(result[1]), "schema");
    assert.equal(agentOf(result[2]).agent.version, "2");
  });
});

describe("normalised names", () => {
  it("make a capability of anything, or nothing", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const capability = normaliseCapability(text);
        if (capability === undefined) return;
        assert.ok(isCapability(capability));
        assert.equal(normaliseCapability(capability), capability);
      }),
      { numRuns: 5_000 },
    );
    assert.equal(normaliseCapability(" Deep\u00a0 Learning "), "deep-learning");
    assert.equal(normaliseCapability("E\u0301TUDE"), "\u00e9tude");
    assert.equal(normaliseCapability("//"), undefined);
  });

  it("make an id for which a DID can be minted", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 400 }), fc.string({ unit: "binary", maxLength: 400 }), (a, b) => {
        const id = derivedId(a, b);
        if (id !== undefined) mintDid(Buffer.alloc(32, 1), id);
      }),
    );
  });
});

const without = existsSync(DATA) ? "" : " (skipped: there are no real catalogues; set REGISTRY_TEST_DATA to their directory)";

describe(`import of real catalogues${without}`, function () {
  before(function () {
    if (without !== "") this.skip();
  });

  const counts: readonly (readonly [string, ImportFormat, number, number])[] = [
    ["lobehub-agents.jsonl", "jsonl", 9_090, 0],
    ["docker-mcp-servers.jsonl", "jsonl", 328, 0],
    ["mcp-registry-servers.jsonl", "mcp", 464, 7],
  ];
  for (const [file, format, taken, refused] of counts) {
    it(`takes ${taken} of ${taken + refused} lines of ${file}`, async () => {
      for (const asked of [format, "auto"] as const) {
        const lines = await collect(readDocuments(createReadStream(join(DATA, file)), asked));
        assert.equal(lines.filter((line) => "agent" in line).length, taken);
        assert.equal(lines.length, taken + refused);
        assert.equal(
          lines.reduce((sum, line) => sum + line.bytes, 0),
          statSync(join(DATA, file)).size,
        );
      }
    });
  }

  it("takes every agent card", async () => {
    const files = without === "" ? readdirSync(join(DATA, "a2a-cards")) : [];
    assert.ok(files.length >= 7);
    for (const file of files) {
      const [line, ...more] = await collect(readDocuments(createReadStream(join(DATA, "a2a-cards", file)), "auto"));
      assert.equal(more.length, 0);
      assert.equal(agentOf(line).agent.original?.media_type, "application/a2a-agent-card+json");
    }
  });
});
