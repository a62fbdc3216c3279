import { spawnSync } from "node:child_process";
import { randomBytes, X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { encodeBundle } from "../../../protocols/bundle/bundle.ts";
import { signDescriptor } from "../../../protocols/descriptor/codec.ts";
import { encodeIntroduction } from "../../../protocols/http/introduction-documents.ts";
import { didKey, peerIdOf, trustDomainOf } from "../../../protocols/lib/did.ts";
import type { Received, Tools } from "./tools.ts";

const DAY_MS = 86_400_000;
/** Behind the head of an Ed25519 key in SPKI (RFC 8410). */
const SPKI_HEAD_BYTES = 12;

/** One signed request, as its parts travel. */
export interface Signed {
  readonly body: string;
  readonly arguments: readonly string[];
  readonly signature: string;
}

/**
 * A registry that is nothing but files: keys, certificates and signatures are openssl's, requests curl's. Follows
 * protocols/http/signing.md to the letter.
 */
export class OpensslRegistry {
  readonly did: string;
  readonly spiffeId: string;
  readonly #tools: Tools;
  readonly #name: string;
  readonly #publicKey: Uint8Array;

  private constructor(tools: Tools, name: string, publicKey: Uint8Array) {
    this.#tools = tools;
    this.#name = name;
    this.#publicKey = publicKey;
    this.did = didKey(publicKey);
    this.spiffeId = `spiffe://${trustDomainOf(publicKey)}/registry/${name}`;
  }

  /** Makes all of its files in the directory of `tools`. */
  static async create(tools: Tools, name: string): Promise<OpensslRegistry> {
    const key = tools.path(`${name}.key`);
    await tools.openssl(["genpkey", "-algorithm", "ed25519", "-out", key]);
    const spki = tools.path(`${name}.spki`);
    await tools.openssl(["pkey", "-in", key, "-pubout", "-outform", "DER", "-out", spki]);
    const registry = new OpensslRegistry(tools, name, readFileSync(spki).subarray(SPKI_HEAD_BYTES));
    await registry.#makeCertificates();
    return registry;
  }

  /** What it announces of itself. */
  introduction(): Uint8Array {
    const authority = new X509Certificate(readFileSync(this.#path("authority.pem")));
    const nowMs = Date.now();
    const descriptor = signDescriptor(
      {
        ...{ did: this.did, name: this.#name, peerId: peerIdOf(this.#publicKey), spiffeId: this.spiffeId, multiaddrs: [] },
        ...{ sequence: 1, issuedAt: nowMs, expiresAt: nowMs + DAY_MS, catalog: { epoch: 0 }, facade: { urls: [] } },
        bundle: encodeBundle({ authorities: [authority.raw], sequence: 1, refreshHintSeconds: 60 }),
      },
      (bytes) => Buffer.from(this.#sign(bytes), "base64"),
    );
    return encodeIntroduction({ descriptor });
  }

  /** @param url of the other's web face, @param target path with query */
  sign(method: string, url: string, target: string, audience: string, body: string): Signed {
    const digest = `sha-256=:${openssl(["dgst", "-sha256", "-binary"], body).toString("base64")}:`;
    const [timestamp, nonce] = [String(Date.now()), randomBytes(16).toString("base64url")];
    const lines = ["X-REGISTRY-SIG-V1", method, new URL(url).host, target, digest, this.did, audience, timestamp, nonce];
    const signature = this.#sign(lines.map((line) => `${line}\n`).join(""));
    const headers = {
      "Content-Type": "application/json",
      "Content-Digest": digest,
      "X-Registry-ID": this.did,
      "X-Registry-Audience": audience,
      "X-Registry-Timestamp": timestamp,
      "X-Registry-Nonce": nonce,
      "X-Registry-Signature": signature,
    };
    return {
      ...{ body, signature },
      arguments: [
        ...["--request", method, "--cert", this.#path("svid.pem"), "--key", this.#path("svid.key")],
        ...(body === "" ? [] : ["--data-binary", body]),
        ...Object.entries(headers).flatMap(([name, value]) => ["--header", `${name}: ${value}`]),
        url + target,
      ],
    };
  }

  /** Whether the answer is what `audience` signed for this request (signing.md, "Answers"). */
  isAnswer({ status, headers, body }: Received, { signature }: Signed, publicKeyFile: string): boolean {
    const digest = `sha-256=:${openssl(["dgst", "-sha256", "-binary"], body).toString("base64")}:`;
    if (headers.get("content-digest") !== digest) return false;
    const lines = ["X-REGISTRY-RES-V1", status, digest, headers.get("x-registry-id"), signature];
    const [signed, proof] = [this.#path("signed"), this.#path("signature")];
    writeFileSync(signed, lines.map((line) => `${line}\n`).join(""));
    writeFileSync(proof, Buffer.from(headers.get("x-registry-signature") ?? "", "base64"));
    const argv = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", publicKeyFile, "-in", signed, "-sigfile", proof];
    return spawnSync("openssl", argv).status === 0;
  }

  #sign(text: Uint8Array | string): string {
    const file = this.#path("signed");
    writeFileSync(file, text);
    return openssl(["pkeyutl", "-sign", "-rawin", "-inkey", this.#path("key"), "-in", file]).toString("base64");
  }

  async #makeCertificates(): Promise<void> {
    const [trustDomain] = this.spiffeId.split("/registry/");
    const authority = [
      `subjectAltName=URI:${trustDomain}`,
      "basicConstraints=critical,CA:TRUE",
      "keyUsage=critical,keyCertSign,cRLSign",
    ];
    const leaf = [
      ...[`subjectAltName=URI:${this.spiffeId}`, "basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"],
      "extendedKeyUsage=serverAuth,clientAuth",
    ];
    await this.#issue("authority", authority, ["-signkey", this.#path("authority.key")]);
    await this.#issue("svid", leaf, ["-CA", this.#path("authority.pem"), "-CAkey", this.#path("authority.key")]);
  }

  async #issue(what: string, extensions: readonly string[], by: readonly string[]): Promise<void> {
    const [key, request, certificate] = [`${what}.key`, `${what}.csr`, `${what}.pem`].map((name) => this.#path(name)) as [
      string,
      string,
      string,
    ];
    const file = this.#path(`${what}.ext`);
    writeFileSync(file, extensions.join("\n"));
    const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key];
    await this.#tools.openssl(["req", ...newKey, "-subj", `/CN=${this.#name} ${what}`, "-out", request]);
    const serial = `0x${randomBytes(16).toString("hex")}`;
    const issued = ["-set_serial", serial, "-days", "1", "-extfile", file, "-out", certificate];
    await this.#tools.openssl(["x509", "-req", "-in", request, ...by, ...issued]);
  }

  #path(suffix: string): string {
    return this.#tools.path(`${this.#name}.${suffix}`);
  }
}

function openssl(argv: readonly string[], input?: Uint8Array | string): Buffer {
  const { status, stdout, stderr } = spawnSync("openssl", argv, input === undefined ? {} : { input });
  if (status !== 0) throw new Error(`openssl ${argv.join(" ")} ended with ${status}: ${stderr.toString()}`);
  return stdout;
}
