import assert from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import type { NameLookup } from "../../../src/adapters/names/names.ts";
import { isPublicAddress } from "../../../src/adapters/names/public-address.ts";
import { checkUrl, guardedLookup, type Guard } from "../../../src/adapters/web/guard.ts";
import { WebError } from "../../../src/ports/web.ts";

const REFUSED = [
  ...["0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1"],
  ...["172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255"],
  ...["198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"],
  ...["::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::10.0.0.1"],
  ...["64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::"],
  ...["2002:c0a8:101::5", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "febf::1", "fec0::1", "ff02::1"],
  ...["", "localhost", "1.2.3", "example.org", "[::1]"],
];
const TAKEN = [
  ...["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1"],
  ...["169.253.1.1", "172.15.255.255", "172.32.0.0", "192.167.1.1", "192.169.1.1", "198.17.0.1", "198.20.0.0", "223.255.255.255"],
  ...["2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "2002:808:808::1", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"],
];

function resolver(answers: readonly string[]): NameLookup {
  const found = answers.map((address): LookupAddress => ({ address, family: address.includes(":") ? 6 : 4 }));
  return () => Promise.resolve(found);
}

function resolved(guard: Guard): Promise<string[]> {
  return new Promise((resolve, reject) => {
    guardedLookup(guard, new AbortController().signal)("some.example", { all: true }, (error, found) => {
      if (error) reject(error);
      else resolve((found as LookupAddress[]).map(({ address }) => address));
    });
  });
}

describe("the guard of requests to given URLs", () => {
  it("T52 tells public addresses from all others, also those inside of others", () => {
    for (const address of REFUSED) assert.equal(isPublicAddress(address), false, address);
    for (const address of TAKEN) assert.equal(isPublicAddress(address), true, address);
  });

  it("T52 takes https URLs without a user, and no literal address that is not public, however it is spelt", () => {
    const guard = { allowPrivate: false };
    const bad = [
      "http://example.org/",
      "https://me@example.org/",
      "https://a:b@example.org/",
      "file:///etc/passwd",
      "example.org",
    ];
    const spelt = [
      "https://127.0.0.1/",
      "https://2130706433/",
      "https://0x7f.1/",
      "https://[::1]:8443/",
      "https://[::ffff:7f00:1]/",
    ];
    for (const url of [...bad, ...spelt, `https://example.org/${"a".repeat(3_000)}`]) {
      assert.throws(() => checkUrl(url, guard), { code: "forbidden_address" }, url);
    }
    assert.equal(checkUrl("https://example.org:8443/x?y#z", guard).href, "https://example.org:8443/x?y");
    assert.equal(checkUrl("https://8.8.8.8/", guard).hostname, "8.8.8.8");
    for (const url of spelt) assert.ok(checkUrl(url, { allowPrivate: true }));
    assert.throws(() => checkUrl("http://example.org/", { allowPrivate: true }), WebError);
  });

  it("T52 hands on only the addresses that it checked", async () => {
    const both = resolver(["10.0.0.1", "8.8.8.8", "fd00::1", "2606:4700::1111"]);
    assert.deepEqual(await resolved({ allowPrivate: false, lookup: both }), ["8.8.8.8", "2606:4700::1111"]);
    assert.equal((await resolved({ allowPrivate: true, lookup: both })).length, 4);
    const inside = resolver(["169.254.169.254", "::1"]);
    await assert.rejects(resolved({ allowPrivate: false, lookup: inside }), (error: WebError) => {
      assert.equal(error.code, "forbidden_address");
      assert.match(error.message, /some\.example leads to 169\.254\.169\.254, ::1/);
      return true;
    });
    await assert.rejects(resolved({ allowPrivate: false, lookup: resolver([]) }), { code: "forbidden_address" });
  });
});
