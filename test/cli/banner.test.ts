import assert from "node:assert/strict";
import type { Status } from "../../src/api.ts";
import { describeStart } from "../../src/cli/banner.ts";
import type { CliStream } from "../../src/cli/io.ts";
import { resolveSettings } from "../../src/cli/settings/resolve.ts";
import { MapNode } from "../admin/map-node.ts";
import { Capture } from "./harness.ts";

describe("cli banner", () => {
  const stream = new Capture() as CliStream;
  const io = { stdin: (async function* () {})(), stdout: stream, stderr: stream, environment: {}, workingDirectory: "/nowhere" };
  const banner = async (flags: Record<string, string[]>, change: Partial<Status>): Promise<string> => {
    const settings = resolveSettings({ flags, environment: {}, workingDirectory: "/nowhere" });
    return describeStart(io, { ...(await new MapNode().status()), ...change }, settings);
  };
  const LAN = "/ip4/192.0.2.7/tcp/9470/p2p/x";
  const LOOPBACK = "/ip4/127.0.0.1/tcp/9470/p2p/x";

  it("names the HTTPS URLs, and how others join", async () => {
    const http = { url: "https://127.0.0.1:8443", urls: ["https://registry.example"] };
    const text = await banner({ httpUrls: ["https://registry.example"] }, { http, multiaddrs: [LAN, LOOPBACK] });
    assert.match(text, /HTTPS +https:\/\/127\.0\.0\.1:8443\n +https:\/\/registry\.example\n/);
    assert.match(text, /Others join with: {2}registry start --peer https:\/\/registry\.example\n/);
    assert.match(text, /on this machine: {2}registry start --peer https:\/\/127\.0\.0\.1:8443\n/);
    assert.match(text, /or: {2}registry start --peer \/ip4\/127\.0\.0\.1\//);
    assert.match(text, /--http-url \(flag\)/);
  });

  it("says that there is no HTTPS interface", async () => {
    const text = await banner({ http: ["none"] }, { http: null, multiaddrs: [LOOPBACK] });
    assert.match(text, /HTTPS +switched off/);
    assert.match(text, /Others join with: {2}registry start --peer \/ip4\/127/);
  });

  it("shows an address of this machine before one of its network, unless one was named to be announced", async () => {
    assert.match(await banner({}, { multiaddrs: [LAN, LOOPBACK] }), /announced +\/ip4\/127.*\n +\/ip4\/192/);
    const named = await banner({ announce: ["/ip4/192.0.2.7/tcp/9470"] }, { multiaddrs: [LAN, LOOPBACK] });
    assert.match(named, /announced +\/ip4\/192.*\n +\/ip4\/127/);
    assert.match(named, /--peer \/ip4\/192/);
  });
});
