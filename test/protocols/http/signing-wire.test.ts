import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import {
  connect,
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import { promisify } from "node:util";
import { ProtocolError } from "../../../protocols/lib/errors.ts";
import { rawHeadersOf } from "../../../protocols/http/header-fields.ts";
import { signRequestAsMessage } from "../../../protocols/http/message-signature.ts";
import { signRequest } from "../../../protocols/http/signed-request.ts";
import { signResponse, verifyResponse } from "../../../protocols/http/signed-response.ts";
import { ACME, OTHER } from "../checkpoint/support.ts";
import { readInOrder } from "./signing-support.ts";

const run = promisify(execFile);
const TARGET = "/federation/sync/catalog?x=%2F";

describe("signed requests over real connections", () => {
  let folder = "";
  let certificate = "";
  let server: Http2SecureServer;
  let authority = "";
  const versions: string[] = [];

  /** Echoes the body, signed, or says which check failed. */
  async function serve(request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const line = { method: request.method, authority: request.authority ?? request.headers.host ?? "", target: request.url };
    try {
      const receiver = { nowMs: Date.now(), ourDid: OTHER.did, authorities: [authority] };
      const { signature } = readInOrder(request.rawHeaders, line, body, receiver);
      versions.push(request.httpVersion);
      response.writeHead(200, signResponse({ status: 200, body, requestSignature: signature }, OTHER.did, OTHER.sign));
      response.end(body);
    } catch (error) {
      response.writeHead(400).end(error instanceof ProtocolError ? error.code : String(error));
    }
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "signing-"));
    const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
    const output = ["-nodes", "-keyout", join(folder, "svid.key"), "-out", join(folder, "svid.pem")];
    await run("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", ...names, ...output]);
    certificate = await readFile(join(folder, "svid.pem"), "utf8");
    await writeFile(join(folder, "authority.pem"), certificate);
    const seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const der = Buffer.from(`302e020100300506032b657004220420${seed}`, "hex");
    const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    await writeFile(join(folder, "registry.key"), key.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    const tls = { cert: certificate, key: await readFile(join(folder, "svid.key")), ca: certificate };
    server = createSecureServer(
      { ...tls, allowHTTP1: true, requestCert: true },
      (request, response) => void serve(request, response),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    authority = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  after(async () => {
    server.close();
    await rm(folder, { recursive: true });
  });

  function example(write: typeof signRequest, body: string): Record<string, string> {
    const nonce = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
    const names = { id: ACME.did, audience: OTHER.did, timestampMs: Date.now(), nonce };
    return write({ method: "POST", authority, target: TARGET, body: Buffer.from(body), ...names }, ACME.sign);
  }

  async function client(): Promise<{ cert: string; key: string; ca: string }> {
    return { cert: certificate, key: await readFile(join(folder, "svid.key"), "utf8"), ca: certificate };
  }

  async function overHttp2(headers: Record<string, string | string[]>, body: string): Promise<Answer> {
    const session = connect(`https://${authority}`, await client());
    try {
      const stream = session.request({ ":method": "POST", ":path": TARGET, ...headers });
      const answered = once(stream, "response");
      stream.end(body);
      const [answer, , raw] = (await answered) as [Record<string, string>, number, string[]];
      return { status: Number(answer[":status"]), rawHeaders: raw, body: await text(stream) };
    } finally {
      session.close();
    }
  }

  async function overHttp1(headers: Record<string, string | string[]>, body: string): Promise<Answer> {
    const options = {
      ...(await client()),
      method: "POST",
      path: TARGET,
      agent: false,
      headers: ["Host", authority, ...rawHeadersOf(headers)],
    };
    const sent = httpsRequest(`https://${authority}`, options);
    sent.end(body);
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    return { status: answer.statusCode ?? 0, rawHeaders: answer.rawHeaders, body: await text(answer) };
  }

  for (const [version, ask] of [
    ["HTTP/2", overHttp2],
    ["HTTP/1.1", overHttp1],
  ] as const) {
    it(`are taken, and their answers verify, over ${version}`, async () => {
      for (const write of [signRequest, signRequestAsMessage]) {
        const headers = example(write, "hello");
        const { status, rawHeaders, body } = await ask(headers, "hello");
        assert.equal(status, 200, body);
        const signature = (headers["x-registry-signature"] ?? headers["signature"]?.slice("fed=:".length, -1)) as string;
        const requestSignature = Buffer.from(signature, "base64");
        verifyResponse({ status, body: Buffer.from(body), requestSignature }, rawHeaders, OTHER.did);
      }
    });

    it(`T17 are refused with a header twice, over ${version}`, async () => {
      const headers = example(signRequest, "hello");
      for (const [name, value] of Object.entries(headers)) {
        const { status, body } = await ask({ ...headers, [name]: [value, value] }, "hello");
        assert.deepEqual([status, body], [400, "bad_header"], name);
      }
    });

    it(`T16 are refused with another body, over ${version}`, async () => {
      const { status, body } = await ask(example(signRequest, "hello"), "hallo");
      assert.deepEqual([status, body], [400, "bad_digest"]);
    });
  }

  it("T17 are refused with a folded header", async () => {
    const { "x-registry-nonce": nonce = "", ...headers } = example(signRequest, "");
    const socket = tlsConnect({ ...(await client()), port: Number(authority.split(":")[1]), host: "127.0.0.1" });
    const lines = Object.entries({ Host: authority, ...headers, Connection: "close", "Content-Length": "0" });
    socket.write(`POST ${TARGET} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}`);
    socket.end(`X-Registry-Nonce: ${nonce.slice(0, 8)}\r\n ${nonce.slice(8)}\r\n\r\n`);
    assert.match(await text(socket), /^HTTP\/1\.1 400 /);
  });

  it("are made by openssl and curl with the lines of signing.md", async () => {
    const page = await readFile(new URL("../../../protocols/http/signing.md", import.meta.url), "utf8");
    const [settings = "", lines = ""] = [...page.matchAll(/```sh\n(.*?)```/gs)].map(([, block]) => block);
    assert.match(settings, /URL=.*\n/);
    const script = `set -eu\n${settings}URL=https://${authority}\nTARGET='${TARGET}'\n${lines}`;
    const before = versions.length;
    const { stdout } = await run("sh", ["-c", script], { cwd: folder });
    assert.equal(stdout, /^BODY='(.*)'$/m.exec(settings)?.[1]);
    assert.equal(versions.length, before + 1);
    const signedForGet = script.replace('"$METHOD" "${URL', 'GET "${URL');
    assert.equal((await run("sh", ["-c", signedForGet], { cwd: folder })).stdout, "bad_signature");
  });
});

interface Answer {
  readonly status: number;
  readonly rawHeaders: string[];
  readonly body: string;
}

async function text(stream: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
