import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer, type TLSSocket } from "node:tls";
import { certificateIssuer } from "../../src/adapters/certificates/issuer.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { tlsFiles } from "../../src/adapters/system/tls-files.ts";
import { openCredentials } from "../../src/identity/credentials.ts";
import { createRegistryIdentity, type RegistryIdentity } from "../../src/identity/registry-identity.ts";
import { SvidError } from "../../src/identity/svid-error.ts";
import { chainOfPeer, checkSvid, claimedDid, type PeerSvid } from "../../src/identity/svid.ts";
import type { Credentials } from "../../src/ports/credentials.ts";
import { memoryLog } from "../actors/virtual-time.ts";

const A = createRegistryIdentity(Buffer.alloc(32, 21), "a");
const B = createRegistryIdentity(Buffer.alloc(32, 22), "b");

describe("identity: SVIDs over TLS sockets", () => {
  let directory: string;
  let a: Credentials;
  let b: Credentials;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "registry-handshake-"));
    a = await start(A);
    b = await start(B);
  });
  after(async () => {
    a.close();
    b.close();
    await rm(directory, { recursive: true, force: true });
  });

  async function start(identity: RegistryIdentity): Promise<Credentials> {
    const random = systemRandom();
    return openCredentials({
      ...{ identity, random, clock: systemClock(), log: memoryLog(), names: () => [] },
      ...{ issuer: certificateIssuer(identity.trustDomain, random), files: tlsFiles(join(directory, identity.name)) },
    });
  }

  /** What each side sees of the other. */
  async function handshake(presented: Credentials | undefined): Promise<{ byServer: Uint8Array[]; byClient: Uint8Array[] }> {
    const { certificate: cert, key } = a.svid();
    const server = createServer({ cert, key, minVersion: "TLSv1.3", requestCert: true, rejectUnauthorized: false });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "secureConnection") as Promise<[TLSSocket]>;
    const own = presented === undefined ? {} : { cert: presented.svid().certificate, key: presented.svid().key };
    const { port } = server.address() as AddressInfo;
    const client = connect({ ...own, port, host: "127.0.0.1", rejectUnauthorized: false });
    try {
      const [[socket]] = await Promise.all([accepted, once(client, "secureConnect")]);
      return { byServer: chainOfPeer(socket.getPeerX509Certificate()), byClient: chainOfPeer(client.getPeerX509Certificate()) };
    } finally {
      client.destroy();
      server.close();
      await once(server, "close");
    }
  }

  function check(chain: Uint8Array[], { did }: RegistryIdentity, credentials: Credentials): PeerSvid {
    return checkSvid(chain, { did, bundle: credentials.bundle() }, Date.now());
  }

  it("proves each side to the other", async () => {
    const { byServer, byClient } = await handshake(b);
    assert.equal(check(byClient, A, a).spiffeId, A.spiffeId);
    assert.equal(claimedDid(byServer), B.did);
    assert.equal(check(byServer, B, b).spiffeId, B.spiffeId);
  });

  it("T1 takes nobody for another", async () => {
    const { byServer } = await handshake(b);
    const refused = (code: string) => (error: unknown) => error instanceof SvidError && error.code === code;
    assert.throws(() => check(byServer, A, a), refused("wrong_trust_domain"));
    assert.throws(() => check(byServer, B, a), refused("untrusted"));
  });

  it("T4 sees that no certificate was presented", async () => {
    const { byServer } = await handshake(undefined);
    assert.deepEqual(byServer, []);
    assert.throws(() => claimedDid(byServer), SvidError);
  });
});
