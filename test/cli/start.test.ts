import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { AdminClient } from "../../src/admin/client.ts";
import type { Status } from "../../src/api.ts";
import { DEFAULT_PORT } from "../../src/config.ts";
import { EXIT } from "../../src/cli/exit.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const FREE_PORT = ["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0"];

interface Started {
  readonly child: ChildProcess;
  readonly ready: Status & { readonly event: string; readonly dataDir: string };
  readonly exit: Promise<number | null>;
  readonly stderr: () => string;
}

/** Real processes: the node that `start` runs is the one that operators run. */
describe("cli start and dev (real processes)", function () {
  this.timeout(60_000);
  let directory = "";
  const children: ChildProcess[] = [];

  const launch = (
    argv: readonly string[],
    channel = false,
  ): { child: ChildProcess; exit: Promise<number | null>; stderr: () => string } => {
    const child = spawn(process.execPath, [MAIN, ...argv], {
      cwd: directory,
      env: { ...process.env, TMPDIR: directory, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe", ...(channel ? (["ipc"] as const) : [])],
    });
    children.push(child);
    let text = "";
    (child.stderr as Readable).setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    // "close" comes with the last of the output, but never after the parent has hung up a channel.
    return { child, exit: once(child, channel ? "exit" : "close").then(([code]) => code as number | null), stderr: () => text };
  };
  const start = async (argv: readonly string[] = FREE_PORT, channel = false): Promise<Started> => {
    const launched = launch(["start", "--json", "--data-dir", "data", ...argv], channel);
    const line = once(createInterface({ input: launched.child.stdout as Readable }), "line") as Promise<[string]>;
    const first = await Promise.race([line, launched.exit]);
    assert.ok(Array.isArray(first), `start ended: ${launched.stderr()}`);
    return { ...launched, ready: JSON.parse(first[0]) as Started["ready"] };
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "cli-start-"));
  });
  afterEach(async () => {
    const running = children.splice(0).filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    await Promise.all(running.map((child) => (child.kill("SIGKILL"), once(child, "exit"))));
    rmSync(directory, { recursive: true });
  });

  it("says who it is, drains on the first signal, and keeps its identity", async () => {
    writeFileSync(join(directory, ".env"), "REGISTRY_NAME=acme\nREGISTRY_NMAE=typo\n");
    const first = await start();
    assert.deepEqual([first.ready.event, first.ready.name, first.ready.dataDir], ["ready", "acme", join(directory, "data")]);
    assert.match(first.ready.multiaddrs[0] ?? "", /\/p2p\/12D3KooW/);
    const socket = join(directory, "data", "admin.sock");
    assert.equal(statSync(socket).mode & 0o777, 0o600);
    first.child.kill("SIGINT");
    assert.equal(await first.exit, EXIT.ok);
    assert.equal(existsSync(socket), false);
    for (const said of [
      "acme is up",
      first.ready.did,
      first.ready.spiffeId,
      "REGISTRY_NAME (.env line 1)",
      "did you mean REGISTRY_NAME?",
    ]) {
      assert.ok(first.stderr().includes(said), `${said} is not in:\n${first.stderr()}`);
    }
    const second = await start();
    assert.equal(second.ready.did, first.ready.did);
    second.child.kill("SIGTERM");
    assert.equal(await second.exit, EXIT.ok);
  });

  it("tells `id` the name that it was started with", async () => {
    const { ready } = await start([...FREE_PORT, "--name", "beta"]);
    const { child, exit } = launch(["id", "--json", "--data-dir", "data"]);
    let text = "";
    (child.stdout as Readable).setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    assert.equal(await exit, EXIT.ok);
    const { name, spiffeId } = JSON.parse(text) as { name: string; spiffeId: string };
    assert.deepEqual({ name, spiffeId }, { name: "beta", spiffeId: ready.spiffeId });
  });

  it("ends with `stop`, which returns once it has", async () => {
    const { exit, ready } = await start();
    const stop = launch(["stop", "--data-dir", "data"]);
    assert.equal(await stop.exit, EXIT.ok);
    assert.equal(await exit, EXIT.ok);
    await assert.rejects(new AdminClient(ready.dataDir).status());
  });

  it("ends with the parent that started it over a channel", async () => {
    const { child, exit } = await start(FREE_PORT, true);
    child.disconnect();
    assert.equal(await exit, EXIT.ok);
  });

  it("T44 starts again after kill -9, whatever it left behind", async () => {
    const killed = await start();
    killed.child.kill("SIGKILL");
    await killed.exit;
    assert.ok(existsSync(join(directory, "data", "admin.sock")), "a dead socket stands in the way");
    const { ready } = await start();
    assert.equal(ready.did, killed.ready.did);
  });

  it("refuses a data directory that another process uses, and leaves that one alone", async () => {
    const { ready, child } = await start();
    const second = launch(["start", "--data-dir", "data", ...FREE_PORT]);
    assert.equal(await second.exit, EXIT.failure);
    assert.match(second.stderr(), new RegExp(`is served already by process ${String(child.pid)} `));
    assert.doesNotMatch(second.stderr(), /\n {4}at /);
    const client = new AdminClient(ready.dataDir);
    assert.equal((await client.identity()).did, ready.did);
    client.close();
  });

  it("takes a free port when the default is taken, and refuses a named one that is", async () => {
    const taken = createServer().listen({ host: "0.0.0.0", port: DEFAULT_PORT });
    // Somebody else on this machine may hold the default port already: it is taken either way.
    await Promise.race([once(taken, "listening"), once(taken, "error")]).catch(() => {});
    const { stderr, child, exit } = await start([]);
    assert.match(stderr(), new RegExp(`the default port ${DEFAULT_PORT} is taken`));
    child.kill("SIGINT");
    await exit;
    taken.close();
    const named = createServer().listen({ host: "127.0.0.1", port: 0 });
    await once(named, "listening");
    const { port } = named.address() as AddressInfo;
    for (const asked of [
      ["--listen", `/ip4/127.0.0.1/tcp/${port}`],
      ["--http", `127.0.0.1:${port}`],
    ]) {
      const refused = launch(["start", "--data-dir", "data", ...FREE_PORT, ...asked.slice(0, 2)]);
      assert.equal(await refused.exit, EXIT.failure);
      assert.match(refused.stderr(), new RegExp(`cannot listen on \\S*${port}: the port is taken`));
    }
    named.close();
  });

  describe("dev", () => {
    it("shows registries that find each other and replicate, and leaves nothing behind", async () => {
      const { child, exit, stderr } = launch(["dev", "--nodes", "3", "--agents", "90", "--once", "--json"]);
      const text = await (child.stdout as Readable).toArray();
      assert.equal(await exit, EXIT.ok, stderr());
      const summary = JSON.parse(text.join("")) as {
        registries: { agents: number; replicated: number }[];
        lookup: { verified: boolean };
      };
      assert.deepEqual(
        summary.registries.map(({ agents, replicated }) => [agents, replicated]),
        [
          [30, 60],
          [30, 60],
          [30, 60],
        ],
      );
      assert.equal(summary.lookup.verified, true);
      assert.deepEqual(readdirSync(directory), []);
    });

    it("ends cleanly on Ctrl-C, with its children", async () => {
      const { child, exit } = launch(["dev", "--nodes", "2", "--agents", "10", "--json"]);
      const [line] = (await once(createInterface({ input: child.stdout as Readable }), "line")) as [string];
      const { registries } = JSON.parse(line) as { registries: { pid: number }[] };
      child.kill("SIGINT");
      assert.equal(await exit, EXIT.ok);
      assert.deepEqual(readdirSync(directory), []);
      for (const { pid } of registries) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
    });
  });
});
