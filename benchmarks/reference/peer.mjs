// Segment's runtime on the other side of a benchmark: requests in, answers out, a line of JSON each.
//
//   node peer.mjs FOLDER      where FOLDER has the node_modules of package.json beside this file
//
//   {do: "load", definition, events}   answers {events}: the numbers of those that it can be
//                                      compared on
//   {do: "payloads", way}              answers {payloads}: for each subscription, those it made
//   {do: "round", way, rounds}         answers {seconds, payloads}: processor time, and how many
//
// `way` is "onEvent" or "onBatch"; `events` are texts of JSON, parsed anew for each round and outside
// of its time, because the runtime changes events while it validates payloads.

import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

// The validator warns of each schema that it takes all the same.
console.warn = () => {}

const load = createRequire(resolve(process.argv[2], 'package.json'))
const { Destination } = load('@segment/actions-core')
const BATCH = 1000

// What perform is given: counted, and kept as text while `kept` is a list.
let made = 0
let kept = null

function perform(_request, { payload, subscriptionMetadata }) {
  made += 1
  if (kept !== null) kept.push([subscriptionMetadata.actionConfigId, JSON.stringify(payload)])
}

function performBatch(_request, { payload, subscriptionMetadata }) {
  made += payload.length
  if (kept === null) return
  for (const one of payload) kept.push([subscriptionMetadata.actionConfigId, JSON.stringify(one)])
}

function build({ name, actions, subscriptions }) {
  const definitions = Object.fromEntries(
    Object.entries(actions).map(([slug, { fields }]) => [
      slug,
      // The title is a part of the key under which the runtime keeps the compiled schema.
      { title: slug, description: '', fields, perform, performBatch }
    ])
  )
  const destination = new Destination({ name, mode: 'cloud', actions: definitions })
  return [destination, { subscriptions: subscriptions.map((one, at) => ({ ...one, ID: String(at) })) }]
}

const WAYS = {
  async onEvent(destination, settings, events) {
    for (const event of events) {
      try {
        await destination.onEvent(event, settings)
      } catch {
        // A payload that does not fit; the other side counts none for it either.
      }
    }
  },
  async onBatch(destination, settings, events) {
    for (let from = 0; from < events.length; from += BATCH) {
      await destination.onBatch(events.slice(from, from + BATCH), settings)
    }
  }
}

let destination, settings, texts

async function payloads(way, chosen, subscriptions) {
  kept = []
  const events = chosen.map((text) => JSON.parse(text))
  await WAYS[way](destination, { subscriptions }, events)
  const found = subscriptions.map(({ ID }) => kept.filter(([id]) => id === ID).map(([, text]) => text))
  kept = null
  return found
}

// It changes events while it works on one subscription, so that the next one sees other data; and
// batches keep empty texts that single events lose. Only events that it gives the same payloads for
// in every way can be compared on.
async function agrees(text) {
  const { subscriptions } = settings
  const alone = []
  for (const one of subscriptions) alone.push((await payloads('onEvent', [text], [one]))[0])
  const expected = JSON.stringify(alone)
  for (const way of Object.keys(WAYS)) {
    if (JSON.stringify(await payloads(way, [text], subscriptions)) !== expected) return false
  }
  return true
}

const DO = {
  async load({ definition, events }) {
    ;[destination, settings] = build(definition)
    const same = []
    for (const [at, text] of events.entries()) if (await agrees(text)) same.push(at)
    texts = same.map((at) => events[at])
    return { events: same }
  },
  async payloads({ way }) {
    const found = await payloads(way, texts, settings.subscriptions)
    return { payloads: found.map((of) => of.map((text) => JSON.parse(text))) }
  },
  async round({ way, rounds }) {
    let seconds = 0
    made = 0
    for (let round = 0; round < rounds; round += 1) {
      const events = Array.from({ length: BATCH }, (_, at) => JSON.parse(texts[at % texts.length]))
      const before = process.cpuUsage()
      await WAYS[way](destination, settings, events)
      const used = process.cpuUsage(before)
      seconds += (used.user + used.system) / 1e6
    }
    return { seconds, payloads: made }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  process.stdout.write(JSON.stringify(await DO[request.do](request)) + '\n')
}
