// What Segment's framework knows of compiled folders, and the payloads that it makes of events.
//
//   node compare.js FOLDER < request      where FOLDER has node_modules, and out/ with the folders
//
// The request is {folders, deliveries}: names, and {folder, action, mapping, settings, clock, events}.
// The answer is {destinations, payloads}: by name what the catalog shows of a destination, and for each
// delivery a list with the payload of each event, or null where the framework refuses the event.

const { createRequire } = require('node:module')
const { readFileSync } = require('node:fs')
const { resolve } = require('node:path')

const folder = resolve(process.argv[2])
const load = createRequire(resolve(folder, 'package.json'))
const { Action } = load('@segment/actions-core/destination-kit/action')

// The validator warns of each schema that it takes all the same.
console.warn = () => {}

const KEYS =
  'default choices placeholder properties category depends_on readOnly minimum maximum defaultObjectUI' +
  ' disabledInputMethods displayMode format'

function shownField(field) {
  const { label, description, type, required, multiple, allowNull, dynamic, additionalProperties } = field
  const shown = {
    label,
    description,
    type,
    required: required ?? false,
    multiple: multiple ?? false,
    allowNull: allowNull ?? false,
    dynamic: dynamic ?? false,
    hidden: field.unsafe_hidden ?? null,
    additionalProperties: additionalProperties ?? false
  }
  for (const key of KEYS.split(' ')) {
    shown[key] = field[key] ?? null
  }
  shown.properties = field.properties ? shownFields(field.properties) : null
  shown.choices = field.choices?.length ? field.choices : null
  return shown
}

function shownFields(fields) {
  return Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, shownField(field)]))
}

function shown({ name, slug, mode, description, authentication, actions, presets, onDelete }) {
  return {
    name,
    slug,
    mode,
    description,
    scheme: authentication?.scheme ?? null,
    settings: shownFields(authentication?.fields ?? {}),
    actions: Object.fromEntries(
      Object.entries(actions).map(([key, action]) => [
        key,
        {
          title: action.title,
          description: action.description,
          defaultSubscription: action.defaultSubscription ?? null,
          hasPerformBatch: action.performBatch !== undefined,
          fields: shownFields(action.fields)
        }
      ])
    ),
    presets: presets ?? [],
    deletes: onDelete !== undefined
  }
}

async function payloadsOf(destination, { action, mapping, settings, clock, events }, number) {
  if (destination.actions[action] === undefined) return events.map(() => null) // a deletion, or a test
  const real = Date.now
  Date.now = () => Date.parse(clock)
  const payloads = []
  try {
    for (const [at, data] of events.entries()) {
      let payload = null
      const perform = (_request, given) => {
        payload = given.payload
      }
      // The validator keeps schemas by destination and title, so each gets a title of its own.
      const title = `${number} ${at}`
      const one = new Action('proof', { ...destination.actions[action], title, perform, performBatch: undefined })
      try {
        await one.execute({ mapping, data, settings, auth: undefined })
      } catch {
        payload = null
      }
      payloads.push(payload)
    }
  } finally {
    Date.now = real
  }
  return payloads
}

async function main() {
  const { folders, deliveries } = JSON.parse(readFileSync(0, 'utf8'))
  const definitions = Object.fromEntries(
    folders.map((name) => [name, require(resolve(folder, 'out', name, 'index.js')).default])
  )
  const payloads = []
  for (const [number, delivery] of deliveries.entries()) {
    payloads.push(await payloadsOf(definitions[delivery.folder], delivery, number))
  }
  const destinations = Object.fromEntries(folders.map((name) => [name, shown(definitions[name])]))
  process.stdout.write(JSON.stringify({ destinations, payloads }))
}

main()
