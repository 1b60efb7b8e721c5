// Generated file. DO NOT MODIFY IT BY HAND.

export interface Payload {
  /**
   * The name of the event.
   */
  event: string
  /**
   * The ID of the user. Mixpanel refuses IDs that only stand for a missing one, such as `null`.
   */
  distinct_id: string
  /**
   * The ID of the message. Mixpanel recognizes an event that comes again by an ID of at most 36 letters, digits, and hyphens, which this destination derives from it.
   */
  insert_id: string
  /**
   * The time of the event, in ISO 8601, or as a number: seconds or milliseconds since 1970. This destination sends milliseconds.
   */
  time: string | number
  /**
   * The address that Mixpanel derives the place of the user from.
   */
  ip?: string
  /**
   * The properties of the event.
   */
  properties?: {
    [k: string]: unknown
  }
  /**
   * Mixpanel takes no event in which it stands for a missing value.
   */
  event_userId?: string
  /**
   * Whether Segment sends up to 2,000 events in one request.
   */
  enable_batching?: boolean
  /**
   * The largest number of events in one request.
   */
  batch_size?: number
  /**
   * The largest number of bytes in one request.
   */
  batch_bytes?: number
}
