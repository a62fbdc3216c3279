import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { httpAddress, planListening, type ListenPlan, type ListenRequest, type PortError } from "../../src/cli/ports.ts";

describe("cli ports", () => {
  let server: Server;
  let port = 0;
  beforeEach(async () => {
    server = createServer().listen({ host: "127.0.0.1", port: 0 });
    await once(server, "listening");
    ({ port } = server.address() as AddressInfo);
  });
  afterEach(() => {
    server.close();
  });

  const plan = (request: Partial<ListenRequest>): Promise<ListenPlan> =>
    planListening({ listen: [], isListenDefault: false, http: null, isHttpDefault: false, ...request });
  const coded = (code: string, text: RegExp) => (error: PortError) => {
    assert.equal(error.code, code);
    assert.match(error.message, text);
    return true;
  };

  it("takes what is free as it is", async () => {
    const request = { listen: ["/ip4/127.0.0.1/tcp/0"], http: "127.0.0.1:0" };
    assert.deepEqual(await plan(request), { ...request, warnings: [] });
  });

  it("uses a free port instead of a default that is taken, and says so", async () => {
    const listen = await plan({ listen: [`/ip4/127.0.0.1/tcp/${port}`], isListenDefault: true });
    assert.deepEqual(listen.listen, ["/ip4/127.0.0.1/tcp/0"]);
    assert.match(listen.warnings[0] ?? "", /default port \d+ is taken.*name one with --listen/);
    const http = await plan({ http: `127.0.0.1:${port}`, isHttpDefault: true });
    assert.equal(http.http, "127.0.0.1:0");
    assert.match(http.warnings[0] ?? "", /default port \d+ is taken.*name one with --http/);
  });

  it("refuses a named port that is taken, with its owner where the system tells", async () => {
    const owner = process.platform === "linux" ? new RegExp(`taken by .*\\(process ${process.pid}\\)`) : /taken/;
    await assert.rejects(plan({ listen: [`/ip4/127.0.0.1/tcp/${port}`], isHttpDefault: true }), coded("address_in_use", owner));
    await assert.rejects(plan({ http: `127.0.0.1:${port}`, isListenDefault: true }), coded("address_in_use", owner));
  });

  it("refuses an address of another machine", async () => {
    const mistake = /name an address of this machine with --listen/;
    await assert.rejects(
      plan({ listen: ["/ip4/192.0.2.1/tcp/4242"], isListenDefault: true }),
      coded("address_not_available", mistake),
    );
    await assert.rejects(plan({ http: "192.0.2.1:4242" }), coded("address_not_available", /with --http/));
  });

  it("refuses one port for two things, before either is bound", async () => {
    server.close();
    await once(server, "close");
    const listen = [`/ip4/127.0.0.1/tcp/${port}`];
    await assert.rejects(plan({ listen, http: `0.0.0.0:${port}` }), coded("address_in_use", /--listen .* takes that port/));
    const fallback = await plan({ listen, http: `0.0.0.0:${port}`, isHttpDefault: true });
    assert.deepEqual([fallback.listen, fallback.http], [listen, "0.0.0.0:0"]);
  });

  it("reads hosts of every kind", () => {
    assert.deepEqual(
      ["127.0.0.1:1", "[::1]:2", "registry.example:3"].map((text) => [httpAddress(text).host, httpAddress(text).port]),
      [
        ["127.0.0.1", 1],
        ["::1", 2],
        ["registry.example", 3],
      ],
    );
  });
});
