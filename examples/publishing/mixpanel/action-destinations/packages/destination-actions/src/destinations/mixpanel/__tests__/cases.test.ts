// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: cases.test.ts 9e17cb5e277ba800
import definition from '../index'
import { deliver } from './__helpers__/partner'

// By hand: begin
// By hand: end

// A project with European data residency.
describe('europe', () => {
  it('importEvent: Import track events', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { region: 'eu', projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: {
            '@if': {
              exists: { '@path': '$.userId' },
              then: { '@path': '$.userId' },
              else: { '@path': '$.anonymousId' }
            }
          },
          insert_id: { '@path': '$.messageId' },
          time: {
            '@if': {
              exists: { '@path': '$.timestamp' },
              then: { '@path': '$.timestamp' },
              else: { '@path': '$.receivedAt' }
            }
          },
          ip: { '@path': '$.context.ip' },
          properties: { '@path': '$.properties' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'track',
            event: 'Order Completed',
            userId: 'user_0001',
            messageId: 'm-1',
            timestamp: '2026-01-15T11:59:51.001Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      [
        {
          request: {
            method: 'POST',
            url: 'https://api-eu.mixpanel.com/import?strict=1',
            headers: {
              Accept: 'application/json',
              'Content-Type': 'application/json',
              Authorization: 'Basic cGxhY2Vob2xkZXItcHJvamVjdFRva2VuOg==',
              'Content-Encoding': 'gzip'
            },
            json: [
              {
                event: 'Order Completed',
                properties: {
                  distinct_id: 'user_0001',
                  $insert_id: 'ecb62ab8-f5aa-5a0e-bd79-ea2d50600a9c',
                  time: 1768478391001
                }
              }
            ]
          },
          response: { status: 200, json: { code: 200, num_records_imported: 1, status: 'OK' } }
        }
      ]
    )
    expect(verdicts).toEqual(['delivered'])
  })
})

// Two events go out in one compressed request; one without a time has the time at which it was received.
describe('import-events', () => {
  it('importEvent: Import track events', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: {
            '@if': {
              exists: { '@path': '$.userId' },
              then: { '@path': '$.userId' },
              else: { '@path': '$.anonymousId' }
            }
          },
          insert_id: { '@path': '$.messageId' },
          time: {
            '@if': {
              exists: { '@path': '$.timestamp' },
              then: { '@path': '$.timestamp' },
              else: { '@path': '$.receivedAt' }
            }
          },
          ip: { '@path': '$.context.ip' },
          properties: { '@path': '$.properties' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'track',
            event: 'Order Completed',
            userId: 'user_0001',
            messageId: 'm-1',
            timestamp: '2026-01-15T11:59:51.001Z',
            properties: { order_id: 'order_0042', total: 59.9 },
            context: { ip: '192.0.2.10' }
          },
          {
            type: 'track',
            event: 'Report Opened',
            anonymousId: 'anonymous-1',
            messageId: 'm-2',
            timestamp: '2026-01-15T12:00:00.000Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      [
        {
          request: {
            method: 'POST',
            url: 'https://api.mixpanel.com/import?strict=1',
            headers: {
              Accept: 'application/json',
              'Content-Type': 'application/json',
              Authorization: 'Basic cGxhY2Vob2xkZXItcHJvamVjdFRva2VuOg==',
              'Content-Encoding': 'gzip'
            },
            json: [
              {
                event: 'Order Completed',
                properties: {
                  order_id: 'order_0042',
                  total: 59.9,
                  distinct_id: 'user_0001',
                  $insert_id: 'ecb62ab8-f5aa-5a0e-bd79-ea2d50600a9c',
                  time: 1768478391001,
                  ip: '192.0.2.10'
                }
              },
              {
                event: 'Report Opened',
                properties: {
                  distinct_id: 'anonymous-1',
                  $insert_id: 'b9c97679-694c-5a4a-93ef-f03a1d04d42d',
                  time: 1768478400000
                }
              }
            ]
          },
          response: { status: 200, json: { code: 200, num_records_imported: 2, status: 'OK' } }
        }
      ]
    )
    expect(verdicts).toEqual(['delivered', 'delivered'])
  })
})

// Events that are not sent, each for its own reason.
describe('not-sent', () => {
  it('importEvent: Import track events (1)', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: {
            '@if': {
              exists: { '@path': '$.userId' },
              then: { '@path': '$.userId' },
              else: { '@path': '$.anonymousId' }
            }
          },
          insert_id: { '@path': '$.messageId' },
          time: {
            '@if': {
              exists: { '@path': '$.timestamp' },
              then: { '@path': '$.timestamp' },
              else: { '@path': '$.receivedAt' }
            }
          },
          ip: { '@path': '$.context.ip' },
          properties: { '@path': '$.properties' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          { type: 'track', event: 'Order Completed', userId: 'user_0001', timestamp: '2026-01-15T12:00:00.000Z' }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      []
    )
    expect(verdicts).toEqual(['rejected'])
  })

  it('importEvent: Import track events (2)', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: {
            '@if': {
              exists: { '@path': '$.userId' },
              then: { '@path': '$.userId' },
              else: { '@path': '$.anonymousId' }
            }
          },
          insert_id: { '@path': '$.messageId' },
          time: {
            '@if': {
              exists: { '@path': '$.timestamp' },
              then: { '@path': '$.timestamp' },
              else: { '@path': '$.receivedAt' }
            }
          },
          ip: { '@path': '$.context.ip' },
          properties: { '@path': '$.properties' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'track',
            event: 'Order Completed',
            userId: 'null',
            messageId: 'm-1',
            timestamp: '2026-01-15T12:00:00.000Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      []
    )
    expect(verdicts).toEqual(['rejected'])
  })

  it('onEvent() (3)', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'onEvent()',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          subscriptions: [
            { partnerAction: 'importEvent', subscribe: 'type = "track"', mapping: {} },
            { partnerAction: 'setProfile', subscribe: 'type = "identify"', mapping: {} }
          ]
        },
        events: [
          {
            type: 'page',
            name: 'Pricing',
            userId: 'user_0001',
            messageId: 'm-3',
            timestamp: '2026-01-15T12:00:00.000Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      []
    )
    expect(verdicts).toEqual(['filtered'])
  })
})

// Mixpanel names the event that it does not take, and imports the other.
describe('one-of-them-is-faulty', () => {
  it('importEvent: Import track events', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: {
            '@if': {
              exists: { '@path': '$.userId' },
              then: { '@path': '$.userId' },
              else: { '@path': '$.anonymousId' }
            }
          },
          insert_id: { '@path': '$.messageId' },
          time: {
            '@if': {
              exists: { '@path': '$.timestamp' },
              then: { '@path': '$.timestamp' },
              else: { '@path': '$.receivedAt' }
            }
          },
          ip: { '@path': '$.context.ip' },
          properties: { '@path': '$.properties' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'track',
            event: 'Order Completed',
            userId: 'user_0001',
            messageId: 'm-1',
            timestamp: '2026-01-15T11:59:51.001Z'
          },
          {
            type: 'track',
            event: 'Order Completed',
            userId: 'user_0002',
            messageId: 'm-2',
            timestamp: '2026-01-15T11:59:52.001Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      [
        {
          request: {
            method: 'POST',
            url: 'https://api.mixpanel.com/import?strict=1',
            headers: {
              Accept: 'application/json',
              'Content-Type': 'application/json',
              Authorization: 'Basic cGxhY2Vob2xkZXItcHJvamVjdFRva2VuOg==',
              'Content-Encoding': 'gzip'
            },
            json: [
              {
                event: 'Order Completed',
                properties: {
                  distinct_id: 'user_0001',
                  $insert_id: 'ecb62ab8-f5aa-5a0e-bd79-ea2d50600a9c',
                  time: 1768478391001
                }
              },
              {
                event: 'Order Completed',
                properties: {
                  distinct_id: 'user_0002',
                  $insert_id: 'b9c97679-694c-5a4a-93ef-f03a1d04d42d',
                  time: 1768478392001
                }
              }
            ]
          },
          response: {
            status: 400,
            json: {
              code: 400,
              error: 'some data points in the request failed validation',
              status: 'Bad Request',
              num_records_imported: 1,
              failed_records: [
                {
                  index: 0,
                  insert_id: 'm-1',
                  field: 'properties.time',
                  message: "'properties.time' is invalid: must be specified as seconds since epoch"
                }
              ]
            }
          }
        }
      ]
    )
    expect(verdicts).toEqual(['rejected', 'delivered'])
  })
})

// Mixpanel answers 200 to a profile that it does not take.
describe('profile-refused', () => {
  it('setProfile: Set user profiles', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'setProfile',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          distinct_id: { '@path': '$.userId' },
          ip: { '@path': '$.context.ip' },
          traits: { '@path': '$.traits' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'identify',
            userId: 'user_0001',
            messageId: 'm-1',
            traits: { plan: 'pro' },
            timestamp: '2026-01-15T12:00:00.000Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      [
        {
          request: {
            method: 'POST',
            url: 'https://api.mixpanel.com/engage?verbose=1',
            headers: {
              Accept: 'application/json',
              'Content-Type': 'application/json',
              Authorization: 'Basic cGxhY2Vob2xkZXItcHJvamVjdFRva2VuOg=='
            },
            json: [{ $token: 'placeholder-projectToken', $distinct_id: 'user_0001', $set: { plan: 'pro' } }]
          },
          response: { status: 200, json: { error: 'some data points in the request failed validation', status: 0 } }
        }
      ]
    )
    expect(verdicts).toEqual(['rejected'])
  })
})

// The traits of a user become properties of the profile.
describe('set-a-profile', () => {
  it('setProfile: Set user profiles', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'setProfile',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          distinct_id: { '@path': '$.userId' },
          ip: { '@path': '$.context.ip' },
          traits: { '@path': '$.traits' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'identify',
            userId: 'user_0001',
            messageId: 'm-1',
            traits: { email: 'ada@example.com', plan: 'pro' },
            timestamp: '2026-01-15T12:00:00.000Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      [
        {
          request: {
            method: 'POST',
            url: 'https://api.mixpanel.com/engage?verbose=1',
            headers: {
              Accept: 'application/json',
              'Content-Type': 'application/json',
              Authorization: 'Basic cGxhY2Vob2xkZXItcHJvamVjdFRva2VuOg=='
            },
            json: [
              {
                $token: 'placeholder-projectToken',
                $distinct_id: 'user_0001',
                $set: { email: 'ada@example.com', plan: 'pro' }
              }
            ]
          },
          response: { status: 200, json: { error: null, status: 1 } }
        }
      ]
    )
    expect(verdicts).toEqual(['delivered'])
  })
})

// A mapping of one's own gives times in several forms; one that is no time ends its event, and the others are sent.
describe('times-of-a-property', () => {
  it('importEvent: Times of a property (1)', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: { '@path': '$.userId' },
          insert_id: { '@path': '$.messageId' },
          time: { '@path': '$.properties.openedAt' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'track',
            event: 'Report Opened',
            userId: 'user_0001',
            messageId: 'm-1',
            properties: { openedAt: 1768478391 },
            timestamp: '2026-01-15T12:00:00.000Z'
          },
          {
            type: 'track',
            event: 'Report Opened',
            userId: 'user_0002',
            messageId: 'm-2',
            properties: { openedAt: 1768478391250 },
            timestamp: '2026-01-15T12:00:00.000Z'
          },
          {
            type: 'track',
            event: 'Report Opened',
            userId: 'user_0003',
            messageId: 'm-3',
            properties: { openedAt: '2026-01-15 12:59:51+01:00' },
            timestamp: '2026-01-15T12:00:00.000Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      [
        {
          request: {
            method: 'POST',
            url: 'https://api.mixpanel.com/import?strict=1',
            headers: {
              Accept: 'application/json',
              'Content-Type': 'application/json',
              Authorization: 'Basic cGxhY2Vob2xkZXItcHJvamVjdFRva2VuOg==',
              'Content-Encoding': 'gzip'
            },
            json: [
              {
                event: 'Report Opened',
                properties: {
                  distinct_id: 'user_0001',
                  $insert_id: 'ecb62ab8-f5aa-5a0e-bd79-ea2d50600a9c',
                  time: 1768478391000
                }
              },
              {
                event: 'Report Opened',
                properties: {
                  distinct_id: 'user_0002',
                  $insert_id: 'b9c97679-694c-5a4a-93ef-f03a1d04d42d',
                  time: 1768478391250
                }
              },
              {
                event: 'Report Opened',
                properties: {
                  distinct_id: 'user_0003',
                  $insert_id: '17e496d8-b607-569f-b819-05c0f9cf4b01',
                  time: 1768478391000
                }
              }
            ]
          },
          response: { status: 200, json: { code: 200, num_records_imported: 3, status: 'OK' } }
        }
      ]
    )
    expect(verdicts).toEqual(['delivered', 'delivered', 'delivered'])
  })

  it('importEvent: Times of a property (2)', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: { '@path': '$.userId' },
          insert_id: { '@path': '$.messageId' },
          time: { '@path': '$.properties.openedAt' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'track',
            event: 'Report Opened',
            userId: 'user_0005',
            messageId: 'm-5',
            properties: { openedAt: 'January 15, 2026' },
            timestamp: '2026-01-15T12:00:00.000Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      []
    )
    expect(verdicts).toEqual(['rejected'])
  })

  it('importEvent: Times of a property (3)', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: { '@path': '$.userId' },
          insert_id: { '@path': '$.messageId' },
          time: { '@path': '$.properties.openedAt' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'track',
            event: 'Report Opened',
            userId: 'user_0006',
            messageId: 'm-6',
            properties: { openedAt: '2026-02-30' },
            timestamp: '2026-01-15T12:00:00.000Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      []
    )
    expect(verdicts).toEqual(['rejected'])
  })

  it('importEvent: Times of a property (4)', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: { '@path': '$.userId' },
          insert_id: { '@path': '$.messageId' },
          time: { '@path': '$.properties.openedAt' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'track',
            event: 'Report Opened',
            userId: 'user_0004',
            messageId: 'm-4',
            properties: { openedAt: 'yesterday' },
            timestamp: '2026-01-15T12:00:00.000Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      []
    )
    expect(verdicts).toEqual(['rejected'])
  })
})

// The event is sent again after a while.
describe('too-many-requests', () => {
  it('importEvent: Import track events (1)', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: {
            '@if': {
              exists: { '@path': '$.userId' },
              then: { '@path': '$.userId' },
              else: { '@path': '$.anonymousId' }
            }
          },
          insert_id: { '@path': '$.messageId' },
          time: {
            '@if': {
              exists: { '@path': '$.timestamp' },
              then: { '@path': '$.timestamp' },
              else: { '@path': '$.receivedAt' }
            }
          },
          ip: { '@path': '$.context.ip' },
          properties: { '@path': '$.properties' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'track',
            event: 'Order Completed',
            userId: 'user_0001',
            messageId: 'm-1',
            timestamp: '2026-01-15T11:59:51.001Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      [
        {
          request: {
            method: 'POST',
            url: 'https://api.mixpanel.com/import?strict=1',
            headers: {
              Accept: 'application/json',
              'Content-Type': 'application/json',
              Authorization: 'Basic cGxhY2Vob2xkZXItcHJvamVjdFRva2VuOg==',
              'Content-Encoding': 'gzip'
            },
            json: [
              {
                event: 'Order Completed',
                properties: {
                  distinct_id: 'user_0001',
                  $insert_id: 'ecb62ab8-f5aa-5a0e-bd79-ea2d50600a9c',
                  time: 1768478391001
                }
              }
            ]
          },
          response: {
            status: 429,
            headers: { 'Retry-After': '60' },
            json: { code: 429, error: 'Project exceeded rate limits', status: 'Too Many Requests' }
          }
        }
      ]
    )
    expect(verdicts).toEqual(['retry'])
  })

  it('importEvent: Import track events (2)', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: {
            '@if': {
              exists: { '@path': '$.userId' },
              then: { '@path': '$.userId' },
              else: { '@path': '$.anonymousId' }
            }
          },
          insert_id: { '@path': '$.messageId' },
          time: {
            '@if': {
              exists: { '@path': '$.timestamp' },
              then: { '@path': '$.timestamp' },
              else: { '@path': '$.receivedAt' }
            }
          },
          ip: { '@path': '$.context.ip' },
          properties: { '@path': '$.properties' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'track',
            event: 'Order Completed',
            userId: 'user_0001',
            messageId: 'm-1',
            timestamp: '2026-01-15T11:59:51.001Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      [
        {
          request: {
            method: 'POST',
            url: 'https://api.mixpanel.com/import?strict=1',
            headers: {
              Accept: 'application/json',
              'Content-Type': 'application/json',
              Authorization: 'Basic cGxhY2Vob2xkZXItcHJvamVjdFRva2VuOg==',
              'Content-Encoding': 'gzip'
            },
            json: [
              {
                event: 'Order Completed',
                properties: {
                  distinct_id: 'user_0001',
                  $insert_id: 'ecb62ab8-f5aa-5a0e-bd79-ea2d50600a9c',
                  time: 1768478391001
                }
              }
            ]
          },
          response: { status: 200, json: { code: 200, num_records_imported: 1, status: 'OK' } }
        }
      ]
    )
    expect(verdicts).toEqual(['delivered'])
  })
})

// Mixpanel does not know the token; the event is still to be sent.
describe('wrong-token', () => {
  it('importEvent: Import track events', async () => {
    const verdicts = await deliver(
      definition,
      {
        action: 'importEvent',
        settings: { projectToken: 'placeholder-projectToken' },
        mapping: {
          event: { '@path': '$.event' },
          distinct_id: {
            '@if': {
              exists: { '@path': '$.userId' },
              then: { '@path': '$.userId' },
              else: { '@path': '$.anonymousId' }
            }
          },
          insert_id: { '@path': '$.messageId' },
          time: {
            '@if': {
              exists: { '@path': '$.timestamp' },
              then: { '@path': '$.timestamp' },
              else: { '@path': '$.receivedAt' }
            }
          },
          ip: { '@path': '$.context.ip' },
          properties: { '@path': '$.properties' },
          event_userId: { '@path': '$.userId' },
          enable_batching: true
        },
        events: [
          {
            type: 'track',
            event: 'Order Completed',
            userId: 'user_0001',
            messageId: 'm-1',
            timestamp: '2026-01-15T11:59:51.001Z'
          }
        ],
        now: '2026-01-15T12:00:00Z'
      },
      [
        {
          request: {
            method: 'POST',
            url: 'https://api.mixpanel.com/import?strict=1',
            headers: {
              Accept: 'application/json',
              'Content-Type': 'application/json',
              Authorization: 'Basic cGxhY2Vob2xkZXItcHJvamVjdFRva2VuOg==',
              'Content-Encoding': 'gzip'
            },
            json: [
              {
                event: 'Order Completed',
                properties: {
                  distinct_id: 'user_0001',
                  $insert_id: 'ecb62ab8-f5aa-5a0e-bd79-ea2d50600a9c',
                  time: 1768478391001
                }
              }
            ]
          },
          response: { status: 401, json: { code: 401, error: 'Invalid credentials', status: 'Unauthorized' } }
        }
      ]
    )
    expect(verdicts).toEqual(['rejected'])
  })
})
