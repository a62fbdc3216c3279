import assert from "node:assert/strict";
import { facadeAddresses } from "../../src/facade/addresses.ts";

describe("facade: the addresses it answers under", () => {
  const served: [host: string, served: string[]][] = [
    ["127.0.0.1", ["https://127.0.0.1:8443", "https://localhost:8443"]],
    ["::1", ["https://[::1]:8443", "https://localhost:8443"]],
    ["localhost", ["https://127.0.0.1:8443", "https://[::1]:8443", "https://localhost:8443"]],
    ["0.0.0.0", ["https://127.0.0.1:8443", "https://localhost:8443"]],
    ["::", ["https://127.0.0.1:8443", "https://[::1]:8443", "https://localhost:8443"]],
    ["192.0.2.1", ["https://192.0.2.1:8443"]],
  ];
  for (const [host, origins] of served) {
    it(`bound to ${host}: ${origins.join(", ")}`, () => {
      const addresses = facadeAddresses({ host, port: 8443, urls: [], domain: null, interfaces: [] });
      assert.deepEqual(addresses.served.toSorted(), origins);
      const names = origins.map((url) => new URL(url).hostname.replace(/^\[|\]$/g, ""));
      assert.deepEqual(addresses.names.toSorted(), names.toSorted(), "the certificate names them all");
    });
  }
});
