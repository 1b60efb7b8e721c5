// Loads all definitions of a corpus into Segment's runtime, and tells what that takes.
//
//   node load.mjs FOLDER CORPUS   where FOLDER has the node_modules of package.json beside this file
//
// prints {seconds, definitions}: processor time from reading the file on. The runtime compiles the
// schema of an action when its first event comes, so that is done here too, for actions that a preset
// uses; subscriptions and mappings it reads anew for each event.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'

// The validator warns of each schema that it takes all the same.
console.warn = () => {}

const load = createRequire(resolve(process.argv[2], 'package.json'))
const { Destination } = load('@segment/actions-core')
const { validateSchema } = load('@segment/actions-core/schema-validation')

const before = process.cpuUsage()
const corpus = Object.entries(JSON.parse(readFileSync(process.argv[3], 'utf-8')))
const destinations = corpus.map(([name, { actions, presets }]) => {
  const definitions = Object.fromEntries(
    Object.entries(actions).map(([slug, { fields }]) => [
      slug,
      { title: slug, description: '', fields: fields ?? {}, perform() {} }
    ])
  )
  const destination = new Destination({ name, mode: 'cloud', actions: definitions })
  const used = new Set(presets.filter((one) => one.subscribe).map((one) => one.partnerAction))
  for (const [slug, { schema }] of Object.entries(destination.actions)) {
    if (!schema || !used.has(slug)) continue
    try {
      validateSchema({}, schema, { schemaKey: `${name}:${slug}`, throwIfInvalid: false })
    } catch {
      // A few of the real definitions have schemas that it refuses; then so it does for every event.
    }
  }
  return destination
})
const used = process.cpuUsage(before)
console.log(
  JSON.stringify({
    seconds: (used.user + used.system) / 1e6,
    definitions: destinations.length
  })
)
