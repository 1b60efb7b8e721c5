// Generated file. DO NOT MODIFY IT BY HAND.

export interface Settings {
  /**
   * The token of your project, from its settings in Mixpanel.
   */
  projectToken: string
  /**
   * Where Mixpanel keeps the data of your project.
   */
  region?: string
}
