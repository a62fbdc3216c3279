import { startRegistry } from "../../src/compose.ts";
import { CONFIG_DEFAULTS } from "../../src/config.ts";

/** A registry in a process of its own, for tests that kill it: prints what it holds of others as JSON lines. */
const POLL_MS = 5;
const [dataDir, peer] = process.argv.slice(2);
if (dataDir === undefined || peer === undefined) throw new Error("usage: real-process.ts DATA_DIR PEER");

const node = await startRegistry({
  ...CONFIG_DEFAULTS,
  http: null,
  ...{ name: "killed", dataDir, listen: ["/ip4/127.0.0.1/tcp/0"], peers: [peer], logLevel: "silent" },
});
setInterval(() => {
  node.syncStatus().then(
    (all) => process.stdout.write(`${JSON.stringify({ received: all[0]?.received ?? 0, agents: all[0]?.agents ?? 0 })}\n`),
    () => undefined,
  );
}, POLL_MS);
