// What the modules of exported folders make of answers, and of events that no request can be made of.
//
//   node answers.js FOLDER < request      where FOLDER has the compiled folders strict and oauth2-basic
//
// The request is {tokens, choices, batches, events, errors}: a list of {status, body} each for the first three, and of
// payloads and {name, message, cause, canRepeat}. The answer has a list for each: the tokens or a status, the choices, the statuses
// of the events of a batch, and the statuses of what is thrown; for errors with whether a secret is in the message.

const { readFileSync } = require('node:fs')
const { resolve } = require('node:path')

const [strict, oauth2] = ['strict', 'oauth2-basic'].map((name) => resolve(process.argv[2], name))
const { sendBatch } = require(resolve(strict, 'batches.js'))
const { sendEvent } = require(resolve(strict, 'requests.js'))
const { segment, send } = require(resolve(oauth2, 'http.js'))
const { parameters } = require(resolve(oauth2, 'parameters.js'))
const { choicesOf } = require(resolve(oauth2, 'choices.js'))
const { askToken } = require(resolve(oauth2, 'tokens.js'))

const PLAIN = {
  method: 'POST',
  url: () => 'https://api.example.com',
  hasFixedUrl: true,
  timeout: 1000,
  canRepeat: true,
  errors: []
}
const NAME = { '@path': '$.payload.name' }
const PARTS = [
  { json: NAME },
  { ndjson: [NAME] },
  { text: NAME },
  { form: parameters({ name: NAME }) },
  { form: parameters({ name: [NAME] }, 'json') },
  { query: parameters({ name: NAME }) },
  { url: ({ payload }) => 'https://api.example.com/' + segment(payload.name) }
]
const FORM = {
  items: { '@path': '$.answer.items' },
  value: { '@path': '$.id' },
  label: { '@path': '$.name' },
  next: { '@path': '$.answer.next' }
}
const ASKED = {
  url: 'https://api.example.com/token',
  timeout: 1000,
  fields: { grant_type: 'client_credentials' },
  client: { id: 'id', secret: 'secret' }
}

function answering({ status = 200, body }) {
  return async (_, { redirect }) => {
    if (redirect !== 'manual') {
      throw new Error('A redirect would be followed.')
    }
    return { ok: status < 300, status, content: body, headers: new Map() }
  }
}

async function thrownBy(promise) {
  return await promise.then(
    () => 200,
    ({ status, response }) => status ?? response?.status ?? 500
  )
}

async function all(given, change) {
  return await Promise.all(given.map(change))
}

async function main() {
  const { tokens, choices, batches, events, errors } = JSON.parse(readFileSync(0, 'utf8'))
  const sent = { ...sendEvent, canRepeat: false }
  const settings = { apiKey: 'key' }
  console.log(
    JSON.stringify({
      tokens: await all(tokens, (one) =>
        askToken(answering(one), ASKED).catch((error) => error.status)
      ),
      choices: await all(choices, (one) => choicesOf(PLAIN, FORM)(answering(one), { settings })),
      batches: await all(batches, async (one) => {
        const found = await sendBatch(answering(one), sent, settings, [{ value: 'a' }, { value: 'b' }])
        return found.getAllResponses().map((each) => each.value().status)
      }),
      events: await all(events, (payload) =>
        all(PARTS, (part) => thrownBy(send(answering({ body: '' }), { ...PLAIN, ...part }, settings, payload)))
      ),
      errors: await all(errors, (error) =>
        send(() => Promise.reject(error), { ...PLAIN, canRepeat: error.canRepeat }, settings, {}).catch(
          ({ status, message }) => [status, message.includes('secret')]
        )
      )
    })
  )
}

main()
