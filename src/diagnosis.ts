import { decodeCommit } from "../protocols/checkpoint/commit.ts";
import type { Check, Diagnosis, PeerContact, PeerStatus, Status, SyncStatus } from "./api.ts";
import type { MemberView } from "./membership/messages.ts";
import type { Clock } from "./ports/clock.ts";
import type { Store } from "./ports/store.ts";

export interface DiagnosisParts {
  readonly clock: Clock;
  readonly store: Store;
  readonly status: () => Promise<Status>;
  readonly syncStatus: () => Promise<readonly SyncStatus[]>;
  readonly members: () => Promise<readonly MemberView[]>;
}

/** A durable write and its read that take longer make every commit late, in milliseconds. */
export const STORE_SLOW_MS = 500;
/** Connected registries sign at least every 60 s, so that the time of a newest version tells how far the clocks are apart. */
export const SKEW_AHEAD_MS_MAX = 10_000;
export const SKEW_BEHIND_MS_MAX = 180_000;

/** A row of no table (compare `catalog/rows.ts`), written and removed again. */
const PROBE_KEY: Uint8Array = Uint8Array.of(0x1f);

type Outcome = Pick<Check, "state" | "found" | "fix">;

/** Looks at what only the running node sees; each look that fails says so, and the others go on. */
export async function diagnose(parts: DiagnosisParts): Promise<Diagnosis> {
  const { clock } = parts;
  const time = new Date(clock.now()).toISOString();
  const timed = async (name: string, look: () => Promise<Outcome>): Promise<Check> => {
    const fromMs = clock.monotonic();
    const outcome = await look().catch((error: unknown): Outcome => ({
      state: "failed",
      found: error instanceof Error ? error.message : String(error),
      fix: "see the node's log for what went before; restart it if this stays",
    }));
    return { name, ...outcome, tookMs: clock.monotonic() - fromMs };
  };
  const checks = await Promise.all([
    timed("store", () => checkStore(parts)),
    timed("catalogue", async () => checkCatalogue(await parts.status())),
    timed("clock", async () => checkClocks(await parts.members(), clock.now())),
  ]);
  return { time, checks: [...checks, ...(await checkPeers(parts, timed))] };
}

async function checkStore({ store, clock }: DiagnosisParts): Promise<Outcome> {
  const value = Buffer.from(String(clock.now()));
  const fromMs = clock.monotonic();
  await store.batch([{ type: "put", key: PROBE_KEY, value }], { durable: true });
  const read = await store.get(PROBE_KEY);
  const tookMs = clock.monotonic() - fromMs;
  await store.batch([{ type: "del", key: PROBE_KEY }], { durable: false });
  if (read === undefined || !value.equals(read)) {
    return failed("what was written is not what is read", "check the disk; restore the data directory from a backup");
  }
  if (tookMs > STORE_SLOW_MS) {
    return warning(
      `a durable write and its read took ${tookMs.toFixed(0)} ms`,
      "put the data directory on a faster disk, or find out what else is writing to it",
    );
  }
  return ok("a durable write was read back");
}

function checkCatalogue({ catalog, evidence }: Status): Outcome {
  const { agents, logSize, epoch, mapRoot, paused } = catalog;
  if (paused !== null) {
    return failed(
      `nothing is signed: ${paused}`,
      "wait until peers have told our newest version; `registry status` shows when it is over",
    );
  }
  const held = evidence === 0 ? "" : `; ${evidence} pieces of evidence of misbehaviour are held`;
  const size = `${counted(agents, "agent")} in ${counted(logSize, "commit")} of epoch ${epoch}`;
  return ok(`${size}, map root ${mapRoot}${held}`);
}

/** The clocks of connected registries, as far as the times that they sign tell. */
export function checkClocks(members: readonly MemberView[], nowMs: number): Outcome {
  const offsets = members.flatMap(({ connected, name, did, head }) =>
    connected && head !== undefined ? [{ name: name === "" ? did : name, aheadMs: decodeCommit(head.commit).time - nowMs }] : [],
  );
  const apart = offsets.filter(({ aheadMs }) => aheadMs > SKEW_AHEAD_MS_MAX || -aheadMs > SKEW_BEHIND_MS_MAX);
  const [worst] = apart.sort((a, b) => Math.abs(b.aheadMs) - Math.abs(a.aheadMs));
  if (worst !== undefined) {
    const seconds = Math.abs(worst.aheadMs / 1_000).toFixed(0);
    const found = `${apart.length} of ${offsets.length} connected registries: ${worst.name} signed ${seconds} s ${worst.aheadMs > 0 ? "ahead of" : "behind"} our clock`;
    const isOurs = offsets.length > 1 && apart.length * 2 > offsets.length;
    return warning(
      found,
      isOurs
        ? "most differ, so it is likely our clock: synchronise it with NTP"
        : "tell that registry's operator; synchronise this machine's clock with NTP",
    );
  }
  if (offsets.length === 0)
    return { state: "skipped", found: "no registry is connected whose clock could be compared", fix: null };
  return ok(`agrees with ${offsets.length} connected registries`);
}

type Timed = (name: string, look: () => Promise<Outcome>) => Promise<Check>;

async function checkPeers(parts: DiagnosisParts, timed: Timed): Promise<Check[]> {
  const [status, sync] = await Promise.all([parts.status(), parts.syncStatus()]).catch(() => [undefined, []] as const);
  const contacts = (status?.contacts ?? []).map((contact) =>
    timed(`contact ${contact.address}`, () => Promise.resolve(checkContact(contact))),
  );
  const problems = new Map((status?.contacts ?? []).map(({ did, problem }) => [did, problem]));
  const errors = new Map(sync.map(({ did, lastError }) => [did, lastError]));
  const peers = (status?.peers ?? []).filter(({ configured, followed }) => configured || followed);
  return Promise.all([
    ...contacts,
    ...peers.map((peer) =>
      timed(`peer ${peer.did}`, () => Promise.resolve(checkPeer(peer, errors.get(peer.did) ?? null, problems.get(peer.did)))),
    ),
  ]);
}

function checkContact({ did, problem, state, lastAttempt }: PeerContact): Outcome {
  if (problem !== null) return warning(`${problem.reason} (tried at ${lastAttempt ?? "the start"})`, problem.fix);
  if (state === "waiting") return { state: "skipped", found: "not tried yet", fix: null };
  return ok(`leads to ${did ?? "a registry"}`);
}

function checkPeer(peer: PeerStatus, lastError: string | null, problem: PeerContact["problem"] = null): Outcome {
  const name = peer.name === "" ? "(not met)" : peer.name;
  const rtt = peer.rttMs === null ? "" : `, round trip ${peer.rttMs.toFixed(1)} ms`;
  const synced = peer.lastSync === null ? "never synced" : `last sync ${peer.lastSync}`;
  const reached = peer.transport ?? (peer.connected ? "libp2p" : null);
  if (reached === null) {
    const fix = problem?.fix ?? "check that it runs and that its addresses can be reached from here";
    const why = problem === null ? "" : `: ${problem.reason}`;
    return warning(`${name} is not reached (${peer.state}), ${synced}${why}`, `${fix}; \`registry peer remove\` forgets it`);
  }
  const found = `${name} over ${reached}${rtt}, ${peer.followed ? synced : "not followed"}`;
  if (lastError !== null)
    return warning(`${found}; the newest sync failed: ${lastError}`, "try `registry sync now`; its log says more");
  return ok(found);
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function ok(found: string): Outcome {
  return { state: "ok", found, fix: null };
}

function warning(found: string, fix: string): Outcome {
  return { state: "warning", found, fix };
}

function failed(found: string, fix: string): Outcome {
  return { state: "failed", found, fix };
}
