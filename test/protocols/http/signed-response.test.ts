import { rawHeadersOf } from "../../../protocols/http/header-fields.ts";
import { signResponse, verifyResponse } from "../../../protocols/http/signed-response.ts";
import { ACME, OTHER, refused, refusedAny } from "../checkpoint/support.ts";

describe("signed answers", () => {
  const requestSignature = ACME.sign(Buffer.from("a request"));
  const answer = { status: 200, body: Buffer.from('{"ok":true}'), requestSignature };
  const headers = signResponse(answer, OTHER.did, OTHER.sign);

  it("T15 refuses every single changed character of a header", () => {
    for (const [name, value] of Object.entries(headers)) {
      for (let i = 0; i < value.length * 8; i++) {
        const at = i >> 3;
        const changed = String.fromCharCode(value.charCodeAt(at) ^ (1 << (i & 7)));
        const other = value.slice(0, at) + changed + value.slice(at + 1);
        refusedAny(() => verifyResponse(answer, rawHeadersOf({ ...headers, [name]: other }), OTHER.did), `${name}: ${other}`);
      }
    }
  });

  it("T15 refuses another status, body or request", () => {
    const verifies = (changed: Partial<typeof answer>) => () =>
      verifyResponse({ ...answer, ...changed }, rawHeadersOf(headers), OTHER.did);
    verifies({})();
    for (let status = 201; status < 600; status++) refused("bad_signature", verifies({ status }));
    for (let i = 0; i < answer.body.length; i++) {
      const body = Buffer.from(answer.body);
      body.writeUInt8(body.readUInt8(i) ^ 1, i);
      refused("bad_digest", verifies({ body }));
    }
    for (let i = 0; i < requestSignature.length; i++) {
      const other = Buffer.from(requestSignature);
      other.writeUInt8(other.readUInt8(i) ^ 1, i);
      refused("bad_signature", verifies({ requestSignature: other }));
    }
  });

  it("does not sign a status that is not final", () => {
    for (const status of [100, 199, 600, 200.5, Number.NaN]) {
      refused("bad_header", () => signResponse({ ...answer, status }, OTHER.did, OTHER.sign));
    }
  });
});
