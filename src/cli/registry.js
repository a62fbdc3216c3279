#!/usr/bin/env -S node --
// Two dashes: without them Node takes --env-file for its own, wherever it stands, and ends before it comes here.
// Plain JavaScript in old syntax, and nothing imported before the version is known: an old Node shall say what it lacks
// instead of failing on a word that it does not know.
var WANTED = [22, 19];
var version = process.version.slice(1).split(".").map(Number);
var isOld = version[0] < WANTED[0] || (version[0] === WANTED[0] && version[1] < WANTED[1]);

if (isOld) {
  process.stderr.write(
    "registry needs Node " +
      WANTED.join(".") +
      " or newer; this is " +
      process.version +
      ". Update Node (https://nodejs.org) and try again.\n",
  );
  process.exitCode = 1;
} else {
  import("../../dist/src/cli/main.js").catch(function (error) {
    var isUnbuilt = error.code === "ERR_MODULE_NOT_FOUND" && String(error.message).indexOf("/dist/src/cli/main.js'") !== -1;
    process.stderr.write(
      isUnbuilt ? "registry is not built yet: run `npm run build` once in this checkout.\n" : String(error.stack) + "\n",
    );
    process.exitCode = 1;
  });
}
