// Validates Kubernetes objects (a JSON array on stdin) with the validators of the npm packages
// below the given directory. A field that no validator reads is reported as unknown.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const PACKAGES = ["kubernetes-models", "@kubernetes-models/keda", "@kubernetes-models/prometheus-operator"];

async function validatorOf({ apiVersion, kind }) {
  for (const name of PACKAGES) {
    const folder = join(process.argv[2], "node_modules", name, "_schemas");
    for (const file of readdirSync(folder).filter((f) => f.endsWith(`${kind}.js`))) {
      const source = readFileSync(join(folder, file), "utf8");
      if (source.includes(`["${apiVersion}"]`) && source.includes(`["${kind}"]`)) {
        return (await import(join(folder, file))).validate;
      }
    }
  }
  return null;
}

// `seen` collects the path of every field that is read; listing the keys reads all of them.
function watched(value, path, seen) {
  if (typeof value !== "object" || value === null) return value;
  return new Proxy(value, {
    get(target, key) {
      seen.add(`${path}/${String(key)}`);
      return watched(target[key], `${path}/${String(key)}`, seen);
    },
    ownKeys(target) {
      Object.keys(target).forEach((key) => seen.add(`${path}/${key}`));
      return Reflect.ownKeys(target);
    },
  });
}

function* unread(value, path, seen) {
  if (typeof value !== "object" || value === null) return;
  for (const key of Object.keys(value)) {
    const here = `${path}/${key}`;
    if (seen.has(here)) yield* unread(value[key], here, seen);
    else yield here;
  }
}

const problems = [];
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const name = `${object.kind} ${object.metadata?.name}`;
  const validate = await validatorOf(object);
  if (!validate) {
    problems.push(`${name}: there is no ${object.kind} in ${object.apiVersion}`);
    continue;
  }
  const seen = new Set();
  if (!validate(watched(object, "", seen))) {
    problems.push(...validate.errors.map((e) => `${name}: ${e.instancePath} ${e.keyword} ${JSON.stringify(e.params)}`));
  }
  problems.push(...[...unread(object, "", seen)].map((path) => `${name}: ${path} is unknown`));
}
console.log(JSON.stringify(problems));
