import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { planListening, type PortError } from "../../src/cli/ports.ts";

describe("cli ports", () => {
  let server: Server;
  let address = "";
  beforeEach(async () => {
    server = createServer().listen({ host: "127.0.0.1", port: 0 });
    await once(server, "listening");
    address = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.close();
  });

  it("takes what is free as it is", async () => {
    const plan = await planListening(["/ip4/127.0.0.1/tcp/0"], false);
    assert.deepEqual(plan, { listen: ["/ip4/127.0.0.1/tcp/0"], warnings: [] });
  });

  it("uses a free port instead of a default that is taken, and says so", async () => {
    const plan = await planListening([address], true);
    assert.deepEqual(plan.listen, ["/ip4/127.0.0.1/tcp/0"]);
    assert.match(plan.warnings[0] ?? "", /default port \d+ is taken/);
  });

  it("refuses a named port that is taken, with its owner where the system tells", async () => {
    await assert.rejects(planListening([address], false), (error: PortError) => {
      assert.equal(error.code, "address_in_use");
      if (process.platform === "linux") assert.match(error.message, new RegExp(`\\(process ${process.pid}\\)`));
      return true;
    });
  });

  it("refuses an address of another machine", async () => {
    await assert.rejects(
      planListening(["/ip4/192.0.2.1/tcp/4242"], true),
      (error: PortError) => error.code === "address_not_available",
    );
  });
});
