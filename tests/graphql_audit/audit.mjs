// Prints the results of all audits as JSON: `node audit.mjs URL`, with the key in AUDIT_KEY.
import { serverAudits } from 'graphql-http';

const url = process.argv[2];
const authorization = process.env.AUDIT_KEY;
const withKey = (to, options = {}) =>
  fetch(to, { ...options, headers: { ...options.headers, authorization } });

const results = [];
for (const audit of serverAudits({ url, fetchFn: withKey })) {
  const { id, name, status, reason = '' } = await audit.fn();
  results.push({ id, name, status, reason });
}
process.stdout.write(JSON.stringify(results));
