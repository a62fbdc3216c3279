import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentPage, PeerStatus, Status } from "../../src/api.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { agentInput, OWN_DID } from "../admin/map-node.ts";
import { Bench } from "./harness.ts";

describe("cli", () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });
  afterEach(() => bench.close());

  const file = (name: string, content: string): string => {
    writeFileSync(join(bench.directory, name), content);
    return name;
  };
  const agentFile = (id: string): string => file("agent.json", JSON.stringify(agentInput(id)));

  describe("exit codes", () => {
    const cases: [string, number, string[]][] = [
      ["ok", EXIT.ok, ["version"]],
      ["ok for help", EXIT.ok, ["agent", "--help"]],
      ["usage for no command", EXIT.usage, []],
      ["usage for an unknown command", EXIT.usage, ["serve"]],
      ["usage for an unknown option", EXIT.usage, ["status", "--fast"]],
      ["usage for a missing argument", EXIT.usage, ["agent", "get"]],
      ["usage for a number that is none", EXIT.usage, ["agent", "list", "--limit", "many"]],
      ["usage for a limit out of bounds", EXIT.usage, ["agent", "list", "--limit", "1001"]],
      ["usage for a wrong setting", EXIT.usage, ["start", "--name", "a b"]],
      ["usage for too many nodes", EXIT.usage, ["dev", "--nodes", "99"]],
      ["failure for a registry that is not there", EXIT.failure, ["id"]],
      ["failure for a file that is not there", EXIT.failure, ["agent", "verify", "absent.json"]],
      ["unreachable without a node", EXIT.unreachable, ["status"]],
      ["unreachable without a node, for streams", EXIT.unreachable, ["agent", "import", "-"]],
    ];
    for (const [what, exit, argv] of cases) {
      it(`${exit}: ${what}`, async () => {
        const run = await bench.run(argv);
        assert.equal(run.exit, exit, run.stderr);
        assert.doesNotMatch(run.stderr, /\n {4}at /, "no stack trace");
        if (exit !== EXIT.ok) assert.equal(run.stdout, "", "messages go to standard error");
      });
    }

    it("2: usage as JSON for those who ask for JSON, on standard error alone", async () => {
      const cases: [RegExp, string[]][] = [
        [/no command was named/, ["--json"]],
        [/unknown command 'serve'/, ["serve", "--json"]],
        [/unknown option '--fast'/, ["--json", "status", "--fast"]],
        [/missing required argument/, ["agent", "get", "--json"]],
      ];
      for (const [reason, argv] of cases) {
        const run = await bench.run(argv);
        const { error } = JSON.parse(run.stderr) as { error: { code: string; message: string } };
        assert.deepEqual([run.exit, run.stdout, error.code], [EXIT.usage, "", "usage"]);
        assert.match(error.message, reason);
      }
      assert.match((await bench.run(["status", "--json", "--help"])).stdout, /^Usage: registry status/);
      assert.match((await bench.run(["serve", "--", "--json"])).stderr, /^error: unknown command/);
    });

    it("0: the version alone", async () => {
      const { version } = (await bench.run(["version", "--json"])).json<{ version: string }>();
      const run = await bench.run(["--version"]);
      assert.deepEqual([run.exit, run.stdout], [EXIT.ok, `${version}\n`]);
    });

    it("4: what the node refuses", async () => {
      await bench.serve();
      assert.equal((await bench.run(["agent", "register", agentFile("acme/a")])).exit, EXIT.ok);
      const again = await bench.run(["agent", "register", "agent.json"]);
      assert.equal(again.exit, EXIT.refused);
      assert.match(again.stderr, /refused \(exists\): already registered/);
      assert.equal((await bench.run(["agent", "deregister", "did:web:nobody"])).exit, EXIT.refused);
    });

    it("4: an agent that is registered already, with the command that replaces it", async () => {
      await bench.serve();
      bench.node.mutate = () =>
        Promise.resolve([
          { outcome: "refused", did: null, code: "revision_conflict", reason: "the agent exists already, at revision 1" },
        ]);
      assert.match((await bench.run(["agent", "register", agentFile("acme/a")])).stderr, /revision 1; `registry agent update`/);
      // A revision that the user named is another conflict.
      const named = await bench.run(["agent", "register", "agent.json", "--if-revision", "3"]);
      assert.doesNotMatch(named.stderr, /agent update/);
      assert.doesNotMatch((await bench.run(["agent", "update", "agent.json"])).stderr, /`registry agent update`/);
    });

    it("says what to do about a file that cannot be read, and a data directory that is none", async () => {
      await bench.serve();
      for (const argv of [["verify"], ["import"], ["register"]]) {
        const absent = await bench.run(["agent", ...argv, "absent.json"]);
        assert.match(absent.stderr, /absent\.json cannot be read: there is no such file; check its name/);
        const below = await bench.run(["agent", ...argv, `${agentFile("acme/a")}/below.json`]);
        assert.match(below.stderr, /a part of its path is a file and no directory; check the path/);
      }
      for (const argv of [["start"], ["status"]]) {
        const run = await bench.run([...argv, "--data-dir", file("plain", "")]);
        assert.equal(run.exit, EXIT.usage);
        assert.match(
          run.stderr,
          /^error: the data directory \S+plain is a file and no directory; name a directory with --data-dir/,
        );
      }
    });

    it("2: a list that is narrowed to nothing", async () => {
      for (const name of ["text", "capability", "registry", "cursor"]) {
        const run = await bench.run(["agent", "list", `--${name}`, ""]);
        assert.equal(run.exit, EXIT.usage);
        assert.equal(run.stderr, `error: --${name} was given without a value: name one, or leave it out\n`);
      }
    });

    it("1: what is not there", async () => {
      await bench.serve();
      const run = await bench.run(["agent", "get", "nobody"]);
      assert.equal(run.exit, EXIT.failure);
      assert.match(run.stderr, /no agent nobody/);
    });
  });

  describe("--json", () => {
    it("prints one document on standard output, errors as one on standard error", async () => {
      const run = await bench.run(["status", "--json"]);
      assert.equal(run.stdout, "");
      const { error } = JSON.parse(run.stderr) as { error: { code: string; message: string } };
      assert.equal(error.code, "node_unreachable");
      assert.match(error.message, /registry start/);
    });

    it("names every mistake in the settings", async () => {
      const run = await bench.run(["--json", "init", "--name", "a b", "--listen", "x"]);
      const { error } = JSON.parse(run.stderr) as { error: { code: string; mistakes: { setting: string }[] } };
      assert.equal(run.exit, EXIT.usage);
      assert.deepEqual([error.code, error.mistakes.map(({ setting }) => setting)], ["usage", ["--name", "--listen"]]);
    });

    it("keeps its field names", async () => {
      await bench.serve();
      await bench.run(["agent", "register", agentFile("acme/a")]);
      const status = (await bench.run(["status", "--json"])).json<Status>();
      const fields = ["name", "did", "peerId", "spiffeId", "multiaddrs", "catalog", "peers", "contacts", "uptimeSeconds", "http"];
      for (const field of fields) assert.ok(field in status, field);
      assert.equal(status.catalog.agents, 1);
      const page = (await bench.run(["agent", "list", "--limit", "1", "--json"])).json<AgentPage>();
      assert.deepEqual([page.agents.length, page.cursor], [1, null]);
      const [agent] = page.agents;
      const view = (await bench.run(["agent", "get", "acme/a", "--json"])).json<{ agent: unknown; home: { own: boolean } }>();
      assert.deepEqual([view.agent, view.home.own], [agent, true]);
      assert.deepEqual((await bench.run(["agent", "get", "acme/a", "--proof", "--json"])).json(), {
        did: agent?.did,
        record: agent,
      });
      assert.deepEqual((await bench.run(["peer", "list", "--json"])).json(), { peers: [], contacts: [] });
      assert.deepEqual((await bench.run(["sync", "status", "--json"])).json(), { sync: [] });
      assert.deepEqual((await bench.run(["sync", "now", "--json"])).json(), { sync: [] });
      const removed = (await bench.run(["agent", "deregister", agent?.did ?? "", "--json"])).json();
      assert.deepEqual(removed, { outcome: "deleted", did: agent?.did, revision: 1 });
      assert.deepEqual(Object.keys((await bench.run(["version", "--json"])).json()), ["name", "version", "node"]);
    });
  });

  describe("commands", () => {
    it("pages through a list", async () => {
      await bench.serve();
      file("agents.jsonl", ["a", "b", "c"].map((id) => JSON.stringify(agentInput(`acme/${id}`))).join("\n"));
      await bench.run(["agent", "import", "agents.jsonl"]);
      const first = (await bench.run(["agent", "list", "--limit", "2", "--json"])).json<AgentPage>();
      const rest = (
        await bench.run(["agent", "list", "--limit", "2", "--cursor", first.cursor ?? "", "--json"])
      ).json<AgentPage>();
      assert.deepEqual(
        [...first.agents, ...rest.agents].map(({ humanReadableId }) => humanReadableId),
        ["acme/a", "acme/b", "acme/c"],
      );
      assert.match((await bench.run(["agent", "list", "--limit", "2"])).stderr, /--cursor 2/);
    });

    it("takes an agent of ours out by its name, and says why it does not take out another's", async () => {
      await bench.serve();
      await bench.run(["agent", "register", agentFile("acme/a")]);
      assert.equal((await bench.run(["agent", "deregister", "acme/b"])).exit, EXIT.failure);
      const getAgent = bench.node.getAgent.bind(bench.node);
      bench.node.getAgent = async (id) => {
        const view = await getAgent(id);
        return view && { ...view, home: { did: "did:web:other.example", name: "other", own: false } };
      };
      const other = await bench.run(["agent", "deregister", "acme/a"]);
      assert.equal(other.exit, EXIT.refused);
      assert.match(other.stderr, /"acme\/a" is an agent of did:web:other\.example/);
      bench.node.getAgent = getAgent;
      const removed = (await bench.run(["agent", "deregister", "acme/a", "--json"])).json<{ outcome: string }>();
      assert.equal(removed.outcome, "deleted");
      assert.equal(bench.node.agents.size, 0);
    });

    it("exports original documents one a line, whatever their line breaks, and reads its own export", async () => {
      await bench.serve();
      const card = (name: string): string =>
        JSON.stringify(
          {
            protocolVersion: "0.3.0",
            name,
            description: "two\nlines",
            url: `https://${name}.example/`,
            version: "1",
            skills: [],
          },
          undefined,
          2,
        );
      for (const name of ["one", "two"])
        await bench.run(["agent", "import", file("card.json", card(name).replaceAll("\n", "\r\n"))]);
      const { stdout } = await bench.run(["agent", "export", "--format", "original"]);
      const lines = stdout.trimEnd().split("\n");
      assert.deepEqual(
        lines.map((line) => JSON.parse(line) as unknown),
        ["one", "two"].map((name) => JSON.parse(card(name)) as unknown),
      );
      file("export.jsonl", stdout);
      bench.node.agents.clear();
      const report = await bench.run(["agent", "import", "export.jsonl", "--json"]);
      assert.equal(report.exit, EXIT.ok, report.stderr);
      assert.equal(bench.node.agents.size, 2);
    });

    it("adds and removes peers", async () => {
      await bench.serve();
      const address = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";
      assert.equal((await bench.run(["peer", "add", address])).exit, EXIT.ok);
      assert.deepEqual(bench.node.peers, [address]);
      assert.equal((await bench.run(["peer", "remove", address])).exit, EXIT.ok);
      assert.equal((await bench.run(["peer", "remove", address])).exit, EXIT.failure);
    });

    it("shows how each peer is reached, and which alias is only claimed", async () => {
      const peer: PeerStatus = {
        ...{
          did: "did:key:z6MkBirch",
          name: "birch",
          state: "alive",
          agents: 3,
          mapRoot: null,
          syncedRoot: null,
          lastSync: null,
        },
        ...{ rttMs: 1, connected: false, followed: true, configured: true, refusedRecords: 0 },
        ...{ domain: "birch.example", domainVerified: false, transport: "http" },
      };
      bench.node.listPeers = () => Promise.resolve([peer, { ...peer, name: "cedar", domainVerified: true, transport: null }]);
      bench.node.http = { url: "https://alder.example:8443", urls: ["https://alder.example:8443"] };
      await bench.serve();
      const { stdout } = await bench.run(["status"]);
      assert.match(stdout, /HTTPS +https:\/\/alder\.example:8443/);
      assert.match(stdout, /birch +\S+ +birch\.example \(claimed\) +alive, over HTTPS/);
      assert.match(stdout, /cedar +\S+ +birch\.example +alive, not connected/);
    });

    it("asks for what a list is narrowed to", async () => {
      await bench.serve();
      const words = [
        "--capability",
        "translation",
        "--text",
        "legal contracts",
        "--min-reputation",
        "0.75",
        "--registry",
        OWN_DID,
      ];
      assert.equal((await bench.run(["agent", "list", ...words])).exit, EXIT.ok);
      const narrowed = { capability: "translation", text: "legal contracts", minReputation: 0.75, registry: OWN_DID };
      assert.deepEqual(bench.node.listed, { limit: 50, ...narrowed });
      for (const wrong of ["1.5", "-1", "high", ""]) {
        const run = await bench.run(["agent", "list", `--min-reputation=${wrong}`]);
        assert.equal(run.exit, EXIT.usage, run.stderr);
        assert.match(run.stderr, /a number from 0 to 1/);
      }
    });

    it("warns of a misspelt setting also where another one is wrong", async () => {
      const environment = { REGISTRY_NMAE: "x" };
      const run = await bench.run(["start", "--http", "8443"], { environment });
      assert.match(run.stderr, /warning: REGISTRY_NMAE .*did you mean REGISTRY_NAME\?\nerror: .*\n.*--http/);
      const json = await bench.run(["start", "--http", "8443", "--json"], { environment });
      const { error } = JSON.parse(json.stderr) as { error: { warnings: string[] } };
      assert.match(error.warnings[0] ?? "", /REGISTRY_NMAE/);
    });

    it("does not start beside the registry that serves the data directory, and says nothing of its ports", async () => {
      await bench.serve();
      const run = await bench.run(["start"]);
      assert.equal(run.exit, EXIT.failure);
      assert.match(run.stderr, new RegExp(`^error: .* is served already by process ${process.pid} \\("alder"\\)`));
      assert.doesNotMatch(run.stderr, /port/);
    });

    it("stops the node and says which", async () => {
      await bench.serve();
      assert.deepEqual((await bench.run(["stop", "--json"])).json(), { stopped: true, pid: process.pid });
      assert.equal((await bench.run(["status"])).exit, EXIT.unreachable);
    });

    it("reports partial and whole failure of a sync", async () => {
      await bench.serve();
      const state = {
        did: OWN_DID,
        name: "x",
        agents: 0,
        received: 0,
        total: 0,
        syncedRoot: null,
        targetRoot: null,
        lastSync: null,
      };
      const failed = { ...state, state: "failed", lastError: "the peer \u001b[31mstalled" } as const;
      bench.node.sync = [failed];
      const run = await bench.run(["sync", "now"]);
      assert.equal(run.exit, EXIT.failure);
      assert.ok(!run.stdout.includes("\u001b"), "what a peer says cannot steer the terminal");
      bench.node.sync = [failed, { ...state, state: "idle", lastError: null }];
      assert.equal((await bench.run(["sync", "now"])).exit, EXIT.partial);
    });

    it("makes a registry once, and never overwrites", async () => {
      const argv = ["init", "--name", "acme", "--data-dir", "made", "--json"];
      const first = (await bench.run(argv)).json();
      assert.deepEqual([first["name"], first["keyCreated"], first["envCreated"]], ["acme", true, true]);
      assert.equal(statSync(join(bench.directory, "made")).mode & 0o777, 0o700);
      assert.equal(statSync(join(bench.directory, "made", "registry.key")).mode & 0o777, 0o600);
      const env = readFileSync(join(bench.directory, ".env"), "utf8");
      assert.match(env, /^REGISTRY_NAME=acme$/m);
      assert.match(env, /^# REGISTRY_LISTEN=/m);
      const second = (await bench.run(["init", "--name", "other", "--data-dir", "made", "--json"])).json();
      assert.deepEqual([second["did"], second["keyCreated"], second["envCreated"]], [first["did"], false, false]);
      assert.equal(readFileSync(join(bench.directory, ".env"), "utf8"), env);
      const id = (await bench.run(["id", "--json"], { environment: { REGISTRY_DATA_DIR: "made" } })).json();
      assert.deepEqual([id["did"], id["name"]], [first["did"], "acme"], "the .env that init wrote is read");
    });

    it("shows where an error came from only when asked to", async () => {
      const run = await bench.run(["status", "--log-level", "debug"]);
      assert.match(run.stderr, /\n {4}at /);
    });

    it("says which commands need no node", async () => {
      assert.match((await bench.run(["--help"])).stdout, /no running node: init, start, id, doctor, agent verify, dev, version/);
    });
  });

  describe("agent verify", () => {
    interface Vectors {
      readonly documents: readonly { readonly name: string; readonly text: string; readonly problems?: readonly string[] }[];
    }
    const path = new URL("../../protocols/checkpoint/vectors/proof-document.json", import.meta.url);
    const { documents } = JSON.parse(readFileSync(path, "utf8")) as Vectors;

    for (const { name, text, problems = [] } of documents) {
      it(`T30 ${problems.length === 0 ? "takes" : "refuses"} ${name}, with no node running`, async () => {
        const run = await bench.run(["agent", "verify", file("proof.json", text), "--json"]);
        assert.equal(run.exit, problems.length === 0 ? EXIT.ok : EXIT.refused);
        const report = run.json<{ ok: boolean; problems: string[]; isLastCommit: boolean }>();
        assert.deepEqual([report.ok, report.problems.length], [problems.length === 0, problems.length]);
      });
    }

    it("T51 says of a file that is no proof, or was indented anew, that it wants the file as it was written", async () => {
      const proof = documents.find(({ problems = [] }) => problems.length === 0)?.text ?? "";
      for (const text of [JSON.stringify(agentInput("acme/a")), JSON.stringify(JSON.parse(proof), undefined, 4), "no JSON"]) {
        const run = await bench.run(["agent", "verify", file("proof.json", text)]);
        assert.equal(run.exit, EXIT.refused);
        assert.match(run.stdout, /no proof document as `registry agent get <did> --proof` writes it: give that file as it was/);
      }
      const wrong = { ...(JSON.parse(proof) as object), did: "did:web:other.example" };
      const run = await bench.run(["agent", "verify", file("proof.json", JSON.stringify(wrong))]);
      assert.match(run.stdout, /does not hold/);
      assert.doesNotMatch(run.stdout, /no proof document/, "it is one, of another agent");
    });

    it("T51 refuses what is no document, and what is too long", async () => {
      assert.equal((await bench.run(["agent", "verify", file("x", "\xff{")])).exit, EXIT.refused);
      assert.equal((await bench.run(["agent", "verify", "-"], { stdin: "" })).exit, EXIT.refused);
      const long = await bench.run(["agent", "verify", file("x", " ".repeat(2_000_000))]);
      assert.equal(long.exit, EXIT.refused);
      assert.match(long.stderr, /is longer than/);
    });
  });
});
