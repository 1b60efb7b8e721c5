// Generated file. DO NOT MODIFY IT BY HAND.

export interface Payload {
  /**
   * The ID of the user.
   */
  distinct_id: string
  /**
   * The address that Mixpanel derives the place of the user from.
   */
  ip?: string
  /**
   * The properties to set.
   */
  traits: {
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
