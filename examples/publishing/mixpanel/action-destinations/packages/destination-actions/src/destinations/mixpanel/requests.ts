// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: requests.ts e38c81881fffd6ea
import { failedItems } from './batches'
import { convert } from './conversions'
import { below, resolve, text } from './http'
import type { Context, ErrorRule, PartnerRequest } from './http'
import { parameters } from './parameters'
import { fits } from './schemas'

// By hand: begin
// By hand: end

function baseUrl(context: Context): string {
  const urls: Record<string, string> = {
    us: 'https://api.mixpanel.com',
    eu: 'https://api-eu.mixpanel.com',
    in: 'https://api-in.mixpanel.com'
  }
  return urls[text(resolve({ '@path': '$.settings.region' }, context))]
}

/** Of settings that have no value. */
export const DEFAULTS = { region: 'us' }

/** What errors mean; the first rule that holds decides. */
const ERRORS: readonly ErrorRule[] = [
  // The request is malformed.
  { statuses: [400], kind: 'invalid', isRetryable: false, provesNothingApplied: true },
  // The project token is wrong.
  { statuses: [401], kind: 'authentication', isRetryable: false, provesNothingApplied: true },
  // The request is too large.
  { statuses: [413], kind: 'invalid', isRetryable: false, provesNothingApplied: true },
  // Too many requests.
  { statuses: [429], kind: 'rate_limit', isRetryable: true, provesNothingApplied: true }
]

/** Imports events. */
export const importEvents: PartnerRequest = {
  method: 'POST',
  url: (context) => below(baseUrl(context), 'import'),
  hasFixedUrl: true,
  query: parameters({ strict: '1' }),
  json: {
    event: { '@path': '$.payload.event' },
    properties: {
      '@merge': {
        direction: 'right',
        objects: [
          { '@path': '$.payload.properties' },
          {
            distinct_id: { '@path': '$.payload.distinct_id' },
            $insert_id: { '@path': '$.computed[0]' },
            time: { '@path': '$.computed[1]' },
            ip: { '@path': '$.payload.ip' }
          }
        ]
      }
    }
  },
  isCompressed: true,
  defaults: DEFAULTS,
  timeout: 30000,
  canRepeat: true,
  isExpected: fits({ type: 'object', required: ['status'], properties: { status: { const: 'OK' } } }),
  errors: ERRORS,
  batch: {
    readFailures: failedItems({
      statuses: [200, 400],
      items: { '@path': '$.failed_records' },
      index: { '@path': '$.index' },
      code: { '@path': '$.field' },
      message: { '@path': '$.message' }
    })
  },
  computed: [
    (context) => convert({ '@path': '$.payload.insert_id' }, ['uuid'], context),
    (context) => convert({ '@path': '$.payload.time' }, ['milliseconds'], context)
  ]
}

/** Sets properties of user profiles, and creates missing profiles. */
export const setProfiles: PartnerRequest = {
  method: 'POST',
  url: (context) => below(baseUrl(context), 'engage'),
  hasFixedUrl: true,
  query: parameters({ verbose: '1' }),
  json: {
    $token: { '@path': '$.settings.projectToken' },
    $distinct_id: { '@path': '$.payload.distinct_id' },
    $ip: { '@path': '$.payload.ip' },
    $set: { '@path': '$.payload.traits' }
  },
  defaults: DEFAULTS,
  timeout: 30000,
  canRepeat: true,
  isExpected: fits({ type: 'object', required: ['status'], properties: { status: { const: 1 } } }),
  refusals: [
    {
      when: fits({ type: 'object', required: ['error'], properties: { error: { type: 'string' } } }),
      message: { '@path': '$.answer.error' }
    }
  ],
  errors: ERRORS,
  batch: {}
}
