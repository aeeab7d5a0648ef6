// Khronos's glTF validator over the files that are named; prints {file: [{code, severity, pointer, message}]}.
const fs = require("fs");
const validator = require("gltf-validator");

(async () => {
  const found = {};
  for (const path of process.argv.slice(2)) {
    const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(path)), { maxIssues: 1000 });
    found[path] = report.issues.messages;
  }
  console.log(JSON.stringify(found));
})();
