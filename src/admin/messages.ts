import { z } from "zod";
import { DID_LENGTH_MAX } from "../../protocols/lib/did.ts";
import {
  CAPABILITY_LENGTH_MAX,
  HUMAN_READABLE_ID_LENGTH_MAX,
  REVISION_MAX,
  type AgentRecord,
} from "../../protocols/record/record.ts";
import {
  LIST_LIMIT_MAX,
  LIST_TEXT_LENGTH_MAX,
  MUTATIONS_MAX,
  type ListQuery,
  type Mutation,
  type MutationResult,
  type PeerContact,
  type PeerStatus,
  type SyncStatus,
  type UnavailableAgent,
} from "../api.ts";
import type { Svid } from "../ports/credentials.ts";
import { AdminError } from "./errors.ts";

/** What crosses the admin socket. The envelope is checked here, the agents in it by the node, as on every way in. */
export interface AdminOwner {
  readonly pid: number;
  readonly name: string;
  readonly did: string;
}

/** Answer of `GET /admin/peers`. */
export interface PeersAnswer {
  readonly peers: readonly PeerStatus[];
  readonly contacts: readonly PeerContact[];
}

/** Answer of `GET /admin/certificates`: what is served now; the key stays in the node. */
export interface CertificatesAnswer {
  readonly svid: Omit<Svid, "key">;
  /** SPIFFE bundle document (protocols/bundle), with authorities to come. */
  readonly bundle: string;
}

/** Body of `POST /admin/certificates`, answered with an `Svid`. */
export interface CertificateOrder {
  /** Path of the SPIFFE ID in this registry's trust domain, such as `/operator/alice`. */
  readonly path: string;
  readonly lifetimeSeconds: number;
}

/** A line of `POST /admin/sync`: where every session stands, until the line that ends it. */
export type SyncLine =
  | { readonly type: "progress"; readonly sync: readonly SyncStatus[] }
  | { readonly type: "result"; readonly sync: readonly SyncStatus[] };

/** A line of `POST /admin/mutations`, in the order of the batches. */
export interface MutationsLine {
  readonly type: "results";
  readonly results: readonly MutationResult[];
}

/** A line of `GET /admin/export`: a record, or one that is missing from the export. */
export type ExportLine = AgentRecord | UnavailableLine;

export type UnavailableLine = { readonly type: "unavailable" } & UnavailableAgent;

/** Ends a stream that cannot go on. */
export interface ErrorLine {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
}

const ADDRESS_LENGTH_MAX = 2_048;
/** A SPIFFE ID as a whole (SPIFFE-ID §2.4). */
const SPIFFE_PATH_LENGTH_MAX = 2_048;
/** Authorities end after 7 days, and their leaves with them: what is asked beyond that is cut. */
const CERTIFICATE_LIFETIME_SECONDS_MAX = 604_800;
const CURSOR_LENGTH_MAX = 1_024;

const name = z.string().min(1).max(Math.max(DID_LENGTH_MAX, HUMAN_READABLE_ID_LENGTH_MAX));
const did = z.string().min(1).max(DID_LENGTH_MAX);
const ifRevision = z.int().min(0).max(REVISION_MAX).optional();
/** As it came: a record of zod's would lack `__proto__`, of which the catalogue then knew nothing. */
const agent = z
  .custom((value) => typeof value === "object" && value !== null && !Array.isArray(value), "expected an object")
  .meta({ type: "object", description: "the agent's own members, all of them; a DID is minted without did" });
const mutation = z.discriminatedUnion("op", [
  z.strictObject({
    op: z.literal("put"),
    agent,
    mode: z.enum(["create", "update", "upsert"]).optional(),
    ifRevision,
  }),
  z.strictObject({ op: z.literal("delete"), did, ifRevision }),
]);
const mutations = z.strictObject({ mutations: z.array(mutation).min(1).max(MUTATIONS_MAX) });
/** A line of the body of `POST /admin/mutations`. */
export const mutationsLine: z.ZodType = mutations.meta({ title: "Mutations" });
const listQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(LIST_LIMIT_MAX),
  cursor: z.string().min(1).max(CURSOR_LENGTH_MAX).optional(),
  registry: did.optional(),
  capability: z.string().min(1).max(CAPABILITY_LENGTH_MAX).optional(),
  text: z.string().min(1).max(LIST_TEXT_LENGTH_MAX).optional(),
  minReputation: z.coerce.number().min(0).max(1).optional(),
});

export function checkMutations(value: unknown): readonly Mutation[] {
  return check(mutations, value).mutations as unknown as readonly Mutation[];
}

export function checkListQuery(value: unknown): ListQuery {
  return check(listQuery, value) as ListQuery;
}

export function checkName(value: unknown): string {
  return check(z.strictObject({ id: name }), value).id;
}

export function checkAddress(value: unknown): string {
  return check(z.strictObject({ address: z.string().min(1).max(ADDRESS_LENGTH_MAX) }), value).address;
}

export function checkSyncRequest(value: unknown): string | undefined {
  return check(z.strictObject({ did: did.optional() }), value).did;
}

export function checkCertificateOrder(value: unknown): CertificateOrder {
  const path = z.string().min(2).max(SPIFFE_PATH_LENGTH_MAX);
  const lifetimeSeconds = z.int().min(1).max(CERTIFICATE_LIFETIME_SECONDS_MAX);
  return check(z.strictObject({ path, lifetimeSeconds }), value);
}

export function checkNothing(value: unknown): void {
  check(z.strictObject({}), value);
}

/** @throws AdminError `bad_request` naming every field that does not fit */
function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues
    .slice(0, ISSUES_SHOWN_MAX)
    .map(({ path, message }) => `${path.join(".") || "(request)"}: ${message}`);
  throw new AdminError("bad_request", problems.join("; "));
}

const ISSUES_SHOWN_MAX = 10;
