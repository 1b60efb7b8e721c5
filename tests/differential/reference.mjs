// Segment's reference runtime as one process: requests in, answers out, a line of JSON each.
//
//   node reference.mjs FOLDER      where FOLDER has the node_modules of benchmarks/reference
//
// A request is {id, kind, ...} with the inputs of a conformance vector:
//   mapping: mapping, event                     answers {output} or {error}
//   fql:     fql, event                         answers {match} or {invalid}
//   action:  fields, subscribe, mapping, event  answers {payload}, {skipped} or {error}
// Output and payload are written so that nothing is lost: see encode.

import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

// The validator warns of each schema that it takes all the same.
console.warn = () => {}

const load = createRequire(resolve(process.argv[2], 'package.json'))
const { transform } = load('@segment/actions-core')
const { Action } = load('@segment/actions-core/destination-kit/action')
const { parseFql, validate } = load('@segment/destination-subscriptions')

const TAG = '$js'

// JSON as it is; everything that JSON cannot say as {"$js": what}.
function encode(value) {
  if (value === undefined || typeof value === 'function' || typeof value === 'symbol') {
    return { [TAG]: typeof value }
  }
  if (typeof value === 'bigint') return { [TAG]: 'bigint', value: String(value) }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return { [TAG]: String(value) }
    return Object.is(value, -0) ? { [TAG]: '-0' } : value
  }
  if (value === null || typeof value !== 'object') return value
  if (value instanceof Date) return { [TAG]: 'date', value: String(value.getTime()) }
  if (Array.isArray(value)) return Array.from(value, encode)
  if (Object.hasOwn(value, TAG)) throw new Error(`a value has the key ${TAG}, which marks what is no JSON`)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, encode(item)]))
}

// An AggregateError of the validator holds one error for each fault.
function messages(error) {
  const all = Symbol.iterator in Object(error) ? Array.from(error) : [error]
  return all.map((one) => String(one?.message ?? one))
}

function subscribed(fql, event) {
  const parsed = parseFql(fql)
  return parsed.error ? undefined : validate(parsed, event)
}

const kinds = {
  mapping({ mapping, event }) {
    try {
      return { output: encode(transform(mapping, event)) }
    } catch (error) {
      return { error: { messages: messages(error) } }
    }
  },

  fql({ fql, event }) {
    try {
      const match = subscribed(fql, event)
      return match === undefined ? { invalid: true } : { match }
    } catch {
      return { invalid: true }
    }
  },

  async action({ id, fields, subscribe, mapping, event }) {
    let match = false
    try {
      match = subscribed(subscribe, event)
    } catch {
      match = false
    }
    if (!match) return { skipped: 'not subscribed' }
    let payload
    const perform = (_request, data) => {
      payload = data.payload
    }
    try {
      // The validator keeps schemas by destination and title, so each gets a title of its own.
      const action = new Action('differential', { title: String(id), fields, perform })
      await action.execute({ mapping, data: event, settings: {} })
    } catch (error) {
      return { error: { messages: messages(error), status: 400 } }
    }
    return { payload: encode(payload) }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  const answer = { id: request.id, ...(await kinds[request.kind](request)) }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
