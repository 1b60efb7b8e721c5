// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: partner.ts 988a4cacb52e1c0c
/**
 * Stands in for the partner in the tests of this destination.
 *
 * This file is the same for every destination; what is special to this one stands in cases.test.ts.
 */
import nock from 'nock'
import { gunzipSync } from 'zlib'
import { createTestIntegration } from '@segment/actions-core'
import type { DestinationDefinition, SegmentEvent } from '@segment/actions-core'

/** A recorded request, with its answer or why there is none. */
export interface Interaction {
  request: { method: string; url: string; headers?: Record<string, string>; json?: unknown; body?: string }
  response?: { status: number; headers?: Record<string, string>; json?: unknown; body?: string }
  failure?: 'refused' | 'connectTimeout' | 'timeout' | 'lost'
}

/**
 * Events of one subscription. With `onDelete`, `onEvent()`, `testAuthentication()` or `refreshAccessToken()` as the
 * action, what those are called with.
 */
export interface Delivery {
  action: string
  settings: Record<string, unknown>
  mapping: Record<string, unknown>
  events: unknown[]
  /** The time at which they are sent. */
  now: string
  /** What Segment keeps of OAuth2. */
  auth?: { clientId?: string; clientSecret?: string; refreshToken?: string }
}

/** What Segment does with an event: with `retry` it sends it again, and `filtered` is one that no action takes. */
export type Verdict = 'delivered' | 'retry' | 'rejected' | 'filtered'

/** Deliver events; the partner answers as recorded, and gets no other requests. */
export async function deliver(
  definition: DestinationDefinition<any>,
  delivery: Delivery,
  interactions: Interaction[]
): Promise<Verdict[]> {
  const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.parse(delivery.now))
  const sent: Interaction['request'][] = []
  nock.disableNetConnect()
  interactions.forEach((one) => record(one, sent))
  try {
    const verdicts = await perform(definition, delivery)
    expect(sent).toEqual(interactions.map(({ request }) => comparable(request)))
    return verdicts
  } finally {
    nock.cleanAll()
    clock.mockRestore()
  }
}

async function perform(definition: DestinationDefinition<any>, delivery: Delivery): Promise<Verdict[]> {
  const { action, events, mapping, settings } = delivery
  const auth = { accessToken: '<access token>', refreshToken: '', ...delivery.auth }
  const oauth = { access_token: auth.accessToken, refresh_token: auth.refreshToken }
  const integration = createTestIntegration(definition)
  try {
    if (action === 'testAuthentication()') {
      return await tested(integration.testAuthentication({ ...settings, oauth }))
    }
    if (action === 'refreshAccessToken()') {
      const given = { clientId: '', clientSecret: '', ...auth }
      const tokens = await integration.refreshAccessToken({ ...settings, oauth }, given)
      expect(tokens?.accessToken).toEqual(auth.accessToken)
      return ['delivered']
    }
    if (action === 'onEvent()') {
      const results = await integration.onEvent(events[0] as SegmentEvent, { ...settings, ...mapping, oauth } as never)
      return [results.every(({ output }) => output === 'not subscribed') ? 'filtered' : 'delivered']
    }
    if (action === 'onDelete' && definition.onDelete !== undefined) {
      await integration.onDelete?.(events[0] as SegmentEvent, settings as never)
      return ['delivered']
    }
    if (definition.actions[action].performBatch !== undefined) {
      const results = await integration.executeBatch(action, {
        events: events as SegmentEvent[],
        mapping: mapping as never,
        settings: settings as never,
        auth
      })
      return results.map(({ status }) => verdictOf(status))
    }
    await integration.actions[action].execute({
      data: events[0] as never,
      mapping: mapping as never,
      settings: settings as never,
      auth
    })
    return ['delivered']
  } catch (error) {
    const { status, response } = error as { status?: number; response?: { status?: number } }
    const isInvalid = (error as Error).name === 'AggregateAjvError'
    return events.map(() => verdictOf(status ?? response?.status ?? (isInvalid ? 400 : 500)))
  }
}

/** Segment's framework tells only that the credentials were not accepted. */
async function tested(test: Promise<void>): Promise<Verdict[]> {
  return await test.then(
    () => ['delivered'],
    () => ['rejected']
  )
}

function verdictOf(status: number): Verdict {
  if (status < 400) {
    return 'delivered'
  }
  return [408, 423, 429].includes(status) || (status >= 500 && status !== 501) ? 'retry' : 'rejected'
}

/** Headers that the client sets, whatever the destination asks for. */
const OF_CLIENT = ['accept-encoding', 'connection', 'content-length', 'host', 'transfer-encoding', 'user-agent']

function record({ request, response, failure }: Interaction, sent: Interaction['request'][]): void {
  const { origin } = new URL(request.url)
  const scope = nock(origin).intercept(() => true, request.method)
  if (failure !== undefined) {
    const code = { refused: 'ECONNREFUSED', connectTimeout: 'ECONNREFUSED', timeout: 'ETIMEDOUT', lost: 'ECONNRESET' }
    sent.push(comparable(request))
    scope.replyWithError({ code: code[failure], message: failure })
    return
  }
  scope.reply(function (uri, body) {
    const found = this.req.headers as unknown as Record<string, string | string[]>
    const own = Object.entries(found).filter(([name]) => !OF_CLIENT.includes(name))
    const text = textOf(body, found['content-encoding'])
    sent.push(
      comparable({
        method: request.method,
        url: origin + uri,
        headers: Object.fromEntries(own.map(([name, value]) => [name, String(value)])) as Record<string, string>,
        ...(request.json === undefined
          ? { body: text === '' ? undefined : text }
          : { json: JSON.parse(text) as unknown })
      })
    )
    const answer = response?.json === undefined ? response?.body ?? '' : JSON.stringify(response.json)
    const type: Record<string, string> = response?.json === undefined ? {} : { 'content-type': 'application/json' }
    return [response?.status ?? 200, answer, { ...type, ...response?.headers }]
  })
}

/** The body as text; nock gives JSON as a value, and what is compressed otherwise in hexadecimal digits. */
function textOf(body: unknown, encoding: unknown): string {
  const pieces = Array.isArray(body) && body.every((piece) => typeof piece === 'string') ? body.join('') : body
  if (typeof pieces !== 'string') {
    return JSON.stringify(pieces)
  }
  const isCompressed = encoding !== undefined && String(encoding) === 'gzip' && pieces.startsWith('1f8b')
  return isCompressed ? gunzipSync(Buffer.from(pieces, 'hex')).toString() : pieces
}

/** A request as a value: with its query in order, and the names of its headers in lower case. */
function comparable(request: Interaction['request']): Interaction['request'] {
  const url = new URL(request.url)
  url.searchParams.sort()
  const headers = Object.entries(request.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])
  const found = { ...request, url: url.href, headers: Object.fromEntries(headers) as Record<string, string> }
  if (found.body !== undefined && found.headers['content-type'] === 'application/x-www-form-urlencoded') {
    found.body = new URLSearchParams(found.body).toString() // some encode more than others
  }
  return JSON.parse(JSON.stringify(found)) as Interaction['request']
}
