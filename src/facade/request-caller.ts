import { decodeIntroduction } from "../../protocols/http/introduction-documents.ts";
import {
  checkAudience,
  checkAuthority,
  checkDigest,
  checkSignature,
  checkSkew,
  readSignedRequest,
  type SignedRequest,
} from "../../protocols/http/signed-request.ts";
import { openDescriptor } from "../../protocols/descriptor/codec.ts";
import type { AdmittedRegistry, Caller, CallerSvid } from "./caller.ts";
import type { Connection } from "./connections.ts";
import type { Access } from "./route.ts";
import type { Standing } from "./shedding.ts";
import { bearerToken, isSameToken } from "./operator-token.ts";
import { ProblemError } from "./problem.ts";
import type { CountedBudget } from "./rate-fields.ts";
import { throttledProblem } from "./refusals.ts";
import type { Services } from "./services.ts";

/** What admission reads of a request. */
export interface RequestHead {
  readonly method: string;
  readonly authority: string;
  /** Path with query, as sent. */
  readonly target: string;
  /** Names and values in turn, as sent. */
  readonly rawHeaders: readonly string[];
  readonly authorization: string | undefined;
}

/**
 * Who makes one request, and the admission of registries, whose checks come in this order: syntax with audience and authority,
 * skew, TLS identity, isolation, rate limit, digest, signature, nonce. What costs us comes late, and nothing of a sender's budget
 * is taken before its own key has shown that it is there.
 */
export class RequestCaller implements Caller {
  readonly #services: Services;
  readonly #connection: Connection;
  readonly #head: RequestHead;
  #body: Uint8Array = new Uint8Array(0);
  #signedBy: Promise<string | undefined> | undefined;
  #admitted: SignedRequest | undefined;
  #hasSigned = false;
  #standing: Standing = "stranger";
  #isKnown = false;
  #isWanted = false;
  #budget: CountedBudget | undefined;

  constructor(services: Services, connection: Connection, head: RequestHead) {
    this.#services = services;
    this.#connection = connection;
    this.#head = head;
  }

  /** As of `Connection`. */
  onEnding(listener: () => void): () => void {
    return this.#connection.onEnding(listener);
  }

  /** In whose turn the request is served while there is too much to do. Nothing of it is checked for this but a token. */
  async takeStanding(access: Access | undefined): Promise<Standing> {
    return (this.#standing = await this.#standingFor(access));
  }

  async #standingFor(access: Access | undefined): Promise<Standing> {
    const token = bearerToken(this.#head.authorization);
    if (token !== undefined && isSameToken(token, this.#services.context.operatorToken)) return "wanted";
    if ((await this.#connection.recognise()) !== undefined) return "wanted";
    return access === undefined || access === "public" ? "reader" : "stranger";
  }

  /** Whether the operator named it, or it is the operator; known once it has its standing. */
  get isWanted(): boolean {
    return this.#standing === "wanted";
  }

  get address(): string {
    return this.#connection.address;
  }

  /** What limits by address count by. */
  get addressKey(): string {
    return this.#connection.keys.single;
  }

  /**
   * The request that the answer is to be signed for: its sender has shown its certificate, and signed what came. Of others anything
   * may have been changed, and the answer would pass for that to the request as it was signed.
   */
  get answerTo(): SignedRequest | undefined {
    return this.#hasSigned ? this.#admitted : undefined;
  }

  get registry(): AdmittedRegistry | undefined {
    return this.#admitted && { did: this.#admitted.id, isWanted: this.#isWanted };
  }

  /** The sender's budget that this request was counted on last. */
  get budget(): CountedBudget | undefined {
    return this.#budget;
  }

  setBody(body: Uint8Array): void {
    this.#body = body;
  }

  /** The steps of a known registry's admission that come before its request is counted. @throws ProblemError, ProtocolError */
  async admitRegistry(): Promise<void> {
    const request = this.#requireSigned();
    const { node } = this.#services.context;
    const known = await node.knownRegistry(request.id);
    if (known?.bundle === undefined) {
      // Whether its certificate holds cannot be said; that there is none can.
      this.#requireCertificate();
      throw new ProblemError(
        403,
        "unknown_registry",
        `${request.id} is not known here; announce it with POST /federation/public`,
      );
    }
    this.#isKnown = true;
    this.#isWanted = known.isWanted;
    this.#admitIdentity(request, known.bundle, known.isolated);
  }

  /** The same of a registry that introduces itself: its bundle is in the descriptor that its body carries. @throws ProblemError, ProtocolError */
  async admitStranger(): Promise<void> {
    const request = this.#requireSigned();
    const { node, clock } = this.#services.context;
    const descriptor = openDescriptor(decodeIntroduction(this.#body).descriptor, clock.now());
    if (descriptor.did !== request.id) {
      throw new ProblemError(403, "wrong_identity", `${request.id} sent the descriptor of ${descriptor.did}; send your own`);
    }
    if (descriptor.bundle === undefined) {
      throw new ProblemError(
        400,
        "bundle_missing",
        "the descriptor has no trust bundle; without one no certificate can be checked",
      );
    }
    const known = await node.knownRegistry(request.id);
    this.#isKnown = known !== undefined;
    this.#isWanted = known?.isWanted === true;
    this.#admitIdentity(request, descriptor.bundle, known?.isolated === true);
  }

  /** Takes this request from one of the budgets of the registry that was admitted. @throws ProblemError `too_many_requests` */
  count(kind: CountedBudget["kind"]): void {
    const { id } = this.#admitted as SignedRequest;
    this.#budget = { kind, ...this.#services.context.node.takeRequest(id, kind) };
    const { retryAfterMs } = this.#budget;
    if (retryAfterMs > 0) throw throttledProblem(`your registry's ${kind}s are used up for now`, retryAfterMs);
  }

  countAsRequest(): void {
    if (this.#budget?.kind === "continuation") this.count("request");
  }

  /** A limit by address, before anything of a stranger is looked at. @throws ProblemError `too_many_requests` */
  limitStranger(): void {
    const { rates, context } = this.#services;
    const { single, group } = this.#connection.keys;
    const nowMs = context.clock.monotonic();
    const waitMs = Math.max(rates.strangers.waitMs(single, nowMs), rates.strangerGroups.waitMs(group, nowMs));
    if (waitMs > 0) throw throttledProblem("too many announcements from your network; announce less often", waitMs);
    rates.strangers.take(single, nowMs);
    rates.strangerGroups.take(group, nowMs);
  }

  svid(): Promise<CallerSvid | undefined> {
    return this.#svid();
  }

  async #svid(): Promise<CallerSvid | undefined> {
    const { certificate } = this.#connection;
    if (certificate === undefined) return undefined;
    const { identities, context } = this.#services;
    const did = identities.claimed(certificate);
    const bundle = did === context.identity.did ? context.credentials.bundle() : (await context.node.knownRegistry(did))?.bundle;
    if (bundle === undefined) {
      throw new ProblemError(403, "certificate_refused", `the client certificate is of ${did}, which is not known here`);
    }
    const { spiffeId, path } = identities.check(this.#connection, did, bundle);
    return { spiffeId, did, path };
  }

  signedBy(): Promise<string | undefined> {
    return (this.#signedBy ??= this.#checkSigned());
  }

  isOperator(): boolean {
    const token = bearerToken(this.#head.authorization);
    if (token === undefined) return false;
    const { rates, context } = this.#services;
    const { single } = this.#connection.keys;
    const nowMs = context.clock.monotonic();
    // First: who shares an address with somebody that guesses, as behind a proxy, must not be shut out by them.
    if (isSameToken(token, context.operatorToken)) return true;
    const waitMs = rates.failures.take(single, nowMs);
    if (waitMs > 0) throw throttledProblem("too many wrong tokens from your address; wait before you try again", waitMs);
    const headers = { "www-authenticate": 'Bearer error="invalid_token"' };
    throw new ProblemError(401, "wrong_token", "this is not the operator's token of this registry", { headers });
  }

  /** An operator by token or by a certificate of our own trust domain under `/operator/`. @throws ProblemError */
  async requireOperator(): Promise<void> {
    if (this.isOperator()) return;
    const svid = await this.svid();
    if (svid === undefined) {
      const detail = "operators only: send the operator's token or present a certificate of this trust domain under /operator/";
      throw new ProblemError(401, "operator_required", detail, { headers: { "www-authenticate": "Bearer" } });
    }
    if (svid.did === this.#services.context.identity.did && svid.path.startsWith("/operator/")) return;
    throw new ProblemError(403, "operator_required", `operators only: ${svid.spiffeId} is none of this registry`);
  }

  #admitIdentity(request: SignedRequest, bundle: string, isIsolated: boolean): void {
    const { identities } = this.#services;
    const { tlsVersion } = this.#connection;
    if (tlsVersion !== FEDERATION_TLS) {
      throw new ProblemError(403, "tls_too_old", `registries speak ${FEDERATION_TLS} here, this connection ${tlsVersion}`);
    }
    const svid = identities.check(this.#connection, request.id, bundle);
    if (!svid.path.startsWith("/registry/")) {
      throw new ProblemError(403, "wrong_identity", `${svid.spiffeId} is not a registry's own certificate`);
    }
    this.#admitted = request;
    if (isIsolated) throw new ProblemError(403, "isolated", `nothing is taken from ${request.id} here`);
  }

  #requireCertificate(): void {
    if (this.#connection.certificate !== undefined) return;
    throw new ProblemError(401, "certificate_required", "no client certificate was presented; present your X509-SVID");
  }

  #requireSigned(): SignedRequest {
    const request = this.#readSigned();
    if (request !== undefined) return request;
    throw new ProblemError(401, "signature_required", "the request is not signed; sign it with your registry's key");
  }

  /** Syntax, audience, authority and skew. */
  #readSigned(): SignedRequest | undefined {
    const request = readSignedRequest(this.#head.rawHeaders, this.#head);
    if (request === undefined) return undefined;
    const { identity, urls, clock } = this.#services.context;
    checkAudience(request, identity.did);
    checkAuthority(
      request,
      urls().map((url) => new URL(url).host),
    );
    checkSkew(request, clock.now());
    return request;
  }

  /** Digest, signature and nonce. Nobody can use up another's nonces, so the signature comes first. */
  async #checkSigned(): Promise<string | undefined> {
    const request = this.#admitted ?? this.#readSigned();
    if (request === undefined) return undefined;
    checkDigest(request, this.#body);
    checkSignature(request);
    this.#hasSigned = true;
    const { id: did, nonce, timestampMs } = request;
    const { registryNonces, otherNonces } = this.#services;
    // A stranger that got so far announces its registry: agents, whose keys cost nothing, must not leave it without room.
    const reserved = this.#isKnown ? this.#isWanted : this.#admitted !== undefined;
    const claim = { did, nonce, timestampMs, reserved };
    const [own, other] = this.#isKnown ? [registryNonces, otherNonces] : [otherNonces, registryNonces];
    // Who is known now may have been a stranger when it used this nonce, and the other way round.
    other.refuseUsed(claim);
    await own.take(claim);
    return did;
  }
}

/** Registries speak nothing older (T4). */
const FEDERATION_TLS = "TLSv1.3";
